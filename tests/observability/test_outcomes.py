"""Words for what became of a contribution: each reason has its own, and none is empty."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from potp2p.foundation.types import (
    POT,
    Amount,
    Height,
    PartsPerMillion,
)
from potp2p.observability.outcomes import outcome_for, outcome_of, steps_of
from potp2p.protocol.crypto.identity import account_of, encode_address
from potp2p.protocol.ledger.audit_records import (
    AuditPhase,
    AuditReason,
    ChallengeRecord,
    Conduct,
    Escalation,
    Penalty,
)
from potp2p.protocol.ledger.receipt_records import Receipt
from potp2p.protocol.ledger.records import LeaseStatus
from potp2p.protocol.ledger.round_records import Beaten, Fine
from potp2p.protocol.verification.verdict import MeasureKind, Verdict
from tests.doubles.receipts import (
    AUDITOR,
    CLAIM,
    FAILED,
    MINER,
    MISSED,
    OTHER,
    PAID,
    REJECTED,
    SILENT,
    SPLIT,
    VOID,
    audit,
    line,
)

UNSERVED = replace(MISSED, attested=1)


@pytest.mark.parametrize(
    ("receipt", "code", "text"),
    [
        (PAID, "paid", "paid 1 POT at height 512"),
        (
            replace(PAID, bonded=Amount(POT // 4)),
            "paid",
            "paid 1 POT at height 512, 0.25 POT of it kept as bond",
        ),
        (replace(MISSED, claim=None), "not_paid", "not paid: no claim came in time"),
        (
            replace(MISSED, attested=1),
            "not_paid",
            "not paid: 1 of 4 validators attested the payload, 2 were needed",
        ),
        (MISSED, "not_paid", "not paid: the miner was banned before the set was fixed"),
        (
            replace(MISSED, attested=2),
            "not_paid",
            "not paid: the miner was banned before the set was fixed",
        ),
        (
            replace(VOID, dropped=True),
            "not_paid",
            "not paid and not slashed: another contribution of the round claimed the same payload "
            "first",
        ),
        (
            VOID,
            "not_paid",
            "not paid and not slashed: all open pay of the miner was forfeited when another "
            "contribution was rejected",
        ),
        (
            replace(VOID, audit=audit(line(Verdict.VOID), final=Verdict.VOID)),
            "not_paid",
            "not paid and not slashed: distance over all parameters 0.2 %, tolerance 0.1 %: "
            "between one tolerance and three",
        ),
        (
            replace(VOID, audit=SPLIT),
            "not_paid",
            "not paid and not slashed: no quorum of validators agreed on a verdict",
        ),
        (
            REJECTED,
            "slashed",
            "slashed 20 POT and banned: distance over all parameters 4.1 %, tolerance 0.1 %",
        ),
        (
            replace(UNSERVED, fines=(Fine(MINER, Amount(POT // 4)),)),
            "fined",
            "fined 0.25 POT: it claimed, and 1 of 4 validators attested the payload, 2 were needed",
        ),
        (
            replace(UNSERVED, fines=(Fine(MINER, Amount(0)),)),
            "not_paid",
            "not paid, with no bond left to fine: it claimed, and 1 of 4 validators attested the "
            "payload, 2 were needed",
        ),
        (
            replace(PAID, fines=(Fine(AUDITOR, Amount(POT // 4)),)),
            "paid",
            "paid 1 POT at height 512",
        ),
        (
            replace(REJECTED, audit=SILENT),
            "slashed",
            "banned, with nothing left to slash: the trace was not opened in time, asked for at "
            "height 440",
        ),
        (
            replace(
                REJECTED,
                audit=replace(FAILED, auditors=(line(Verdict.FAIL, kind=MeasureKind.EXPONENTS),)),
            ),
            "slashed",
            "banned, with nothing left to slash: exponents of the payload differ",
        ),
    ],
)
def test_every_end_has_its_reason(receipt: Receipt, code: str, text: str) -> None:
    outcome = outcome_of(receipt)
    assert (outcome.code, outcome.text) == (code, text)


def test_a_claim_beside_the_winning_one_has_an_outcome_of_its_own() -> None:
    receipt = replace(PAID, fines=(Fine(OTHER, Amount(POT // 4)),))
    beaten = outcome_for(receipt, account_of(OTHER))
    assert beaten.code == "fined"
    assert beaten.text == "fined 0.25 POT: it claimed, and fewer than 2 attested"
    assert outcome_for(receipt, account_of(MINER)) == outcome_of(receipt)
    steps = [step.text for step in steps_of(receipt) if step.height == receipt.fixed]
    assert steps[1].startswith("fined 0.25 POT, burned: ")


@pytest.mark.parametrize(
    ("beaten", "text", "step"),
    [
        (
            Beaten(OTHER, stood_in=False, claimed=Height(CLAIM.height + 2)),
            f"a stand-in, called at half time, claimed first, at height {CLAIM.height}, not "
            f"{CLAIM.height + 2}",
            f"claimed at height {CLAIM.height + 2}; the claim that counts is the other's",
        ),
        (
            Beaten(OTHER, stood_in=False, claimed=Height(CLAIM.height - 1)),
            f"a stand-in, called at half time, claimed later, at height {CLAIM.height}, and that "
            "claim counts",
            f"claimed at height {CLAIM.height - 1}; the claim that counts is the other's",
        ),
        (
            Beaten(OTHER, stood_in=False, claimed=Height(0)),
            "no claim came by half time, and a stand-in's came before the deadline",
            "made no claim in time; the claim that counts is the other's",
        ),
        (
            Beaten(OTHER, stood_in=True, claimed=Height(CLAIM.height)),
            f"the lease's holder claimed first, at height {CLAIM.height}, not {CLAIM.height}",
            f"claimed at height {CLAIM.height}; the claim that counts is the other's",
        ),
    ],
)
def test_whose_claim_was_beaten_is_told_so_and_by_whom(
    beaten: Beaten, text: str, step: str
) -> None:
    receipt = replace(PAID, beaten=beaten)
    outcome = outcome_for(receipt, account_of(OTHER))
    assert (outcome.code, outcome.text) == ("not_paid", f"not paid: {text}")
    assert outcome_for(receipt, account_of(MINER)) == outcome_of(receipt)
    assert receipt.claimants == {MINER, OTHER}
    steps = [each.text for each in steps_of(receipt)]
    holder, second = (MINER, OTHER) if beaten.stood_in else (OTHER, MINER)
    assert steps[0] == f"leased to {encode_address(account_of(holder))}"
    assert steps[1].endswith(f"{encode_address(account_of(second))} was called to stand in")
    assert steps[2] == f"{encode_address(account_of(OTHER))} {step}"


def waiting() -> Iterator[tuple[Receipt, str]]:
    """Yield a view of every state that a lease waits in."""
    bare = replace(PAID, height=Height(0), claim=None, score=Amount(0), fixed=Height(0))
    yield replace(bare, status=LeaseStatus.OPEN), "no claim yet"
    claimed = replace(bare, claim=CLAIM, attested=1, status=LeaseStatus.CLAIMED)
    yield claimed, "1 of 4 validators attested the payload, 2 are needed"
    accepted = replace(PAID, height=Height(0), status=LeaseStatus.ACCEPTED)
    yield accepted, "in the round's set, audits are not drawn yet"
    yield replace(accepted, status=LeaseStatus.PASSED), "paid once its round is settled"
    honest = audit(line(Verdict.PASS), final=Verdict.PASS)
    passed = replace(accepted, status=LeaseStatus.PASSED, audit=honest)
    yield passed, "found honest; paid once its round is settled"
    for phase, text in (
        (AuditPhase.COMMIT, "the auditors replay"),
        (AuditPhase.REVEAL, "miner and auditors open"),
        (AuditPhase.WINDOW, "ruled honest, open to a challenge"),
        (AuditPhase.COMMIT_ALL, "all validators replay"),
        (AuditPhase.REVEAL_ALL, "all validators open"),
    ):
        under = replace(audit(line(None), final=None), phase=phase, provisional=Verdict.PASS)
        yield replace(accepted, status=LeaseStatus.AUDITED, audit=under), text
        yield replace(accepted, status=LeaseStatus.AUDITED, audit=under), "until height 470"


@pytest.mark.parametrize(("receipt", "text"), list(waiting()))
def test_an_open_contribution_says_what_it_waits_for(receipt: Receipt, text: str) -> None:
    outcome = outcome_of(receipt)
    assert outcome.code == "open"
    assert outcome.text.startswith("open: ")
    assert text in outcome.text


@pytest.mark.parametrize("reason", AuditReason)
@pytest.mark.parametrize("escalation", [None, *Escalation])
def test_every_step_is_told_in_order(reason: AuditReason, escalation: Escalation | None) -> None:
    full = replace(
        SPLIT,
        reason=reason,
        escalation=escalation,
        auditors=tuple(line(None, conduct=each) for each in Conduct) + SPLIT.auditors,
        challenge=ChallengeRecord(OTHER, True, Amount(3 * POT), Height(452), lost=True),
        penalty=Penalty(Amount(20 * POT), Amount(10 * POT), (AUDITOR, OTHER), Amount(POT)),
        liars=Penalty(Amount(4 * POT), Amount(2 * POT), (), Amount(0)),
    )
    steps = list(steps_of(replace(REJECTED, audit=full)))
    heights = [step.height for step in steps if step.height is not None]
    assert heights[0] == 400
    assert heights[-1] == 512
    assert all(step.text for step in steps)
    told = "\n".join(step.text for step in steps)
    assert "claimed payload 0a0a0a0a0a0a0a0a, loss 2.3000 -> 2.1000" in told
    assert "stayed away" in told
    assert "committed and did not open" in told
    assert "stake 3 POT, lost" in told
    assert "slashed the miner by 20 POT: 10 POT burned" in told
    assert "8 POT to the task" in told
    assert "slashed lying auditors by 4 POT: 2 POT burned, 2 POT to the task" in told


def test_an_empty_bond_is_said_to_be_empty() -> None:
    empty = Penalty(Amount(0), Amount(0), (AUDITOR,), Amount(0))
    told = [step.text for step in steps_of(replace(REJECTED, audit=replace(SPLIT, penalty=empty)))]
    assert "the miner: nothing was left of the bond to slash" in told


@pytest.mark.parametrize("receipt", [MISSED, VOID, REJECTED])
def test_what_is_final_is_told_before_its_round_is_settled(receipt: Receipt) -> None:
    assert outcome_of(replace(receipt, height=Height(0))) == outcome_of(receipt)


def test_what_instability_excuses_says_so_and_what_the_client_can_do() -> None:
    unstable = replace(
        line(Verdict.VOID),
        measured=PartsPerMillion(41_000),
        excused=True,
        instability=PartsPerMillion(40_000_000),
    )
    found = replace(VOID, audit=audit(unstable, line(Verdict.VOID, who=OTHER), final=Verdict.VOID))
    assert outcome_of(found).text == (
        "not paid and not slashed: distance over all parameters 4.1 %, tolerance 0.1 %, but honest "
        "replays drift apart here: the auditor's own two lie 40 tolerances apart; lower the rate, "
        "take fewer local steps or raise eps"
    )
    told = [step.text for step in steps_of(found)]
    assert any("void, distance over all" in each and "40 tolerances apart" in each for each in told)
