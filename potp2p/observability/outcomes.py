"""Receipts in words: why a contribution was paid, not paid or slashed, and every step before."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, assert_never

from potp2p.foundation.amounts import CURRENCY, format_amount
from potp2p.foundation.committee import weak_quorum
from potp2p.foundation.types import AccountId, NodeId
from potp2p.protocol.crypto.identity import account_of, encode_address
from potp2p.protocol.ledger.audit_records import (
    AuditPhase,
    AuditReason,
    ChallengeRecord,
    Conduct,
    Escalation,
    Penalty,
)
from potp2p.protocol.ledger.receipt_records import AuditReceipt, Receipt, ReportLine
from potp2p.protocol.ledger.records import LeaseStatus
from potp2p.protocol.ledger.round_records import Beaten, Fine
from potp2p.protocol.verification.verdict import MeasureKind, Verdict

PPM: Final = 1_000_000
MEASURES: Final = {
    MeasureKind.OVERALL: "distance over all parameters",
    MeasureKind.TENSOR: "largest distance of one tensor",
    MeasureKind.EXPONENTS: "exponents of the payload",
    MeasureKind.TRACE_LENGTH: "length of the trace",
    MeasureKind.TRACE_LOSS: "loss of a micro-batch",
    MeasureKind.TRACE_NORM: "gradient norm of a micro-batch",
    MeasureKind.LOSS_BEFORE: "claimed loss before training",
    MeasureKind.LOSS_AFTER: "claimed loss after training",
}
VERDICTS: Final = {
    Verdict.PASS: "honest",
    Verdict.VOID: "void",
    Verdict.FAIL: "failed",
}
REASONS: Final = {
    AuditReason.DRAWN: "drawn by its probability",
    AuditReason.FLAGGED: "the screens suspect it: it repeats another payload or opposes the rest",
    AuditReason.DIVERGED: "it claims that its loss was not finite",
    AuditReason.UNCOVERED: "the bond does not cover the pay",
    AuditReason.CHALLENGED: "not drawn, but challenged",
}
ESCALATIONS: Final = {
    Escalation.NO_AUDITOR: "nobody could be drawn",
    Escalation.ABSENT: "an auditor stayed away, and nobody took its place",
    Escalation.UNOPENED: "an auditor committed and did not open",
    Escalation.SPLIT: "auditors disagree",
    Escalation.CHALLENGE: "somebody bonded disputes the ruling",
    Escalation.UNSTABLE: "the auditors' own replays drift apart",
}
UNSTABLE: Final = "honest replays drift apart here"
ADVICE: Final = "lower the rate, take fewer local steps or raise eps"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended, or what it waits for: a stable code and one line."""

    code: str
    """paid, not_paid, fined, slashed or open."""
    text: str


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened; None where no height is known."""

    height: int | None
    text: str


def outcome_of(receipt: Receipt) -> Outcome:
    """Return the one line that matters."""
    match receipt.status:
        case LeaseStatus.MISSED if receipt.fined is not None:
            return _fined(receipt, receipt.fined)
        case LeaseStatus.MISSED:
            return Outcome("not_paid", f"not paid: {_why_missed(receipt)}")
        case LeaseStatus.VOID:
            return Outcome("not_paid", f"not paid and not slashed: {_why_void(receipt)}")
        case LeaseStatus.REJECTED:
            return _rejected(receipt)
        case LeaseStatus.PASSED if receipt.height:
            kept = f", {pot(receipt.bonded)} of it kept as bond" if receipt.bonded else ""
            return Outcome("paid", f"paid {pot(receipt.paid)} at height {receipt.height}{kept}")
        case _:
            return Outcome("open", f"open: {_what_is_awaited(receipt)}")


def outcome_for(receipt: Receipt, account: AccountId) -> Outcome:
    """Return what matters to one of those who claimed the lease, where another's claim won it."""
    for fine in receipt.fines:
        if account_of(fine.miner) == account:
            return _fined(receipt, fine)
    if receipt.beaten is not None and account_of(receipt.beaten.miner) == account:
        return Outcome("not_paid", f"not paid: {_why_beaten(receipt, receipt.beaten)}")
    return outcome_of(receipt)


def _why_beaten(receipt: Receipt, beaten: Beaten) -> str:
    """Return why another's claim for the shard is the round's."""
    assert receipt.claim is not None, "only a claim beats"
    if not beaten.claimed:
        return "no claim came by half time, and a stand-in's came before the deadline"
    who = "the lease's holder" if beaten.stood_in else "a stand-in, called at half time,"
    if beaten.claimed >= receipt.claim.height:
        return f"{who} claimed first, at height {receipt.claim.height}, not {beaten.claimed}"
    return f"{who} claimed later, at height {receipt.claim.height}, and that claim counts"


def _fined(receipt: Receipt, fine: Fine) -> Outcome:
    cost = f"fined {pot(fine.amount)}" if fine.amount else "not paid, with no bond left to fine"
    needed = weak_quorum(receipt.judges)
    own = _why_missed(receipt) if fine.miner == receipt.miner else f"fewer than {needed} attested"
    return Outcome("fined" if fine.amount else "not_paid", f"{cost}: it claimed, and {own}")


def _why_missed(receipt: Receipt) -> str:
    if receipt.claim is None:
        return "no claim came in time"
    needed = weak_quorum(receipt.judges)
    if receipt.attested >= needed:
        return "the miner was banned before the set was fixed"
    return f"{_attested(receipt)}, {needed} were needed"


def _attested(receipt: Receipt) -> str:
    return f"{receipt.attested} of {receipt.judges} validators attested the payload"


def _why_void(receipt: Receipt) -> str:
    if receipt.dropped:
        return "another contribution of the round claimed the same payload first"
    audit = receipt.audit
    if audit is None or audit.final is Verdict.PASS:
        return "all open pay of the miner was forfeited when another contribution was rejected"
    worst = _worst(audit)
    if worst is not None and worst.excused:
        return f"{numbers(worst)}, but {UNSTABLE}: {apart(worst)}; {ADVICE}"
    if worst is not None:
        return f"{numbers(worst)}: between one tolerance and three"
    if audit.judges:
        return "no quorum of validators agreed on a verdict"
    return "the audit found no verdict"


def _rejected(receipt: Receipt) -> Outcome:
    audit = receipt.audit
    assert audit is not None, "nothing is rejected without an audit"
    slashed = 0 if audit.penalty is None else audit.penalty.taken
    cost = f"slashed {pot(slashed)} and banned" if slashed else "banned, with nothing left to slash"
    if not audit.opened:
        since = audit.escalated or audit.revealed
        why = f"the trace was not opened in time, asked for at height {since}"
    else:
        worst = _worst(audit)
        why = "a replay differs" if worst is None else numbers(worst)
    return Outcome("slashed", f"{cost}: {why}")


def _what_is_awaited(receipt: Receipt) -> str:
    audit = receipt.audit
    if audit is not None:
        over = audit.phase is AuditPhase.FINAL
        return _phase(audit) + ("" if over else f", until height {audit.deadline} at the latest")
    match receipt.status:
        case LeaseStatus.OPEN:
            return "no claim yet"
        case LeaseStatus.CLAIMED:
            return f"{_attested(receipt)}, {weak_quorum(receipt.judges)} are needed"
        case LeaseStatus.PASSED:
            return "not drawn for an audit; paid once its round is settled"
        case _:
            return "in the round's set, audits are not drawn yet"


def _phase(audit: AuditReceipt) -> str:
    match audit.phase:
        case AuditPhase.COMMIT:
            return "under audit, the auditors replay"
        case AuditPhase.REVEAL:
            return "under audit, miner and auditors open"
        case AuditPhase.WINDOW:
            assert audit.provisional is not None
            return f"ruled {VERDICTS[audit.provisional]}, open to a challenge"
        case AuditPhase.COMMIT_ALL:
            return "all validators replay"
        case AuditPhase.REVEAL_ALL:
            return "all validators open"
        case AuditPhase.FINAL:
            return "found honest; paid once its round is settled"
        case _:
            assert_never(audit.phase)


def steps_of(receipt: Receipt) -> Iterator[Step]:
    """Yield everything that happened, in order; auditors follow their draw, judges their call."""
    yield from _holders(receipt)
    claim = receipt.claim
    if claim is not None:
        losses = f"loss {claim.loss_before / PPM:.4f} -> {claim.loss_after / PPM:.4f}"
        said = "says that it diverged" if claim.diverged else losses
        yield Step(claim.height, f"claimed payload {claim.payload.hex()[:16]}, {said}")
    if receipt.fixed:
        inside = receipt.status is not LeaseStatus.MISSED
        place = "in the round's set" if inside else "not in the round's set"
        yield Step(receipt.fixed, f"{_attested(receipt)}: {place}")
    for fine in receipt.fines:
        yield Step(receipt.fixed, _fine(fine))
    if receipt.dropped:
        yield Step(None, "taken out of the set: it repeats an earlier payload")
    if receipt.score:
        yield Step(None, f"score {receipt.score}, lottery weight {pot(receipt.weight)}")
    if receipt.audit is not None:
        yield from _audit_steps(receipt, receipt.audit)
    elif receipt.probability:
        yield Step(None, f"not drawn for an audit, whose probability was {share(receipt)}")
    if receipt.height:
        yield Step(receipt.height, f"settled: {outcome_of(receipt).text}")


def _holders(receipt: Receipt) -> Iterator[Step]:
    """Yield who had the shard, and what became of the one that another's claim beat."""
    beaten = receipt.beaten
    first = receipt.miner if beaten is None or beaten.stood_in else beaten.miner
    yield Step(receipt.started, f"leased to {address(first)}")
    if beaten is None:
        return
    second = beaten.miner if beaten.stood_in else receipt.miner
    yield Step(None, f"no claim at half time: {address(second)} was called to stand in")
    came = f"claimed at height {beaten.claimed}" if beaten.claimed else "made no claim in time"
    yield Step(None, f"{address(beaten.miner)} {came}; the claim that counts is the other's")


def _fine(fine: Fine) -> str:
    who = f"{address(fine.miner)}, which claimed and whose payload was not attested"
    if not fine.amount:
        return f"no bond was left to fine of {who}"
    return f"fined {pot(fine.amount)}, burned: {who}"


def _audit_steps(receipt: Receipt, audit: AuditReceipt) -> Iterator[Step]:
    chance = f" ({share(receipt)})" if audit.reason is AuditReason.DRAWN else ""
    yield Step(audit.drawn, f"audited: {REASONS[audit.reason]}{chance}")
    for line in audit.auditors:
        yield Step(None, f"auditor {address(line.auditor)}: {report(line)}")
    if audit.revealed or audit.escalated:
        word = "opened its trace" if audit.opened else "did not open its trace"
        if audit.opened or audit.phase is AuditPhase.FINAL:
            yield Step(audit.revealed or audit.escalated, f"the miner {word}")
    if audit.provisional is not None:
        yield Step(audit.ruled, f"ruling: {VERDICTS[audit.provisional]}")
    if audit.challenge is not None:
        yield Step(
            audit.challenge.height, _challenge(audit.challenge, over=audit.final is not None)
        )
    if audit.escalation is not None:
        yield Step(audit.escalated, f"all validators replay: {ESCALATIONS[audit.escalation]}")
    for line in audit.judges:
        yield Step(None, f"validator {address(line.auditor)}: {report(line)}")
    if audit.final is not None:
        yield Step(audit.closed, f"final ruling: {VERDICTS[audit.final]}")
    for whose, penalty in (("the miner", audit.penalty), ("lying auditors", audit.liars)):
        if penalty is not None:
            yield Step(audit.closed, _penalty(whose, penalty))


def _challenge(challenge: ChallengeRecord, *, over: bool) -> str:
    expects = "a failure" if challenge.expects_fail else "an honest result"
    stake = f"stake {pot(challenge.stake)}"
    end = "" if not over else ", lost" if challenge.lost else ", returned"
    return f"challenged by {address(challenge.challenger)}, who expects {expects} ({stake}{end})"


def _penalty(whose: str, penalty: Penalty) -> str:
    if not penalty.taken:
        return f"{whose}: nothing was left of the bond to slash"
    rewarded = ", ".join(address(node) for node in penalty.rewarded)
    reward = f", {pot(penalty.reward)} each to {rewarded}" if penalty.rewarded else ""
    left = penalty.taken - penalty.burned - penalty.reward * len(penalty.rewarded)
    return (
        f"slashed {whose} by {pot(penalty.taken)}: {pot(penalty.burned)} burned{reward}, "
        f"{pot(left)} to the task"
    )


def report(line: ReportLine) -> str:
    """Return what an auditor did, in words."""
    if line.conduct is Conduct.ABSENT:
        return "stayed away"
    if line.conduct is Conduct.SILENT:
        return "committed and did not open"
    if line.verdict is None:
        return "committed" if line.committed else "has not committed"
    lie = "; slashed: the final ruling says otherwise" if line.conduct is Conduct.LIED else ""
    if line.conduct is Conduct.DISSENTED:
        lie = "; unpaid: the final ruling differs"
    return f"{finding(line)}{lie}"


def finding(line: ReportLine) -> str:
    """Return a verdict with the number that decided it."""
    assert line.verdict is not None
    why = f", but {UNSTABLE}: {apart(line)}" if line.excused else ""
    return f"{VERDICTS[line.verdict]}, {numbers(line)}{why}"


def apart(line: ReportLine) -> str:
    """Return how far an auditor's own replays lie apart."""
    return f"the auditor's own two lie {line.instability / PPM:.3g} tolerances apart"


def numbers(line: ReportLine) -> str:
    """Return what decided a verdict, beside its tolerance."""
    assert line.measure is not None
    what = MEASURES[line.measure]
    if not line.tolerance:
        return f"{what} {'differ' if line.measured else 'fit'}"
    return f"{what} {percent(line.measured)}, tolerance {percent(line.tolerance)}"


def _worst(audit: AuditReceipt) -> ReportLine | None:
    """Return the finding that speaks for the ruling: of those that agree with it, the worst."""
    lines = [
        line
        for line in (*audit.judges, *audit.auditors)
        if line.verdict is not None and line.verdict is audit.final
    ]
    return max(lines, key=lambda line: line.measured * PPM // max(line.tolerance, 1), default=None)


def share(receipt: Receipt) -> str:
    """Return the probability of an audit."""
    return percent(receipt.probability)


def percent(ppm: int) -> str:
    """Return parts per million as a percentage."""
    return f"{ppm / 10_000:.4g} %"


def pot(amount: int) -> str:
    """Return an amount with its currency."""
    return f"{format_amount(amount)} {CURRENCY}"


def address(node: NodeId) -> str:
    """Return a node as people name it."""
    return encode_address(account_of(node))
