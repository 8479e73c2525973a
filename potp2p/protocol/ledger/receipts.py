"""
Receipts under one root per task: what has left the state can still be proved.

Each settled round adds a link: receipts_root' = H(receipts_root, Merkle root over the round's
receipts in table order). A receipt is proved by its Merkle proof, the root before its round, and
the links of the rounds settled since, which lead to the root in the task's record.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from potp2p.foundation.types import Digest, Height, Round, TaskId
from potp2p.protocol.crypto.hashing import tagged_hash
from potp2p.protocol.crypto.merkle import (
    MerkleProof,
    merkle_proof,
    merkle_root,
    verify_merkle_proof,
)
from potp2p.protocol.ledger.receipt_records import Receipt
from potp2p.protocol.wire.exchange import ReceiptProof
from potp2p.protocol.wire.schema import decode, encode

RECEIPTS_DOMAIN: Final = "potp2p/receipts/1"


@dataclass(frozen=True, slots=True)
class SettledRound:
    """A round that leaves the state with this block."""

    task: TaskId
    round: Round
    height: Height
    previous: Digest
    """The task's receipts root before it."""
    receipts: tuple[Receipt, ...]
    """In table order."""

    @property
    def link(self) -> Digest:
        """Return what it adds to the chain of its task's receipts."""
        return link_of([encode(receipt) for receipt in self.receipts])

    @property
    def root(self) -> Digest:
        """Return the task's receipts root after it."""
        return follow(self.previous, (self.link,))


def receipts_in(settled: Iterable[SettledRound]) -> tuple[Receipt, ...]:
    """Return the receipts of some rounds, in order."""
    return tuple(receipt for each in settled for receipt in each.receipts)


def link_of(receipts: Sequence[bytes]) -> Digest:
    """Return the Merkle root over a round's receipts."""
    return merkle_root(list(receipts))


def follow(root: Digest, links: Iterable[Digest]) -> Digest:
    """Return a task's receipts root after further settled rounds."""
    for link in links:
        root = tagged_hash(RECEIPTS_DOMAIN, root, link)
    return root


def prove_receipt(receipts: Sequence[bytes], index: int, previous: Digest) -> ReceiptProof:
    """Return one receipt of a settled round with what leads to the root after that round."""
    proof = merkle_proof(list(receipts), index)
    return ReceiptProof(
        receipt=receipts[index],
        index=proof.index,
        count=proof.count,
        siblings=proof.siblings,
        link=link_of(receipts),
        previous=previous,
    )


def verify_receipt(proof: ReceiptProof) -> tuple[Receipt, Digest]:
    """
    Return a receipt and the root after its round; PeerError where they do not belong together.

    It is believed only once links lead from there to the root in a task's proved record.
    """
    merkle = MerkleProof(proof.index, proof.count, proof.siblings)
    verify_merkle_proof(proof.link, proof.receipt, merkle)
    return decode(Receipt, proof.receipt), follow(proof.previous, (proof.link,))


def reach(root: Digest, links: Iterable[Digest], wanted: Digest) -> tuple[Digest, bool]:
    """Return how far links lead, and whether the root that is wanted lies on the way."""
    for link in links:
        if root == wanted:
            break
        root = follow(root, (link,))
    return root, root == wanted
