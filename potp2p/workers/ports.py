"""What services see of workers: one call that computes, and facts for the screen."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Protocol

import trio
from trio_typing import TaskStatus

from potp2p.training.commands import Command
from potp2p.training.reports import Progress, Report


@unique
class WorkerState(StrEnum):
    """What one device's process is doing."""

    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    WAITING = "waiting"
    """Ended; started again after a pause."""
    FAILED = "failed"
    """Ended too often; tried again when the restart window has passed."""


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """One device as it is now; unknown is None."""

    device: str
    name: str | None
    memory_bytes: int | None
    pid: int | None
    restarts: int
    """Times that a process of this device ended by itself or was ended for its silence."""
    state: WorkerState
    busy: str | None
    """The command in hand: `train`, `replay`, ..."""
    queued: int
    step: int | None
    steps: int | None
    steps_per_second: float | None


OnProgress = Callable[[Progress], None]


class Workers(Protocol):
    """The devices of this node, each behind one process."""

    async def execute(
        self,
        command: Command,
        progress: OnProgress | None = None,
        device: int = 0,
        priority: int | None = None,
    ) -> Report:
        """
        Carry out one command and return its final report.

        Callers queue per device: lowest priority number first, then first come first served; by
        default checks and training go before audits, and a replay in hand gives way to training a
        few times. OperatingError when the worker cannot do it, or ends again and again over it.
        Cancelling gives the command up at its next step.
        """

    def facts(self) -> tuple[WorkerFacts, ...]:
        """Return one entry per device."""


class WorkerFleet(Workers, Protocol):
    """Workers with the processes behind them, as the node runs them."""

    async def run(self, *, task_status: TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the processes; ends by cancellation, with every process ended."""
