"""
How an audit moves on at a block's end: every path ends in a final ruling.

COMMIT -> REVEAL -> WINDOW -> FINAL where drawn auditors agree; whatever keeps them from agreeing,
or a challenge, leads once to COMMIT_ALL -> REVEAL_ALL -> FINAL. Each phase has a deadline, so the
longest path is commit, commit of replacements, reveal, window and both phases of the judges:
`audit_reach`, which a bond must outlast.
"""

from collections import Counter
from dataclasses import dataclass, replace
from typing import assert_never

from potp2p.foundation.committee import quorum
from potp2p.foundation.types import Cycle, Height, NodeId, Round, TaskId
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.ledger.audit_reach import judges_blocks, replay_blocks
from potp2p.protocol.ledger.audit_records import (
    Audit,
    AuditorRecord,
    AuditPhase,
    Conduct,
    Escalation,
)
from potp2p.protocol.ledger.auditors import AuditorPool, note_lapse, open_pool
from potp2p.protocol.ledger.audits import called, escalate, with_callees
from potp2p.protocol.ledger.context import BlockContext
from potp2p.protocol.ledger.findings import calls_unstable, report_verdict
from potp2p.protocol.ledger.keys import LeasePlace
from potp2p.protocol.ledger.rulings import close_audit
from potp2p.protocol.ledger.state import State
from potp2p.protocol.verification.verdict import Verdict
from potp2p.protocol.wire.blocks import NO_DIGEST


def advance_audits(state: State, context: BlockContext, task_id: TaskId, round_: Round) -> None:
    """Move every open audit of a round on as far as this block lets it."""
    record, pool = state.round(task_id, round_), _Replacements(state, context, task_id)
    still_open = tuple(
        shard
        for shard in record.audits
        if not _advance(state, context, (task_id, round_, shard), pool)
    )
    if still_open != record.audits:
        state.put_round(task_id, round_, replace(state.round(task_id, round_), audits=still_open))


@dataclass(slots=True)
class _Replacements:
    """Who may replace absent auditors of a round in this block: looked up once, and if needed."""

    state: State
    context: BlockContext
    task: TaskId
    _pool: AuditorPool | None = None

    def call(self, place: LeasePlace, count: int, before: tuple[NodeId, ...]) -> tuple[NodeId, ...]:
        """
        Draw with a new beacon from the table of the last cycle.

        Nobody can have changed that table knowing the beacon.
        """
        chain = self.state.chain()
        if self._pool is None:
            rules, cycle = self.state.task(self.task).rules, Cycle(max(0, chain.cycle - 1))
            self._pool = open_pool(self.state, self.context, rules, cycle)
        return self._pool.call(place, chain.beacon, count, before)


def _advance(state: State, context: BlockContext, place: LeasePlace, pool: _Replacements) -> bool:
    """Return whether the audit is over."""
    audit = before = state.audit(*place)
    late = context.height >= audit.deadline
    match audit.phase:
        case AuditPhase.COMMIT:
            audit = _end_commits(state, context, place, audit, pool, late=late)
        case AuditPhase.REVEAL:
            audit = _end_reveals(state, context, place, audit, late=late)
        case AuditPhase.COMMIT_ALL:
            if late or not _missing(audit.judges):
                audit = _open_all(state, context, place, audit)
        case AuditPhase.WINDOW:
            if late:
                assert audit.provisional is not None
                close_audit(state, context, place, audit, audit.provisional)
                return True
        case AuditPhase.REVEAL_ALL:
            if late or (audit.trace is not None and not _unopened(audit.judges)):
                _end_all(state, context, place, audit)
                return True
        case AuditPhase.FINAL:
            return True
        case _:
            assert_never(audit.phase)
    if audit is not before:
        # Hundreds may wait, each with long traces: what is written is encoded.
        state.put_audit(*place, audit)
    return False


def _end_commits(  # noqa: PLR0913  # one audit, and who else could do it
    state: State,
    context: BlockContext,
    place: LeasePlace,
    audit: Audit,
    pool: _Replacements,
    *,
    late: bool,
) -> Audit:
    """Open the reveals once all have committed; replace, once, who has not in time."""
    missing = _missing(audit.auditors)
    blocks = replay_blocks(context.genesis, state.task(place[0]).rules)
    if not missing:
        return replace(
            audit,
            phase=AuditPhase.REVEAL,
            deadline=Height(context.height + blocks),
            revealed=context.height,
        )
    if not late:
        return audit
    audit = _blame(state, audit, missing, Conduct.ABSENT)
    if audit.replaced:
        return escalate(state, context, place, audit, Escalation.ABSENT)
    before = tuple(each.auditor for each in audit.auditors)
    fresh = pool.call(place, len(missing), before)
    if len(fresh) < len(missing):
        return escalate(state, context, place, audit, Escalation.ABSENT)
    return replace(
        audit,
        auditors=(*audit.auditors, *called(fresh)),
        replaced=True,
        deadline=Height(context.height + blocks),
    )


def _end_reveals(
    state: State, context: BlockContext, place: LeasePlace, audit: Audit, *, late: bool
) -> Audit:
    """Rule provisionally once all have opened or time is up."""
    unopened = _unopened(audit.auditors)
    if not late and (unopened or audit.trace is None):
        return audit
    audit = _blame(state, audit, unopened, Conduct.SILENT)
    if audit.trace is None:
        # It was asked to show that it had trained, whatever its auditors say.
        return _rule(state, context, place, audit, Verdict.FAIL)
    if unopened:
        return escalate(state, context, place, audit, Escalation.UNOPENED)
    verdicts = set(_verdicts(state, place, audit, audit.auditors))
    if len(verdicts) != 1:
        return escalate(state, context, place, audit, Escalation.SPLIT)
    if calls_unstable(state, place, audit, audit.auditors):
        return escalate(state, context, place, audit, Escalation.UNSTABLE)
    return _rule(state, context, place, audit, verdicts.pop())


def _rule(
    state: State, context: BlockContext, place: LeasePlace, audit: Audit, verdict: Verdict
) -> Audit:
    """Let a ruling stand until somebody bonded disputes it; a fail suspends its miner at once."""
    if verdict is Verdict.FAIL:
        account = account_of(state.lease(*place).miner)
        miner = state.miner(account)
        assert miner is not None, "a lease belongs to a registered miner"
        state.put_miner(account, replace(miner, suspended=miner.suspended + 1))
    return replace(
        audit,
        phase=AuditPhase.WINDOW,
        deadline=Height(context.height + context.genesis.training.challenge_window),
        provisional=verdict,
        ruled=context.height,
    )


def _open_all(state: State, context: BlockContext, place: LeasePlace, audit: Audit) -> Audit:
    """Let judges open, and the miner if it has not."""
    audit = _blame(state, audit, _missing(audit.judges), Conduct.ABSENT)
    blocks = judges_blocks(context.genesis, state.task(place[0]).rules)
    return replace(audit, phase=AuditPhase.REVEAL_ALL, deadline=Height(context.height + blocks))


def _end_all(state: State, context: BlockContext, place: LeasePlace, audit: Audit) -> None:
    """Let a quorum's verdict stand for good; void where judges find none."""
    audit = _blame(state, audit, _unopened(audit.judges), Conduct.SILENT)
    if audit.trace is None:
        close_audit(state, context, place, audit, Verdict.FAIL)
        return
    for verdict, count in Counter(_verdicts(state, place, audit, audit.judges)).items():
        if count >= quorum(len(audit.judges)):
            close_audit(state, context, place, audit, verdict)
            return
    close_audit(state, context, place, audit, None)


def _missing(callees: tuple[AuditorRecord, ...]) -> tuple[AuditorRecord, ...]:
    return tuple(
        each for each in callees if each.conduct is Conduct.CALLED and each.commitment == NO_DIGEST
    )


def _unopened(callees: tuple[AuditorRecord, ...]) -> tuple[AuditorRecord, ...]:
    return tuple(each for each in callees if each.conduct is Conduct.CALLED and each.report is None)


def _blame(state: State, audit: Audit, who: tuple[AuditorRecord, ...], conduct: Conduct) -> Audit:
    """Note who failed its duty; a miner among them is no longer live, an auditor has lapsed."""
    for each in who:
        if audit.escalation is None:
            note_lapse(state, each.auditor)
        account = account_of(each.auditor)
        miner = state.miner(account)
        if miner is not None:
            state.put_miner(account, replace(miner, live=False))
    callees = tuple(
        replace(each, conduct=conduct) if each in who else each for each in audit.callees
    )
    return with_callees(audit, callees)


def _verdicts(
    state: State, place: LeasePlace, audit: Audit, callees: tuple[AuditorRecord, ...]
) -> tuple[Verdict, ...]:
    """Return what each opened report amounts to."""
    found = (report_verdict(state, place, audit, each) for each in callees)
    return tuple(each for each in found if each is not None)
