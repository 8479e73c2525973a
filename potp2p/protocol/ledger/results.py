"""
A round's result: validators commit to it, then show it, and a quorum of equal ones decides.

Nobody shows a result while commitments are taken, so nobody can earn with another's: they end with
the block in which a quorum has committed, or half of the result deadline after the set was fixed.
Who shows a result without having committed to it counts towards the quorum and earns nothing.
"""

from collections import Counter
from dataclasses import dataclass, replace

from potp2p.foundation.committee import quorum
from potp2p.foundation.errors import RejectionReason
from potp2p.foundation.types import BlobId, Height, MicroNats, NodeId, Round, ShardIndex, TaskId
from potp2p.protocol.incentives.scores import lower_median
from potp2p.protocol.ledger.context import BlockContext, Sender, require
from potp2p.protocol.ledger.contributions import bits_of, round_in_work
from potp2p.protocol.ledger.records import (
    LeaseRecord,
    LeaseStatus,
    RoundPhase,
    RoundRecord,
)
from potp2p.protocol.ledger.round_records import ResultBond, ResultVote
from potp2p.protocol.ledger.seats import judges_of, require_judge
from potp2p.protocol.ledger.state import State
from potp2p.protocol.verification.results import result_commitment
from potp2p.protocol.wire.blocks import NO_DIGEST
from potp2p.protocol.wire.transactions import ResultCommit, RoundResult

OUTSIDE = (LeaseStatus.OPEN, LeaseStatus.CLAIMED, LeaseStatus.MISSED)
"""What never was in a round's set."""


@dataclass(frozen=True, slots=True)
class AgreedResult:
    """What a quorum of validators agreed on."""

    root: BlobId
    loss: MicroNats
    flagged: tuple[ShardIndex, ...]
    dropped: tuple[ShardIndex, ...]
    earners: tuple[NodeId, ...]
    """Those of the quorum that had committed in time."""


def accepted_set(
    state: State, task_id: TaskId, round_: Round
) -> tuple[tuple[ShardIndex, LeaseRecord], ...]:
    """Return what theta(t+1) is made of before screens, ascending by shard; none that diverged."""
    record = state.round(task_id, round_)
    leases = ((row.shard, state.lease(task_id, round_, row.shard)) for row in record.leases)
    return tuple(
        (shard, lease)
        for shard, lease in leases
        if lease.claim is not None and not lease.claim.diverged and lease.status not in OUTSIDE
    )


def apply_result_commit(
    state: State, sender: Sender, action: ResultCommit, context: BlockContext
) -> None:
    """Bind a validator to its result, while nobody has shown one."""
    record = _require_result_phase(state, sender, action, context)
    require(action.commitment != NO_DIGEST, RejectionReason.OUT_OF_BOUNDS, "empty commitment")
    require(not record.revealing, RejectionReason.TOO_LATE, "results are being shown")
    require(
        all(each.validator != sender.node for each in record.commitments),
        RejectionReason.DUPLICATE,
        "the validator has committed to a result",
    )
    bond = ResultBond(sender.node, action.commitment)
    commitments = (*record.commitments, bond)
    state.put_round(action.task, action.round, replace(record, commitments=commitments))


def apply_round_result(
    state: State, sender: Sender, action: RoundResult, context: BlockContext
) -> None:
    """
    Count a validator's theta(t+1), once, after commitments have ended.

    One that opens another commitment than the sender's, or none, is taken all the same: who lost
    its notes in a crash must not cost the network its quorum.
    """
    record = _require_result_phase(state, sender, action, context)
    require(record.revealing, RejectionReason.TOO_EARLY, "validators are still committing")
    require(
        all(each.validator != sender.node for each in record.results),
        RejectionReason.DUPLICATE,
        "the result was posted by this validator",
    )
    leases = len(accepted_set(state, action.task, action.round))
    for bitmap in (action.flagged, action.dropped):
        bits_of(bitmap, leases)
    bond = ResultBond(sender.node, result_commitment(sender.node, action))
    vote = ResultVote(
        validator=sender.node,
        root=action.root,
        evaluation_loss=action.evaluation_loss,
        flagged=action.flagged,
        dropped=action.dropped,
        timely=bond in record.commitments,
    )
    state.put_round(action.task, action.round, replace(record, results=(*record.results, vote)))


def open_results(
    state: State, context: BlockContext, task_id: TaskId, round_: Round
) -> RoundRecord:
    """End the commitments once a quorum has committed, or half of the result deadline is over."""
    record = state.round(task_id, round_)
    assert record.phase is RoundPhase.RESULT
    if record.revealing:
        return record
    judges = judges_of(state, record.started, context.genesis)
    deadline = state.task(task_id).rules.rounds.result_deadline
    late = context.height >= Height(record.phase_started + deadline // 2)
    if late or len(record.commitments) >= quorum(len(judges)):
        record = replace(record, revealing=True)
        state.put_round(task_id, round_, record)
    return record


def agreed_result(
    state: State, context: BlockContext, task_id: TaskId, round_: Round
) -> AgreedResult | None:
    """Return what a quorum showed, with the lower median of that quorum's losses."""
    record = state.round(task_id, round_)
    judges = judges_of(state, record.started, context.genesis)
    votes = Counter((each.root, each.flagged, each.dropped) for each in record.results)
    for agreed, count in votes.items():
        if count < quorum(len(judges)):
            continue
        root, flagged, dropped = agreed
        equal = [
            each for each in record.results if (each.root, each.flagged, each.dropped) == agreed
        ]
        shards = [shard for shard, _ in accepted_set(state, task_id, round_)]
        return AgreedResult(
            root=root,
            loss=MicroNats(lower_median([each.evaluation_loss for each in equal])),
            flagged=tuple(shards[place] for place in bits_of(flagged, len(shards))),
            dropped=tuple(shards[place] for place in bits_of(dropped, len(shards))),
            earners=tuple(each.validator for each in equal if each.timely),
        )
    return None


def _require_result_phase(
    state: State, sender: Sender, action: ResultCommit | RoundResult, context: BlockContext
) -> RoundRecord:
    _, record = round_in_work(state, action.task, action.round)
    require_judge(state, sender, record.started, context.genesis)
    require(
        record.phase is RoundPhase.RESULT, RejectionReason.TOO_EARLY, "the set is not fixed yet"
    )
    return record
