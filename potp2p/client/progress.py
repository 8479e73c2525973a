"""Progress of a task as a person watches it."""

from dataclasses import dataclass

from potp2p.observability.outcomes import ADVICE
from potp2p.protocol.ledger.records import Task, TaskStatus
from potp2p.protocol.ledger.rounds import UNSTABLE_RULINGS_MAX

OVER = frozenset(
    {
        TaskStatus.FINISHED,
        TaskStatus.EXPIRED,
        TaskStatus.REFUSED,
        TaskStatus.CANCELLED,
        TaskStatus.FAILED,
        TaskStatus.UNSTABLE,
    }
)


@dataclass(frozen=True, slots=True)
class TaskProgress:
    """One look at a task under a sealed header."""

    task: str
    status: str
    over: bool
    height: int
    round: int
    rounds: int
    losses: tuple[float, ...]
    """Evaluation losses in nats, oldest kept first."""
    budget: int
    escrow: int
    paid: int
    unstable: int
    """Contributions that are void because honest replays drift apart."""
    reason: str | None
    """Why it ended, or is about to, where its status alone does not say what to do about it."""


def progress_of(task_id: bytes, task: Task, height: int) -> TaskProgress:
    """Return a task record as a person reads it."""
    return TaskProgress(
        task=task_id.hex(),
        status=task.status.name.lower(),
        over=task.status in OVER,
        height=height,
        round=task.round,
        rounds=task.rules.rounds.rounds,
        losses=tuple(loss / 1e6 for loss in task.losses),
        budget=task.budget,
        escrow=task.escrow,
        paid=task.paid,
        unstable=task.unstable,
        reason=_reason(task),
    )


def _reason(task: Task) -> str | None:
    if not task.unstable:
        return None
    count = f"{task.unstable} of {UNSTABLE_RULINGS_MAX} rulings void"
    return f"unstable: honest replays drift apart ({count}); {ADVICE}"
