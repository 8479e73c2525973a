"""Explanations and verdicts as people and programs read them."""

import json
from dataclasses import replace

from cli.work.explain import contribution_document, contribution_text
from cli.work.verify import judgement_document, judgement_text
from potp2p.client.contributions import Explained, Place
from potp2p.client.replay import Judgement
from potp2p.foundation.types import POT, Amount, Height
from potp2p.observability.outcomes import address
from potp2p.protocol.ledger.audit_records import ChallengeRecord
from potp2p.protocol.ledger.receipt_records import Receipt
from potp2p.protocol.verification.verdict import Measure, MeasureKind, Verdict
from tests.doubles.receipts import AUDITOR, MISSED, OTHER, PAID, REJECTED, SPLIT


def found(receipt: Receipt) -> Explained:
    return Explained(Place(receipt.task, receipt.round, receipt.shard), receipt, 600)


def test_the_keys_of_a_contribution_stay() -> None:
    document = contribution_document(found(REJECTED))
    assert sorted(document) == [
        "attested",
        "audit",
        "beaten",
        "claim",
        "contribution",
        "dropped",
        "fines",
        "fixed_height",
        "flagged",
        "judges",
        "kept_as_bond",
        "leased_height",
        "miner",
        "outcome",
        "paid",
        "probability_ppm",
        "proved_height",
        "reason",
        "round",
        "schema",
        "score",
        "settled",
        "settled_height",
        "shard",
        "slashed",
        "status",
        "steps",
        "task",
        "verified",
        "weight",
    ]
    assert document["schema"] == "potp2p.contribution/1"
    assert document["slashed"] == "20"
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_the_document_of_an_audit_names_who_found_what_and_where_money_went() -> None:
    challenge = ChallengeRecord(OTHER, True, Amount(3 * POT), Height(452), lost=True)
    assert REJECTED.audit is not None
    receipt = replace(
        REJECTED,
        audit=replace(SPLIT, challenge=challenge, penalty=REJECTED.audit.penalty),
    )
    audit = contribution_document(found(receipt))["audit"]
    assert isinstance(audit, dict)
    assert audit["escalation"] == "split"
    assert [each["verdict"] for each in audit["judges"]] == ["pass", "fail"]
    assert audit["auditors"][0] == {
        "auditor": address(AUDITOR),
        "conduct": "called",
        "committed": True,
        "verdict": "pass",
        "measure": "overall",
        "measured_ppm": 20,
        "tolerance_ppm": 1_000,
        "unstable": False,
        "instability_ppm": 0,
        "text": "honest, distance over all parameters 0.002 %, tolerance 0.1 %",
    }
    assert audit["challenge"] == {
        "challenger": address(OTHER),
        "height": 452,
        "expects": "fail",
        "stake": "3",
        "lost": True,
    }
    assert audit["penalty"] == {
        "slashed": "20",
        "burned": "10",
        "rewarded": [address(AUDITOR)],
        "reward": "1",
        "to_task": "9",
    }


def test_words_begin_with_the_outcome_and_end_with_the_proof() -> None:
    for receipt, outcome in (
        (PAID, "paid 1 POT at height 512"),
        (replace(MISSED, claim=None), "not paid: no claim came in time"),
    ):
        lines = contribution_text(found(receipt))
        assert lines[2] == f"outcome      {outcome}"
        assert lines[3] == f"         400 leased to {address(receipt.miner)}"
        assert lines[-1] == (
            "proof        receipt under the task's receipts root, sealed header of height 600"
        )
    waiting = contribution_text(found(replace(PAID, height=Height(0))))
    assert waiting[-1].startswith("proof        records of the state")


def test_a_judgement_shows_each_number_beside_its_tolerance() -> None:
    far = Measure(MeasureKind.OVERALL, 41_000, 1_000)
    judgement = Judgement(
        Verdict.FAIL, far, (far, Measure(MeasureKind.EXPONENTS, 1, 0)), False, None, 1_250
    )
    document = judgement_document(found(PAID), judgement)
    assert document["verdict"] == "fail"
    assert document["decided_by"] == "overall"
    assert document["on_chain"] == "paid"
    assert document["measures"] == {
        "overall": {"measured_ppm": 41_000, "tolerance_ppm": 1_000, "verdict": "fail"},
        "exponents": {"measured_ppm": 1, "tolerance_ppm": 0, "verdict": "fail"},
    }
    lines = judgement_text(found(PAID), judgement)
    assert lines[2] == "replayed     failed (1.2 s)"
    assert lines[3].split() == [
        "distance",
        "over",
        "all",
        "parameters",
        "4.1",
        "%",
        "tolerance",
        "0.1",
        "%",
        "fail",
    ]
    assert " ".join(lines[4].split()) == "exponents of the payload differ"
    assert lines[-1] == "  the miner's trace is not public, so it was not compared"


def test_a_judgement_that_instability_excuses_says_so() -> None:
    far = Measure(MeasureKind.OVERALL, 41_000, 1_000, unstable=True)
    judgement = Judgement(far.verdict, far, (far,), False, 12_000_000, 1_250)
    document = judgement_document(found(PAID), judgement)
    assert (document["verdict"], document["unstable"]) == ("void", True)
    assert document["instability_ppm"] == 12_000_000
    text = "\n".join(judgement_text(found(PAID), judgement))
    assert "honest replays drift apart here, so its distance proves nothing" in text
    assert "12  tolerances apart" in text
