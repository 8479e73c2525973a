"""
Audits: who is drawn, and what miner, auditors and judges say until the ruling.

How an audit moves on at each block's end is `audit_phases.py`, what a ruling does `rulings.py`.
"""

from dataclasses import replace

from potp2p.foundation.committee import weak_quorum
from potp2p.foundation.errors import RejectionReason
from potp2p.foundation.types import Height, NodeId, PartsPerMillion, Round, TaskId
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.incentives.scores import most_of
from potp2p.protocol.ledger.audit_reach import judges_blocks, replay_blocks
from potp2p.protocol.ledger.audit_records import (
    Audit,
    AuditorRecord,
    AuditPhase,
    AuditReason,
    Conduct,
    Escalation,
)
from potp2p.protocol.ledger.auditors import AuditorPool, accounts_of, open_pool
from potp2p.protocol.ledger.context import BlockContext, Sender, require
from potp2p.protocol.ledger.heights import cycle_of
from potp2p.protocol.ledger.keys import LeasePlace
from potp2p.protocol.ledger.money import PPM, free_bond
from potp2p.protocol.ledger.records import LeaseRecord, LeaseStatus, RoundPhase, RoundRecord
from potp2p.protocol.ledger.seats import judges_of, revealers_since
from potp2p.protocol.ledger.state import State
from potp2p.protocol.ledger.tasks import price_of
from potp2p.protocol.verification.commitments import (
    Contribution,
    Finding,
    LeaseKey,
    audit_commitment,
    trace_commitment,
)
from potp2p.protocol.verification.sampling import audit_probability, drawing_beacon
from potp2p.protocol.wire.blocks import NO_DIGEST
from potp2p.protocol.wire.tasks import TaskRules
from potp2p.protocol.wire.transactions import AuditCommit, RevealAudit, RevealTrace


def draw_audits(state: State, context: BlockContext, task_id: TaskId, round_: Round) -> None:
    """
    Draw a round's audits with a turn of beacons after f + 1 further reveals (DESIGN 8.2).

    One for each judge, so that no primary decides about more than its part of any probability.
    The set and every probability in it were fixed before any of them revealed. The draw waits until
    the round's work is over and its screens are known, but not its beacon: else a primary that
    knows the next one could draw again by leaving a result out of its block.
    """
    record = state.round(task_id, round_)
    if record.drawn or record.phase not in (RoundPhase.RESULT, RoundPhase.AUDIT):
        return
    if record.draw_beacon == NO_DIGEST:
        seen = revealers_since(state, record.revealers, context, record.fixed)
        record = replace(record, revealers=seen)
        if len(record.revealers) >= weak_quorum(len(state.chain().seats)):
            record = replace(record, draw_beacons=(state.chain().beacon,))
    elif len(record.draw_beacons) < _turn(state, context, record):
        record = replace(record, draw_beacons=(*record.draw_beacons, state.chain().beacon))
    state.put_round(task_id, round_, record)
    is_whole = len(record.draw_beacons) == _turn(state, context, record)
    if is_whole and record.phase is RoundPhase.AUDIT:
        _draw_all(state, context, task_id, round_)


def _turn(state: State, context: BlockContext, record: RoundRecord) -> int:
    """Return how many beacons draw a round's audits."""
    return len(judges_of(state, record.started, context.genesis))


def _draw_all(state: State, context: BlockContext, task_id: TaskId, round_: Round) -> None:
    record = state.round(task_id, round_)
    cycle = cycle_of(record.fixed, context.genesis.consensus)
    pool = open_pool(state, context, state.task(task_id).rules, cycle)
    drawn = tuple(
        row.shard
        for row in record.leases
        if _is_to_be_drawn(state, (task_id, round_, row.shard))
        and _draw_one(state, context, (task_id, round_, row.shard), pool)
    )
    record = replace(
        record,
        drawn=True,
        audits=drawn,
        challenge_until=Height(context.height + context.genesis.training.challenge_window),
    )
    state.put_round(task_id, round_, record)


def _is_to_be_drawn(state: State, place: LeasePlace) -> bool:
    """Tell whether a contribution is open; one that repeats another's payload is audited too."""
    is_dropped = place[2] in state.round(place[0], place[1]).dropped
    return is_dropped or state.lease(*place).status is LeaseStatus.ACCEPTED


def _draw_one(state: State, context: BlockContext, place: LeasePlace, pool: AuditorPool) -> bool:
    """Decide about one contribution: an audit, or the word of those who attested it."""
    lease, beacons = state.lease(*place), state.round(place[0], place[1]).draw_beacons
    reason, probability = _why(state, place, lease)
    lease = replace(lease, probability=probability)
    beacon = drawing_beacon(beacons, *place, probability)
    if beacon is None:
        state.put_lease(*place, replace(lease, status=LeaseStatus.PASSED))
        return False
    state.put_lease(*place, replace(lease, status=LeaseStatus.AUDITED, audited=True))
    auditors = pool.call(place, beacon, context.genesis.training.audit_committee)
    audit = open_audit(context, state.task(place[0]).rules, reason, auditors)
    if not auditors:
        audit = escalate(state, context, place, audit, Escalation.NO_AUDITOR)
    state.put_audit(*place, audit)
    return True


def _why(
    state: State, place: LeasePlace, lease: LeaseRecord
) -> tuple[AuditReason, PartsPerMillion]:
    """Return why a contribution may be audited, and with which probability (ppm)."""
    assert lease.claim is not None, "the set holds claims only"
    record = state.round(place[0], place[1])
    if place[2] in (*record.flagged, *record.dropped):
        return AuditReason.FLAGGED, PartsPerMillion(PPM)
    if lease.claim.diverged:
        return AuditReason.DIVERGED, PartsPerMillion(PPM)
    covered = lease.probability < PPM
    return AuditReason.DRAWN if covered else AuditReason.UNCOVERED, lease.probability


def cover(state: State, context: BlockContext, place: LeasePlace) -> None:
    """
    Fix how probable the audit of a contribution is, and who may not do it, as its set is fixed.

    Later both could be changed by who knows the draw: a bond, a payout from just before it.
    """
    lease, money = state.lease(*place), context.genesis.money
    bond = free_bond(state.account(account_of(lease.miner)))
    probability = audit_probability(
        base=context.genesis.training.audit_rate,
        at_stake=_at_stake(state, context, place),
        bond=bond * money.slash_share // PPM,
    )
    related = {
        account
        for node in (lease.miner, state.task(place[0]).client)
        for account in accounts_of(state, node, context.genesis)
    }
    state.put_lease(
        *place,
        replace(lease, probability=PartsPerMillion(probability), related=tuple(sorted(related))),
    )


def _at_stake(state: State, context: BlockContext, place: LeasePlace) -> int:
    """Return R of DESIGN 8: the most that a lease earns in pay, in weight and in subsidy floor."""
    task, record = state.task(place[0]), state.round(place[0], place[1])
    price = price_of(task.rules, task.budget, context.genesis)
    blocks = record.fixed - record.started + 1
    subsidy = context.genesis.money.subsidy_floor * blocks // len(record.leases)
    return most_of(price.miner + price.burned + subsidy)


def open_audit(
    context: BlockContext, rules: TaskRules, reason: AuditReason, auditors: tuple[NodeId, ...]
) -> Audit:
    """Return an audit whose auditors have yet to commit."""
    blocks = replay_blocks(context.genesis, rules)
    return Audit(
        reason=reason,
        phase=AuditPhase.COMMIT,
        deadline=Height(context.height + blocks),
        auditors=called(auditors),
        replaced=False,
        judges=(),
        escalation=None,
        challenge=None,
        trace=None,
        provisional=None,
        final=None,
        drawn=context.height,
        revealed=Height(0),
        ruled=Height(0),
        escalated=Height(0),
        closed=Height(0),
        penalty=None,
        liars=None,
    )


def called(nodes: tuple[NodeId, ...]) -> tuple[AuditorRecord, ...]:
    """Return the records of auditors or judges that have said nothing yet."""
    return tuple(AuditorRecord(node, NO_DIGEST, None, Conduct.CALLED) for node in nodes)


def escalate(
    state: State, context: BlockContext, place: LeasePlace, audit: Audit, why: Escalation
) -> Audit:
    """Return the audit in the hands of all judges of the round; nothing escalates twice."""
    assert audit.escalation is None, "escalated twice"
    started = state.round(place[0], place[1]).started
    blocks = judges_blocks(context.genesis, state.task(place[0]).rules)
    return replace(
        audit,
        phase=AuditPhase.COMMIT_ALL,
        deadline=Height(context.height + blocks),
        judges=called(judges_of(state, started, context.genesis)),
        escalation=why,
        escalated=context.height,
    )


def apply_audit_commit(state: State, sender: Sender, action: AuditCommit) -> None:
    """Bind a drawn auditor or a judge to what it found, before anyone opens."""
    place = (action.task, action.round, action.shard)
    audit = state.audit(*place)
    require(action.commitment != NO_DIGEST, RejectionReason.OUT_OF_BOUNDS, "empty commitment")
    mine = _callee(audit, sender.node)
    committing = audit.phase in (AuditPhase.COMMIT, AuditPhase.COMMIT_ALL)
    require(committing, RejectionReason.TOO_LATE, "commits have ended")
    require(mine.conduct is Conduct.CALLED, RejectionReason.TOO_LATE, "replaced already")
    require(mine.commitment == NO_DIGEST, RejectionReason.DUPLICATE, "committed already")
    _put_callee(state, place, audit, replace(mine, commitment=action.commitment))


def apply_reveal_trace(state: State, sender: Sender, action: RevealTrace) -> None:
    """Open the audited miner's trace commitment; once escalated, until the escalation ends."""
    place = (action.task, action.round, action.shard)
    audit, lease = state.audit(*place), state.lease(*place)
    require(lease.miner == sender.node, RejectionReason.WRONG_SENDER, "another miner's trace")
    require(
        audit.phase is not AuditPhase.COMMIT,
        RejectionReason.TOO_EARLY,
        "auditors are still committing",
    )
    require(
        audit.is_revealing or audit.phase is AuditPhase.COMMIT_ALL,
        RejectionReason.TOO_LATE,
        "ruled already",
    )
    require(audit.trace is None, RejectionReason.DUPLICATE, "the trace is open")
    assert lease.claim is not None
    opened = trace_commitment(LeaseKey(*place, lease.miner), action.salt, action.trace)
    require(
        opened == lease.claim.trace_commitment,
        RejectionReason.BAD_PROOF,
        "trace does not open its commitment",
    )
    state.put_audit(*place, replace(audit, trace=action.trace))


def apply_reveal_audit(state: State, sender: Sender, action: RevealAudit) -> None:
    """Open the commitment of a drawn auditor or of a judge."""
    place = (action.task, action.round, action.shard)
    audit, lease = state.audit(*place), state.lease(*place)
    mine = _callee(audit, sender.node)
    committing = audit.phase in (AuditPhase.COMMIT, AuditPhase.COMMIT_ALL)
    require(not committing, RejectionReason.TOO_EARLY, "auditors are still committing")
    require(audit.is_revealing, RejectionReason.TOO_LATE, "ruled already")
    require(mine.commitment != NO_DIGEST, RejectionReason.NOT_FOUND, "never committed")
    require(mine.report is None, RejectionReason.DUPLICATE, "opened already")
    assert lease.claim is not None
    finding = Finding(
        action.trace,
        action.loss_before,
        action.loss_after,
        action.distances,
        action.instability,
    )
    contribution = Contribution(LeaseKey(*place, lease.miner), lease.claim.payload)
    require(
        audit_commitment(contribution, sender.node, action.salt, finding) == mine.commitment,
        RejectionReason.BAD_PROOF,
        "finding does not open its commitment",
    )
    _put_callee(state, place, audit, replace(mine, report=finding))


def _callee(audit: Audit, node: NodeId) -> AuditorRecord:
    found = next((each for each in audit.callees if each.auditor == node), None)
    require(found is not None, RejectionReason.WRONG_SENDER, "not called for this audit")
    assert found is not None
    return found


def _put_callee(state: State, place: LeasePlace, audit: Audit, changed: AuditorRecord) -> None:
    callees = tuple(changed if each.auditor == changed.auditor else each for each in audit.callees)
    state.put_audit(*place, with_callees(audit, callees))


def with_callees(audit: Audit, callees: tuple[AuditorRecord, ...]) -> Audit:
    """Return the audit with other records of those whose turn it is."""
    if audit.escalation is None:
        return replace(audit, auditors=callees)
    return replace(audit, judges=callees)
