"""The phases of a round, moved on at each block's end: set, result, and the next round's start."""

from dataclasses import replace
from typing import Final

from potp2p.foundation.types import (
    Round,
    ShardIndex,
    TaskId,
)
from potp2p.protocol.incentives.scores import (
    Claimed,
    round_scores,
    scaled_weights,
)
from potp2p.protocol.ledger.context import BlockContext
from potp2p.protocol.ledger.leasing import start_round
from potp2p.protocol.ledger.money import burn, spend
from potp2p.protocol.ledger.records import (
    LOSSES_KEPT,
    LeaseRecord,
    LeaseStatus,
    RoundPhase,
    Task,
    TaskStatus,
)
from potp2p.protocol.ledger.results import (
    AgreedResult,
    accepted_set,
    agreed_result,
    open_results,
)
from potp2p.protocol.ledger.round_sets import fix_set, is_all_attested
from potp2p.protocol.ledger.stand_ins import call_stand_ins, is_all_claimed
from potp2p.protocol.ledger.state import State
from potp2p.protocol.ledger.tasks import (
    end_task,
    price_of,
    samples_of,
)

EMPTY_ROUNDS_MAX: Final = 3
"""Rounds in a row without an update that end a task."""
UNSTABLE_RULINGS_MAX: Final = 3
"""Rulings that are void because honest replays drift apart, before a task ends."""


def advance_rounds(state: State, context: BlockContext, task_id: TaskId) -> None:
    """Move the round in work as far as this block lets it, and start the next one."""
    task = state.task(task_id)
    if task.round in task.open_rounds:
        _advance(state, context, task_id, task.round)
        task = state.task(task_id)
    if task.status is TaskStatus.RUNNING and task.round not in task.open_rounds:
        if task.cancelled:
            end_task(state, context, task_id, TaskStatus.CANCELLED)
        elif task.unstable >= UNSTABLE_RULINGS_MAX:
            end_task(state, context, task_id, TaskStatus.UNSTABLE)
        else:
            start_round(state, context, task_id)


def _advance(state: State, context: BlockContext, task_id: TaskId, round_: Round) -> None:
    rules = state.task(task_id).rules.rounds
    record = state.round(task_id, round_)
    if record.phase is RoundPhase.CLAIMS:
        late = context.height >= record.started + rules.deadline
        if not late and not is_all_claimed(state, context, task_id, round_):
            call_stand_ins(state, context, task_id, round_)
            return
        record = replace(record, phase=RoundPhase.ATTESTING, phase_started=context.height)
        state.put_round(task_id, round_, record)
    if record.phase is RoundPhase.ATTESTING:
        late = context.height >= record.phase_started + rules.attest_window
        if not late and not is_all_attested(state, context, task_id, round_):
            return
        fix_set(state, context, task_id, round_)
        record = state.round(task_id, round_)
    assert record.phase is RoundPhase.RESULT
    late = context.height >= record.phase_started + rules.result_deadline
    result = agreed_result(state, context, task_id, round_)
    if late or result is not None or not accepted_set(state, task_id, round_):
        _finish(state, context, task_id, round_, result)
    else:
        open_results(state, context, task_id, round_)


def _claimed(lease: LeaseRecord) -> Claimed:
    assert lease.claim is not None
    return Claimed(lease.claim.loss_before, lease.claim.loss_after, lease.claim.diverged)


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
    spend(state, task_id, burned)
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
    if task.unstable >= UNSTABLE_RULINGS_MAX:
        return TaskStatus.UNSTABLE
    if not task.losses or min(task.passes) < rules.finish.min_passes:
        return None
    met = rules.finish.target_loss > 0 and task.losses[-1] <= rules.finish.target_loss
    stopped = 0 < rules.finish.patience <= task.stale_rounds
    return TaskStatus.FINISHED if met or stopped else None
