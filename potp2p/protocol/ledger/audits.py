"""Audits from the draw to the ruling: commits first, then everyone opens, then integers decide."""

from dataclasses import replace
from typing import Final

from potp2p.foundation.committee import weak_quorum
from potp2p.foundation.errors import RejectionReason
from potp2p.foundation.types import (
    Height,
    NodeId,
    Round,
    ShardIndex,
    TaskId,
)
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.ledger.audit_records import Audit, AuditorRecord, AuditReport
from potp2p.protocol.ledger.booking import withdraw_weight
from potp2p.protocol.ledger.context import BlockContext, Sender, require
from potp2p.protocol.ledger.convictions import convict
from potp2p.protocol.ledger.miners import is_banned
from potp2p.protocol.ledger.money import payout_of
from potp2p.protocol.ledger.records import (
    LeaseStatus,
    RoundPhase,
)
from potp2p.protocol.ledger.seats import revealers_since
from potp2p.protocol.ledger.state import State
from potp2p.protocol.ledger.tasks import price_of
from potp2p.protocol.verification.commitments import (
    Contribution,
    Finding,
    LeaseKey,
    audit_commitment,
    trace_commitment,
)
from potp2p.protocol.verification.sampling import (
    Candidate,
    audit_probability,
    draw_auditors,
    is_drawn,
)
from potp2p.protocol.verification.tolerance import tolerance_of
from potp2p.protocol.verification.verdict import Claims, Verdict, ruling
from potp2p.protocol.wire.blocks import NO_DIGEST
from potp2p.protocol.wire.transactions import AuditCommit, RevealAudit, RevealTrace

STATUS_OF: Final = {
    Verdict.PASS: LeaseStatus.PASSED,
    Verdict.VOID: LeaseStatus.VOID,
    Verdict.FAIL: LeaseStatus.REJECTED,
}
BURNED_OF_SLASH: Final = 2
"""One half is burned; the auditors share the other."""


def draw_audits(state: State, context: BlockContext, task_id: TaskId, round_: Round) -> None:
    """Draw a fixed set's audits once f + 1 further primaries have revealed (DESIGN 8.2)."""
    record = state.round(task_id, round_)
    if record.drawn or record.phase not in (RoundPhase.RESULT, RoundPhase.AUDIT):
        return
    seen = revealers_since(state, record.revealers, context, record.fixed)
    record = replace(record, revealers=seen)
    if len(record.revealers) >= weak_quorum(len(state.chain().seats)):
        drawn = tuple(
            row.shard
            for row in record.leases
            if state.lease(task_id, round_, row.shard).status is LeaseStatus.ACCEPTED
            and _draw_one(state, context, (task_id, round_, row.shard))
        )
        record = replace(record, drawn=True, audits=drawn)
    state.put_round(task_id, round_, record)


def _draw_one(state: State, context: BlockContext, place: tuple[TaskId, Round, ShardIndex]) -> bool:
    """Decide about one contribution: an audit, or the word of those who attested it."""
    task, lease, beacon = state.task(place[0]), state.lease(*place), state.chain().beacon
    training = context.genesis.training
    probability = audit_probability(
        base=training.audit_rate,
        at_stake=_at_stake(state, context, place),
        bond=state.account(account_of(lease.miner)).bond,
    )
    claim = lease.claim
    assert claim is not None, "the set holds claims only"
    if not claim.diverged and not is_drawn(beacon, *place, probability):
        state.put_lease(*place, replace(lease, status=LeaseStatus.PASSED))
        return False
    auditors = draw_auditors(
        beacon,
        *place,
        candidates=_candidates(state),
        excluded=frozenset(
            account
            for node in (lease.miner, task.client)
            for account in (account_of(node), payout_of(state, node))
        ),
        committee=training.audit_committee,
    )
    if not auditors:
        # Nobody may judge it: neither paid nor punished, or a choice of accounts would buy a pass.
        lease = withdraw_weight(state, place, lease)
        state.put_lease(*place, replace(lease, status=LeaseStatus.VOID))
        return False
    state.put_lease(*place, replace(lease, status=LeaseStatus.AUDITED, audited=True))
    state.put_audit(
        *place,
        Audit(
            auditors=tuple(AuditorRecord(node, NO_DIGEST, None) for node in auditors),
            revealing=False,
            deadline=Height(context.height + training.audit_deadline),
            trace=None,
        ),
    )
    return True


def _at_stake(state: State, context: BlockContext, place: tuple[TaskId, Round, ShardIndex]) -> int:
    """Return R of DESIGN 8: what an accepted lease earns in pay, in weight and in subsidy floor."""
    task, record = state.task(place[0]), state.round(place[0], place[1])
    price = price_of(task.rules, task.budget, context.genesis)
    blocks = record.fixed - record.started + 1
    subsidy = context.genesis.money.subsidy_floor * blocks // len(record.leases)
    return price.miner + price.burned + subsidy


def _candidates(state: State) -> tuple[Candidate, ...]:
    """Return who may audit: in this form the seats, which replay on their own devices."""
    return tuple(
        Candidate(seat.node, frozenset({account_of(seat.node), payout_of(state, seat.node)}))
        for seat in state.chain().seats
    )


def apply_audit_commit(state: State, sender: Sender, action: AuditCommit) -> None:
    """Bind a drawn auditor to what it found, before anyone opens."""
    place = (action.task, action.round, action.shard)
    audit = state.audit(*place)
    require(action.commitment != NO_DIGEST, RejectionReason.OUT_OF_BOUNDS, "empty commitment")
    mine = _auditor(audit, sender.node)
    require(not audit.revealing, RejectionReason.TOO_LATE, "commits have ended")
    require(mine.commitment == NO_DIGEST, RejectionReason.DUPLICATE, "committed already")
    _put_auditor(state, place, audit, replace(mine, commitment=action.commitment))


def apply_reveal_trace(state: State, sender: Sender, action: RevealTrace) -> None:
    """Open the audited miner's trace commitment."""
    place = (action.task, action.round, action.shard)
    audit, lease = state.audit(*place), state.lease(*place)
    require(lease.miner == sender.node, RejectionReason.WRONG_SENDER, "another miner's trace")
    require(audit.revealing, RejectionReason.TOO_EARLY, "auditors are still committing")
    require(lease.status is LeaseStatus.AUDITED, RejectionReason.TOO_LATE, "ruled already")
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
    """Open an auditor's commitment."""
    place = (action.task, action.round, action.shard)
    audit, lease = state.audit(*place), state.lease(*place)
    mine = _auditor(audit, sender.node)
    require(audit.revealing, RejectionReason.TOO_EARLY, "auditors are still committing")
    require(lease.status is LeaseStatus.AUDITED, RejectionReason.TOO_LATE, "ruled already")
    require(mine.commitment != NO_DIGEST, RejectionReason.NOT_FOUND, "never committed")
    require(mine.report is None, RejectionReason.DUPLICATE, "opened already")
    assert lease.claim is not None
    finding = Finding(action.trace, action.loss_before, action.loss_after, action.distances)
    contribution = Contribution(LeaseKey(*place, lease.miner), lease.claim.payload)
    require(
        audit_commitment(contribution, sender.node, action.salt, finding) == mine.commitment,
        RejectionReason.BAD_PROOF,
        "finding does not open its commitment",
    )
    report = AuditReport(action.trace, action.loss_before, action.loss_after, action.distances)
    _put_auditor(state, place, audit, replace(mine, report=report))


def _auditor(audit: Audit, node: NodeId) -> AuditorRecord:
    found = next((each for each in audit.auditors if each.auditor == node), None)
    require(found is not None, RejectionReason.WRONG_SENDER, "not drawn for this audit")
    assert found is not None
    return found


def _put_auditor(
    state: State,
    place: tuple[TaskId, Round, ShardIndex],
    audit: Audit,
    changed: AuditorRecord,
) -> None:
    auditors = tuple(
        changed if each.auditor == changed.auditor else each for each in audit.auditors
    )
    state.put_audit(*place, replace(audit, auditors=auditors))


def advance_audits(state: State, context: BlockContext, task_id: TaskId, round_: Round) -> None:
    """At a block's end: open the reveals, or rule, wherever all have spoken or time is up."""
    record = state.round(task_id, round_)
    still_open = tuple(
        shard
        for shard in record.audits
        if not _advance_one(state, context, (task_id, round_, shard))
    )
    if still_open != record.audits:
        state.put_round(task_id, round_, replace(state.round(task_id, round_), audits=still_open))


def _advance_one(
    state: State, context: BlockContext, place: tuple[TaskId, Round, ShardIndex]
) -> bool:
    """Return whether the audit is ruled."""
    audit = state.audit(*place)
    late = context.height >= audit.deadline
    if not audit.revealing:
        if late or all(each.commitment != NO_DIGEST for each in audit.auditors):
            deadline = Height(context.height + context.genesis.training.audit_deadline)
            state.put_audit(*place, replace(audit, revealing=True, deadline=deadline))
        return False
    opened = all(each.report is not None for each in audit.auditors if each.commitment != NO_DIGEST)
    if not late and not (opened and audit.trace is not None):
        return False
    _rule(state, context, place, audit)
    return True


def _rule(
    state: State,
    context: BlockContext,
    place: tuple[TaskId, Round, ShardIndex],
    audit: Audit,
) -> None:
    task, lease = state.task(place[0]), state.lease(*place)
    claim = lease.claim
    assert claim is not None
    findings = [
        None
        if each.report is None
        else Finding(
            each.report.trace,
            each.report.loss_before,
            each.report.loss_after,
            each.report.distances,
        )
        for each in audit.auditors
    ]
    verdict = ruling(
        Claims(audit.trace, claim.loss_before, claim.loss_after, claim.diverged),
        findings,
        tolerance_of(task.rules.model.tolerance, task.rules.mode),
    )
    if verdict is Verdict.PASS and is_banned(state, lease.miner, context.height):
        # Convicted of another contribution meanwhile: all its open pay is forfeited (DESIGN 8.5).
        verdict = Verdict.VOID
    if verdict is not Verdict.PASS:
        lease = withdraw_weight(state, place, lease)
    state.put_lease(*place, replace(lease, status=STATUS_OF[verdict]))
    if verdict is Verdict.FAIL:
        convict(state, context, place[0], lease.miner)


def reports_of(audit: Audit) -> tuple[NodeId, ...]:
    """Return the auditors that did their work."""
    return tuple(each.auditor for each in audit.auditors if each.report is not None)
