"""Bugs in what a light client believes about settled and open contributions."""

from typing import Final

from tests.mutants.planting import Edit, Mutant

RECEIPTS: Final = "tests/client/test_receipts.py"
REPLAYS: Final = "tests/client/test_replay.py"

EVIDENCE: Final = (
    Mutant(
        "a receipt believed without its Merkle proof",
        "client",
        RECEIPTS,
        (
            Edit(
                "protocol/ledger/receipts.py",
                "    verify_merkle_proof(proof.link, proof.receipt, merkle)\n",
                "    assert merkle\n",
            ),
        ),
    ),
    Mutant(
        "links that need not lead to the task's root",
        "client",
        RECEIPTS,
        (
            Edit(
                "protocol/ledger/receipts.py",
                "    return root, root == wanted\n",
                "    return root, bool(root and wanted)\n",
            ),
        ),
    ),
    Mutant(
        "a receipt of another lease believed",
        "client",
        RECEIPTS,
        (
            Edit(
                "client/receipts.py",
                "(receipt.task, receipt.round) != (wanted.task, wanted.round) or not is_it:\n",
                "not (receipt.task or is_it):\n",
            ),
        ),
    ),
    Mutant(
        "a verifier that does not look at the checkpoint",
        "client",
        REPLAYS,
        (
            Edit(
                "client/round_check.py",
                "return self.agreed is None or self.agreed == self.computed",
                "return self.payloads > 0",
            ),
        ),
    ),
)
