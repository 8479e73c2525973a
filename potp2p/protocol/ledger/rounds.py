"""The phases of a round, moved on at each block's end: set, result, and the next round's start."""

from dataclasses import replace
from typing import Final

from potp2p.foundation.committee import weak_quorum
from potp2p.foundation.types import (
    Amount,
    Round,
    ShardIndex,
    TaskId,
)
from potp2p.protocol.incentives.scores import (
    Claimed,
    round_scores,
    scaled_weights,
)
from potp2p.protocol.ledger.audits import cover
from potp2p.protocol.ledger.context import BlockContext
from potp2p.protocol.ledger.contributions import bits_of
from potp2p.protocol.ledger.leasing import start_round
from potp2p.protocol.ledger.miners import (
    book_round,
    is_banned,
)
from potp2p.protocol.ledger.money import burn
from potp2p.protocol.ledger.records import (
    LOSSES_KEPT,
    LeaseRecord,
    LeaseStatus,
    RoundPhase,
    RoundRecord,
    Task,
    TaskStatus,
)
from potp2p.protocol.ledger.results import (
    AgreedResult,
    accepted_set,
    agreed_result,
    open_results,
)
from potp2p.protocol.ledger.seats import judges_of
from potp2p.protocol.ledger.state import State
from potp2p.protocol.ledger.tasks import (
    end_task,
    price_of,
    samples_of,
)

EMPTY_ROUNDS_MAX: Final = 3
"""Rounds in a row without an update that end a task."""


def advance_rounds(state: State, context: BlockContext, task_id: TaskId) -> None:
    """Move the round in work as far as this block lets it, and start the next one."""
    task = state.task(task_id)
    if task.round in task.open_rounds:
        _advance(state, context, task_id, task.round)
        task = state.task(task_id)
    if task.status is TaskStatus.RUNNING and task.round not in task.open_rounds:
        if task.cancelled:
            end_task(state, context, task_id, TaskStatus.CANCELLED)
        else:
            start_round(state, context, task_id)


def _advance(state: State, context: BlockContext, task_id: TaskId, round_: Round) -> None:
    rules = state.task(task_id).rules.rounds
    record = state.round(task_id, round_)
    if record.phase is RoundPhase.CLAIMS:
        late = context.height >= record.started + rules.deadline
        if record.claims < len(record.leases) and not late:
            return
        record = replace(record, phase=RoundPhase.ATTESTING, phase_started=context.height)
        state.put_round(task_id, round_, record)
    if record.phase is RoundPhase.ATTESTING:
        late = context.height >= record.phase_started + rules.attest_window
        judges = judges_of(state, record.started, context.genesis)
        attested = _attested(state, task_id, round_, record, weak_quorum(len(judges)))
        if not late and not all(attested.values()):
            return
        record = _fix_set(state, context, task_id, round_, attested)
    assert record.phase is RoundPhase.RESULT
    late = context.height >= record.phase_started + rules.result_deadline
    result = agreed_result(state, context, task_id, round_)
    if late or result is not None or not accepted_set(state, task_id, round_):
        _finish(state, context, task_id, round_, result)
    else:
        open_results(state, context, task_id, round_)


def _attested(
    state: State, task_id: TaskId, round_: Round, record: RoundRecord, enough: int
) -> dict[ShardIndex, bool]:
    """Return for each claimed lease whether enough validators attested its payload."""
    counts = [0] * len(record.leases)
    for each in record.attestations:
        for place in bits_of(each.bitmap, len(record.leases)):
            counts[place] += 1
    return {
        row.shard: count >= enough
        for row, count in zip(record.leases, counts, strict=True)
        if state.lease(task_id, round_, row.shard).status is LeaseStatus.CLAIMED
    }


def _fix_set(
    state: State,
    context: BlockContext,
    task_id: TaskId,
    round_: Round,
    attested: dict[ShardIndex, bool],
) -> RoundRecord:
    """Decide which contributions are in; every other lease was missed, a banned miner's too."""
    record, task = state.round(task_id, round_), state.task(task_id)
    inside = {
        row.shard
        for row in record.leases
        if attested.get(row.shard) and not is_banned(state, row.miner, context.height)
    }
    passes = list(task.passes)
    for row in record.leases:
        lease = state.lease(task_id, round_, row.shard)
        if row.shard in inside:
            passes[row.shard] += 1
            lease = replace(lease, status=LeaseStatus.ACCEPTED)
        else:
            lease = replace(lease, status=LeaseStatus.MISSED)
        state.put_lease(task_id, round_, row.shard, lease)
    state.put_task(task_id, replace(task, passes=tuple(passes)))
    _book_miners(state, task_id, round_, record)
    record = replace(
        record,
        phase=RoundPhase.RESULT,
        phase_started=context.height,
        fixed=context.height,
        drawn=not inside,
    )
    state.put_round(task_id, round_, record)
    for shard in inside:
        cover(state, context, (task_id, round_, shard))
    return record


def _claimed(lease: LeaseRecord) -> Claimed:
    assert lease.claim is not None
    return Claimed(lease.claim.loss_before, lease.claim.loss_after, lease.claim.diverged)


def _book_miners(state: State, task_id: TaskId, round_: Round, record: RoundRecord) -> None:
    """Give every miner of the table its new rate, and take `live` from those that missed."""
    deadline = state.task(task_id).rules.rounds.deadline
    for node in dict.fromkeys(row.miner for row in record.leases):
        leases = [
            state.lease(task_id, round_, row.shard) for row in record.leases if row.miner == node
        ]
        claims = [
            lease.claim
            for lease in leases
            if lease.status is LeaseStatus.ACCEPTED and lease.claim is not None
        ]
        book_round(
            state,
            node,
            delivered=len(claims),
            missed=len(leases) - len(claims),
            blocks=max((claim.height for claim in claims), default=0) - record.started,
            deadline=deadline,
        )


def _finish(
    state: State,
    context: BlockContext,
    task_id: TaskId,
    round_: Round,
    result: AgreedResult | None,
) -> None:
    """End a round's work: book its result, burn its share, end the task where a rule says so."""
    record = state.round(task_id, round_)
    record = replace(
        record,
        phase=RoundPhase.AUDIT,
        phase_started=context.height,
        advanced=result is not None,
        result_height=context.height,
        booked=result is None,
    )
    if result is not None:
        record = replace(
            record,
            flagged=result.flagged,
            dropped=result.dropped,
            result_earners=result.earners,
        )
        _drop(state, task_id, round_, result.dropped)
    state.put_round(task_id, round_, record)
    _score(state, task_id, round_)
    inside = accepted_leases(state, task_id, round_)
    burned = _burn_share(state, context, task_id, len(inside))
    if result is not None:
        _weigh(state, task_id, round_, inside, burned)
    task = replace(state.task(task_id), round=Round(round_ + 1))
    task = _without_update(task) if result is None else _with_update(task, result)
    state.put_task(task_id, task)
    diverged = sum(lease.claim is not None and lease.claim.diverged for _, lease in inside)
    status = _end_of(task, mostly_diverged=2 * diverged > len(inside))
    if status is not None:
        end_task(state, context, task_id, status)


def _drop(state: State, task_id: TaskId, round_: Round, dropped: tuple[ShardIndex, ...]) -> None:
    """Take what repeats an earlier claim's payload out of the set: void, and no pass of a shard."""
    task = state.task(task_id)
    passes = list(task.passes)
    for shard in dropped:
        passes[shard] -= 1
        lease = state.lease(task_id, round_, shard)
        state.put_lease(task_id, round_, shard, replace(lease, status=LeaseStatus.VOID))
    state.put_task(task_id, replace(task, passes=tuple(passes)))


def _score(state: State, task_id: TaskId, round_: Round) -> None:
    """Score what is left in the set once its screens are known."""
    rules = state.task(task_id).rules
    inside = accepted_leases(state, task_id, round_)
    claims = [_claimed(lease) for _, lease in inside]
    scores = round_scores(claims, parameters=rules.model.parameters, samples=samples_of(rules))
    for (shard, lease), score in zip(inside, scores, strict=True):
        state.put_lease(task_id, round_, shard, replace(lease, score=score))


def accepted_leases(
    state: State, task_id: TaskId, round_: Round
) -> tuple[tuple[ShardIndex, LeaseRecord], ...]:
    """Return the leases of a fixed set but for those dropped; diverged too, ascending by shard."""
    record = state.round(task_id, round_)
    leases = ((row.shard, state.lease(task_id, round_, row.shard)) for row in record.leases)
    return tuple(
        (shard, lease)
        for shard, lease in leases
        if lease.status is not LeaseStatus.MISSED and shard not in record.dropped
    )


def _burn_share(state: State, context: BlockContext, task_id: TaskId, leases: int) -> int:
    """Burn the protocol's share of a round's accepted leases; returns how much that was."""
    task = state.task(task_id)
    burned = price_of(task.rules, task.budget, context.genesis).burned * leases
    assert burned <= task.escrow
    state.put_task(
        task_id,
        replace(task, escrow=Amount(task.escrow - burned), paid=Amount(task.paid + burned)),
    )
    burn(state, burned, by_task=True)
    return burned


def _weigh(
    state: State,
    task_id: TaskId,
    round_: Round,
    inside: tuple[tuple[ShardIndex, LeaseRecord], ...],
    burned: int,
) -> None:
    """Scale the round's scores to weights that add up to what it burned (DESIGN 9)."""
    weighed = [
        (shard, lease)
        for shard, lease in inside
        if lease.claim is not None
        and not lease.claim.diverged
        and lease.status not in (LeaseStatus.VOID, LeaseStatus.REJECTED)
    ]
    weights = scaled_weights([lease.score for _, lease in weighed], burned)
    for (shard, lease), weight in zip(weighed, weights, strict=True):
        state.put_lease(task_id, round_, shard, replace(lease, weight=weight))


def _with_update(task: Task, result: AgreedResult) -> Task:
    better = result.loss < task.best_loss
    return replace(
        task,
        theta=result.root,
        best=result.root if better else task.best,
        best_loss=min(result.loss, task.best_loss),
        losses=(*task.losses, result.loss)[-LOSSES_KEPT:],
        empty_rounds=0,
        stale_rounds=0 if better else task.stale_rounds + 1,
    )


def _without_update(task: Task) -> Task:
    return replace(task, empty_rounds=task.empty_rounds + 1)


def _end_of(task: Task, *, mostly_diverged: bool) -> TaskStatus | None:
    """Return how a task ends after a round, if it does."""
    rules = task.rules
    if mostly_diverged or task.empty_rounds >= EMPTY_ROUNDS_MAX:
        return TaskStatus.FAILED
    if task.round >= rules.rounds.rounds:
        return TaskStatus.FINISHED
    if task.cancelled:
        return TaskStatus.CANCELLED
    if not task.losses or min(task.passes) < rules.finish.min_passes:
        return None
    met = rules.finish.target_loss > 0 and task.losses[-1] <= rules.finish.target_loss
    stopped = 0 < rules.finish.patience <= task.stale_rounds
    return TaskStatus.FINISHED if met or stopped else None
