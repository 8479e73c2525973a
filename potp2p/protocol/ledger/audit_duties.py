"""What the audits ask of one node: replays of auditors and judges, reveals of miners, recourse."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from potp2p.foundation.types import BlobId, NodeId, Round, ShardIndex, TaskId
from potp2p.protocol.ledger.audit_records import Audit, AuditPhase, Conduct
from potp2p.protocol.ledger.keys import LeasePlace
from potp2p.protocol.ledger.records import RoundRecord, Task
from potp2p.protocol.ledger.state import State
from potp2p.protocol.verification.verdict import Verdict
from potp2p.protocol.wire.blocks import NO_DIGEST
from potp2p.protocol.wire.tasks import TaskRules

PAYLOAD_OVERHEAD_BYTES: Final = 1 << 16
"""Header, chunk exponents of many small tensors, and float buffers."""


@dataclass(frozen=True, slots=True)
class AuditDuty:
    """A contribution that this node was called to replay, as drawn auditor or as judge."""

    task: TaskId
    round: Round
    shard: ShardIndex
    miner: NodeId
    payload: BlobId
    rules: TaskRules
    package_root: BlobId
    theta: BlobId
    judging: bool
    """All judges are called."""
    revealing: bool
    """Commits have ended: open the commitment."""
    payload_bytes_max: int


def audit_duties(state: State, node: NodeId) -> tuple[AuditDuty, ...]:
    """Return the replays asked of a node, whether it mines or holds a seat."""
    return tuple(_audits_of(state, node))


def trace_duties(state: State, node: NodeId) -> tuple[LeasePlace, ...]:
    """Return the contributions of a miner whose trace is to be opened."""
    return tuple(
        place
        for place, miner, audit in _open_audits(state)
        if miner == node and audit.is_revealing and audit.trace is None
    )


def recourse_duties(state: State, node: NodeId) -> tuple[LeasePlace, ...]:
    """
    Return the contributions of a miner that a provisional ruling convicts.

    An honest miner challenges each: all judges then replay, and a trace that was kept out of the
    chain can still be opened. One that cheated has nothing to gain by it.
    """
    return tuple(
        place
        for place, miner, audit in _open_audits(state)
        if miner == node and audit.phase is AuditPhase.WINDOW and audit.provisional is Verdict.FAIL
    )


def payload_bytes_max(rules: TaskRules) -> int:
    """Return a bound on one payload: a byte per parameter, with room for exponents and buffers."""
    return 2 * rules.model.parameters + PAYLOAD_OVERHEAD_BYTES


def _rounds(state: State) -> Iterator[tuple[TaskId, Task, Round, RoundRecord]]:
    chain = state.chain()
    for task_id in (*chain.tasks, *chain.unsettled):
        task = state.task(task_id)
        for round_ in task.open_rounds:
            record = state.round(task_id, round_)
            if record.audits:
                yield task_id, task, round_, record


def _open_audits(state: State) -> Iterator[tuple[LeasePlace, NodeId, Audit]]:
    for task_id, _, round_, record in _rounds(state):
        for shard in record.audits:
            place = (task_id, round_, shard)
            yield place, state.lease(*place).miner, state.audit(*place)


def _audits_of(state: State, node: NodeId) -> Iterator[AuditDuty]:
    for task_id, task, round_, record in _rounds(state):
        for shard in record.audits:
            audit, lease = state.audit(task_id, round_, shard), state.lease(task_id, round_, shard)
            assert lease.claim is not None, "only contributions are audited"
            if not _is_asked(audit, node):
                continue
            yield AuditDuty(
                task=task_id,
                round=round_,
                shard=shard,
                miner=lease.miner,
                payload=lease.claim.payload,
                rules=task.rules,
                package_root=task.package_root,
                theta=record.theta,
                judging=audit.escalation is not None,
                revealing=audit.is_revealing,
                payload_bytes_max=payload_bytes_max(task.rules),
            )


def _is_asked(audit: Audit, node: NodeId) -> bool:
    """Tell whether a node has something to say now: a commitment, or what opens it."""
    mine = next((each for each in audit.callees if each.auditor == node), None)
    if mine is None or mine.conduct is not Conduct.CALLED or mine.report is not None:
        return False
    if audit.phase in (AuditPhase.COMMIT, AuditPhase.COMMIT_ALL):
        return mine.commitment == NO_DIGEST
    return audit.is_revealing and mine.commitment != NO_DIGEST
