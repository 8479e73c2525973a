"""Lottery weights of a round: booked once its result is final, taken back by rejection."""

from dataclasses import replace

from potp2p.foundation.committee import weak_quorum
from potp2p.foundation.limits import MINERS_MAX
from potp2p.foundation.types import Amount, Cycle, NodeId, Round, TaskId
from potp2p.protocol.ledger.context import BlockContext
from potp2p.protocol.ledger.keys import LeasePlace
from potp2p.protocol.ledger.records import (
    CycleWeights,
    LeaseRecord,
    LeaseStatus,
    RoundPhase,
    Weight,
)
from potp2p.protocol.ledger.seats import revealers_since
from potp2p.protocol.ledger.state import State

UNWEIGHED = (LeaseStatus.MISSED, LeaseStatus.VOID, LeaseStatus.REJECTED)


def book_weights(state: State, context: BlockContext, task_id: TaskId, round_: Round) -> None:
    """Book a final result's weights once f + 1 primaries revealed after it (DESIGN 9)."""
    record = state.round(task_id, round_)
    if record.phase is not RoundPhase.AUDIT or record.booked:
        return
    seen = revealers_since(state, record.result_revealers, context, record.result_height)
    record = replace(record, result_revealers=seen)
    if len(seen) >= weak_quorum(len(state.chain().seats)):
        cycle = state.chain().cycle
        for row in record.leases:
            lease = state.lease(task_id, round_, row.shard)
            if lease.weight and lease.status not in UNWEIGHED:
                _book(state, cycle, (task_id, round_, row.shard), lease)
        record = replace(record, booked=True, booked_cycle=cycle)
    state.put_round(task_id, round_, record)


def withdraw_weight(state: State, place: LeasePlace, lease: LeaseRecord) -> LeaseRecord:
    """Take a lease's weight out of every cycle that is not frozen yet."""
    record = state.round(place[0], place[1])
    if lease.weight and record.booked:
        _add(state, record.booked_cycle, lease.miner, -lease.weight)
    return replace(lease, weight=Amount(0))


def _book(state: State, cycle: Cycle, place: LeasePlace, lease: LeaseRecord) -> None:
    """Count a lease's weight in a cycle, unless as many miners as a record holds have one."""
    known = state.result_weights(cycle).weights
    if len(known) >= MINERS_MAX and all(each.miner != lease.miner for each in known):
        state.put_lease(*place, replace(lease, weight=Amount(0)))
    else:
        _add(state, cycle, lease.miner, lease.weight)


def _add(state: State, cycle: Cycle, miner: NodeId, weight: int) -> None:
    weights = {each.miner: int(each.weight) for each in state.result_weights(cycle).weights}
    if weight < 0 and miner not in weights:
        # The cycle has left the window: nothing of it is drawn from any more.
        return
    weights[miner] = weights.get(miner, 0) + weight
    assert weights[miner] >= 0, "more weight taken back than was booked"
    rows = tuple(Weight(node, Amount(weights[node])) for node in sorted(weights) if weights[node])
    state.put_result_weights(cycle, CycleWeights(rows) if rows else None)
