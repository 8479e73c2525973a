"""What a final ruling does: to the lease, to a challenge, to its miner and to those who judged."""

from dataclasses import replace
from typing import Final

from potp2p.foundation.committee import weak_quorum
from potp2p.foundation.types import NodeId
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.incentives.rewards import audit_worth
from potp2p.protocol.ledger.audit_records import (
    Audit,
    AuditorRecord,
    AuditPhase,
    Conduct,
)
from potp2p.protocol.ledger.auditors import note_lapse
from potp2p.protocol.ledger.booking import withdraw_weight
from potp2p.protocol.ledger.challenges import settle_challenge
from potp2p.protocol.ledger.context import BlockContext
from potp2p.protocol.ledger.convictions import Bounty, convict, punish_auditor, share_out
from potp2p.protocol.ledger.findings import OPPOSITE, calls_unstable, report_verdict
from potp2p.protocol.ledger.keys import LeasePlace
from potp2p.protocol.ledger.miners import is_banned
from potp2p.protocol.ledger.records import LeaseStatus
from potp2p.protocol.ledger.state import State
from potp2p.protocol.ledger.tasks import price_of
from potp2p.protocol.verification.verdict import Verdict

STATUS_OF: Final = {
    Verdict.PASS: LeaseStatus.PASSED,
    Verdict.VOID: LeaseStatus.VOID,
    Verdict.FAIL: LeaseStatus.REJECTED,
}


def close_audit(
    state: State,
    context: BlockContext,
    place: LeasePlace,
    audit: Audit,
    found: Verdict | None,
) -> None:
    """
    Make a ruling final: void where the judges found none.

    The order matters: a lost stake pays the judges before its bond may be slashed for cheating,
    liars are slashed before their challenger is rewarded, and provers are paid from what is left.
    """
    verdict = Verdict.VOID if found is None else found
    if verdict is Verdict.VOID:
        _note_instability(state, place, audit)
    lease = state.lease(*place)
    if audit.provisional is Verdict.FAIL:
        _end_suspension(state, lease.miner)
    audit = settle_challenge(state, place, audit, found)
    if found is not None:
        audit = _judge_reports(state, context, place, audit, found)
    audit = replace(
        audit,
        phase=AuditPhase.FINAL,
        deadline=context.height,
        final=verdict,
        closed=context.height,
    )
    state.put_audit(*place, audit)
    lease = state.lease(*place)
    status = STATUS_OF[verdict]
    is_dropped = place[2] in state.round(place[0], place[1]).dropped
    if verdict is Verdict.PASS and (is_dropped or is_banned(state, lease.miner, context.height)):
        # Out of its set whatever the replay says, or convicted of another contribution meanwhile:
        # all its open pay is forfeited (DESIGN 8.5).
        status = LeaseStatus.VOID
    if status is not LeaseStatus.PASSED:
        lease = withdraw_weight(state, place, lease)
    state.put_lease(*place, replace(lease, status=status))
    if verdict is Verdict.FAIL:
        bounty = Bounty(_provers(state, place, audit), _reward(state, context, place))
        penalty = convict(state, context, place[0], lease.miner, bounty)
        state.put_audit(*place, replace(audit, penalty=penalty))


def _note_instability(state: State, place: LeasePlace, audit: Audit) -> None:
    """
    Count a void ruling against its task where an honest judge found that replays drift apart.

    Several of these end the task (`rounds.py`). Until then what is void is unpaid work: at most the
    audited contributions of the rounds that are open by then. A client gains no more by a rule
    that it chose to be unstable, and has a model that honest machines do not agree on. A league of
    auditors cannot end a task: among f + 1 judges one is honest.
    """
    if calls_unstable(state, place, audit, audit.judges) >= weak_quorum(len(audit.judges)):
        task = state.task(place[0])
        state.put_task(place[0], replace(task, unstable=task.unstable + 1))


def _end_suspension(state: State, node: NodeId) -> None:
    account = account_of(node)
    miner = state.miner(account)
    assert miner is not None, "a lease belongs to a registered miner"
    assert miner.suspended > 0, "a suspension that nobody began"
    state.put_miner(account, replace(miner, suspended=miner.suspended - 1))


def _judge_reports(
    state: State, context: BlockContext, place: LeasePlace, audit: Audit, verdict: Verdict
) -> Audit:
    """
    Slash, once, whoever opened a report that contradicts the final verdict.

    A report that merely differs from it is unpaid: else saying void of everything would cost
    nothing, call all judges every time, and earn as much as honest work. Drawn auditors that agreed
    and were not challenged differ from nothing.
    """
    callees = (*audit.auditors, *audit.judges)
    # Hundreds of entries are compared for each report: once.
    said = [report_verdict(state, place, audit, each) for each in callees]
    judged = tuple(_judged(each, found, verdict) for each, found in zip(callees, said, strict=True))
    liars = dict.fromkeys(each.auditor for each in judged if each.conduct is Conduct.LIED)
    taken = sum(punish_auditor(state, context, node) for node in liars)
    for each, found in zip(audit.auditors, said, strict=False):
        if found not in (None, verdict):
            note_lapse(state, each.auditor)
    drawn = len(audit.auditors)
    audit = replace(audit, auditors=judged[:drawn], judges=judged[drawn:])
    if not taken:
        return audit
    winner = audit.challenge
    # A challenger that expects a fail is rewarded out of its miner's bond, as a prover.
    won = winner is not None and not winner.lost and not winner.expects_fail
    rewarded = (winner.challenger,) if winner is not None and won else ()
    bounty = Bounty(rewarded, _reward(state, context, place))
    return replace(audit, liars=share_out(state, place[0], taken, bounty))


def _judged(each: AuditorRecord, said: Verdict | None, verdict: Verdict) -> AuditorRecord:
    """Return the record of a callee whose report amounts to something, by a final verdict."""
    if said is None or said is verdict:
        return each
    lied = OPPOSITE.get(verdict) is said
    return replace(each, conduct=Conduct.LIED if lied else Conduct.DISSENTED)


def _provers(state: State, place: LeasePlace, audit: Audit) -> tuple[NodeId, ...]:
    """
    Return who proved a failure by a replay, in order and each once, and who had to ask for it.

    Nobody where the trace was not opened: else its auditors would gain by keeping an honest
    miner's opening out of the chain.
    """
    if audit.trace is None:
        return ()
    found = [
        each.auditor
        for each in (*audit.auditors, *audit.judges)
        if report_verdict(state, place, audit, each) is Verdict.FAIL
    ]
    challenge = audit.challenge
    if challenge is not None and challenge.expects_fail and not challenge.lost:
        found.append(challenge.challenger)
    return tuple(dict.fromkeys(found))


def _reward(state: State, context: BlockContext, place: LeasePlace) -> int:
    """Return what a prover earns besides its pay: as much as an audit is worth."""
    task, training = state.task(place[0]), context.genesis.training
    price = price_of(task.rules, task.budget, context.genesis)
    return audit_worth(price, rate=training.audit_rate, committee=training.audit_committee)


def paid_for_work(audit: Audit) -> tuple[NodeId, ...]:
    """
    Return whose replays of a closed audit are paid from the round's share for auditors.

    Who failed as a drawn auditor is not paid as a judge either: it may be why there are judges.
    """
    by_stake = audit.challenge is not None and audit.challenge.lost
    failed = {each.auditor for each in audit.auditors if each.conduct is not Conduct.CALLED}
    judges = [each for each in audit.judges if each.auditor not in failed]
    callees = audit.auditors if by_stake else (*audit.auditors, *judges)
    return tuple(
        each.auditor
        for each in callees
        if each.report is not None and each.conduct is Conduct.CALLED
    )
