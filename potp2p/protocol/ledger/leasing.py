"""
The start of a round: its table of leases, or the wait for a miner that may take them.

The draw is with the beacon of the last block, over miners that said what they offer before f + 1
of the present seats revealed (`eligible_workers`).
"""

from dataclasses import replace

from potp2p.foundation.types import Amount, Cycle, Height, NodeId, PartsPerMillion, TaskId
from potp2p.protocol.ledger.context import BlockContext
from potp2p.protocol.ledger.miners import eligible_workers, open_leases
from potp2p.protocol.ledger.records import (
    ROUNDS_OPEN_MAX,
    LeaseRecord,
    LeaseStatus,
    RoundPhase,
    RoundRecord,
    Task,
    TaskStatus,
)
from potp2p.protocol.ledger.round_records import LeaseRow
from potp2p.protocol.ledger.state import State
from potp2p.protocol.ledger.tasks import end_task, payload_bytes, price_of
from potp2p.protocol.scheduling.assignment import assign, choose_shards, limit_newcomers


def _has_round_in_work(task: Task) -> bool:
    """Tell whether a task has leases out or waits for a result."""
    return task.status is TaskStatus.RUNNING and task.round in task.open_rounds


def start_round(state: State, context: BlockContext, task_id: TaskId) -> None:
    """Lease the next round's shards, if there is a miner to lease to."""
    task = state.task(task_id)
    if len(task.open_rounds) >= ROUNDS_OPEN_MAX or not _fits_cap(state, context, task):
        return
    price = price_of(task.rules, task.budget, context.genesis)
    workers = eligible_workers(state, task.rules, price, context)
    if not workers:
        _wait_for_miners(state, context, task_id)
        return
    chain = state.chain()
    shards = choose_shards(task.passes, task.rules.rounds.shards_per_round)
    workers = limit_newcomers(
        workers, len(shards), beacon=chain.beacon, task=task_id, round_=task.round
    )
    miners = assign(shards, workers, beacon=chain.beacon, task=task_id, round_=task.round)
    rows = tuple(LeaseRow(shard, miner) for shard, miner in zip(shards, miners, strict=True))
    for row in rows:
        state.put_lease(task_id, task.round, row.shard, _open_lease(row.miner))
    state.put_round(
        task_id,
        task.round,
        RoundRecord(
            phase=RoundPhase.CLAIMS,
            theta=task.theta,
            started=context.height,
            phase_started=context.height,
            leases=rows,
            stand_ins=(),
            claims=0,
            attestations=(),
            commitments=(),
            revealing=False,
            results=(),
            flagged=(),
            dropped=(),
            result_earners=(),
            fixed=Height(0),
            revealers=(),
            draw_beacons=(),
            drawn=False,
            advanced=False,
            audits=(),
            challenge_until=Height(0),
            result_height=Height(0),
            result_revealers=(),
            booked=False,
            booked_cycle=Cycle(0),
        ),
    )
    open_leases(state, miners, context.height)
    opened = (*task.open_rounds, task.round)
    state.put_task(task_id, replace(task, open_rounds=opened, waiting=Height(0)))


def _wait_for_miners(state: State, context: BlockContext, task_id: TaskId) -> None:
    """End a task that no miner could take for long: its place is another's, its money goes back."""
    task = state.task(task_id)
    if not task.waiting:
        state.put_task(task_id, replace(task, waiting=context.height))
    elif context.height >= task.waiting + context.genesis.training.miner_deadline:
        end_task(state, context, task_id, TaskStatus.EXPIRED)


def _open_lease(miner: NodeId) -> LeaseRecord:
    return LeaseRecord(
        miner=miner,
        status=LeaseStatus.OPEN,
        claim=None,
        score=Amount(0),
        weight=Amount(0),
        audited=False,
        probability=PartsPerMillion(0),
    )


def _fits_cap(state: State, context: BlockContext, task: Task) -> bool:
    """Tell whether the payloads of all rounds in work stay within the network's cap."""
    moving = sum(
        payload_bytes(other.rules)
        for other in (state.task(each) for each in state.chain().tasks)
        if _has_round_in_work(other)
    )
    return moving + payload_bytes(task.rules) <= context.genesis.training.payload_bytes_per_round
