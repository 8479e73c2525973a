"""
Half time: a shard that has no claim by then goes to an idle miner too (DESIGN 6.2).

Whose claim comes first and is attested is the round's. The other's is no miss and no copy, and not
paid. Who holds a lease has three quarters of the deadline whoever was faster; without a claim by
then it has missed it, so that one that is gone costs the network one round's time and not more.
"""

from dataclasses import dataclass, replace

from potp2p.foundation.limits import SHARDS_PER_ROUND_MAX
from potp2p.foundation.types import NodeId, Round, TaskId
from potp2p.protocol.ledger.context import BlockContext
from potp2p.protocol.ledger.keys import LeasePlace
from potp2p.protocol.ledger.miners import eligible_workers, open_leases
from potp2p.protocol.ledger.records import Claim, LeaseStatus, RoundPhase, StandIn
from potp2p.protocol.ledger.state import State
from potp2p.protocol.ledger.tasks import price_of
from potp2p.protocol.scheduling.assignment import stand_in


@dataclass(frozen=True, slots=True)
class Held:
    """A node's right to claim a shard, or its claim."""

    claim: Claim | None
    may_claim: bool


def call_stand_ins(state: State, context: BlockContext, task_id: TaskId, round_: Round) -> None:
    """At half of the deadline, let idle miners compute what nobody has claimed."""
    task, record = state.task(task_id), state.round(task_id, round_)
    if context.height != record.started + task.rules.rounds.deadline // 2:
        return
    late = [
        row.shard
        for row in record.leases
        if state.lease(task_id, round_, row.shard).status is LeaseStatus.OPEN
    ][: SHARDS_PER_ROUND_MAX - len(record.leases)]
    price = price_of(task.rules, task.budget, context.genesis)
    busy = _busy(state)
    idle = [
        each
        for each in eligible_workers(state, task.rules, price, context)
        if each.node not in busy
    ]
    beacon = state.chain().beacon
    pairs = stand_in(late, idle, beacon=beacon, task=task_id, round_=round_)
    called = tuple(StandIn(shard, node, None) for shard, node in pairs)
    state.put_round(task_id, round_, replace(record, stand_ins=called))
    known = {row.miner for row in record.leases}
    open_leases(state, {each.miner for each in called} - known, context.height)


def is_all_claimed(state: State, context: BlockContext, task_id: TaskId, round_: Round) -> bool:
    """Tell whether nothing is left to wait for before the deadline of claims."""
    record, deadline = state.round(task_id, round_), state.task(task_id).rules.rounds.deadline
    if record.claims < len(record.leases):
        return False
    waits = any(
        state.lease(task_id, round_, each.shard).status is LeaseStatus.OPEN
        for each in record.stand_ins
    )
    return not waits or context.height >= record.started + deadline * 3 // 4


def held_by(state: State, node: NodeId, place: LeasePlace) -> Held | None:
    """Return what a node may do, or has done, about a shard of a round; None: nothing."""
    lease = state.find_lease(*place)
    if lease is None:
        return None
    if lease.miner == node:
        return Held(lease.claim, lease.status is LeaseStatus.OPEN)
    record = state.round(place[0], place[1])
    for each in record.stand_ins:
        if (each.shard, each.miner) == (place[2], node):
            may_claim = each.claim is None and record.phase is RoundPhase.CLAIMS
            return Held(each.claim, may_claim)
    return None


def _busy(state: State) -> frozenset[NodeId]:
    """Return who still has something to claim in any round in work."""
    busy: set[NodeId] = set()
    for task_id in state.chain().tasks:
        task = state.task(task_id)
        if task.round not in task.open_rounds:
            continue
        record = state.round(task_id, task.round)
        if record.phase is not RoundPhase.CLAIMS:
            continue
        busy |= {each.miner for each in record.stand_ins if each.claim is None}
        busy |= {
            row.miner
            for row in record.leases
            if state.lease(task_id, task.round, row.shard).status is LeaseStatus.OPEN
        }
    return frozenset(busy)
