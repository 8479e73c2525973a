"""Commands on their way through a device: which goes first, and which gives way."""

from dataclasses import dataclass, field
from typing import Final

import trio

from potp2p.foundation.errors import OperatingError
from potp2p.foundation.limits import REPLAY_YIELDS_MAX
from potp2p.training.commands import (
    Aggregate,
    CheckPayload,
    Command,
    Evaluate,
    Inspect,
    Replay,
    Train,
)
from potp2p.training.reports import Report
from potp2p.workers.ports import OnProgress

PRIORITIES: Final[dict[type, int]] = {
    CheckPayload: 0,
    Train: 1,
    Aggregate: 1,
    Evaluate: 2,
    Inspect: 2,
    Replay: 3,
}
"""Attesting and training have deadlines in a round; audits lag behind by design."""


@dataclass(slots=True, eq=False)
class Job:
    """One caller's command on its way through a device."""

    command: Command
    progress: OnProgress | None
    priority: int
    attempts: int = 0
    yields: int = 0
    arrival: int = 0
    report: Report | None = None
    fault: OperatingError | None = None
    abandoned: trio.Event = field(default_factory=trio.Event)
    stopped: trio.Event = field(default_factory=trio.Event)
    """The worker is to leave it: nobody waits for it, or it gives way."""
    done: trio.Event = field(default_factory=trio.Event)

    @property
    def name(self) -> str:
        """Return what it does, in a word."""
        return type(self.command).__name__.lower()

    def abandon(self) -> None:
        """Say that nobody waits for it any more."""
        self.abandoned.set()
        self.stopped.set()

    def is_giving_way(self) -> bool:
        """Tell whether it is to go on later."""
        return self.stopped.is_set() and not self.abandoned.is_set()

    def give_way_to(self, other: "Job") -> bool:
        """
        Stop if this is a replay and a round waits for the other command; tell whether it did.

        A check waits for the replay instead: there is one for each claim, shorter than what
        beginning again would cost.
        """
        is_due = isinstance(self.command, Replay) and isinstance(other.command, Train | Aggregate)
        if not is_due or self.yields >= REPLAY_YIELDS_MAX or self.stopped.is_set():
            return False
        self.yields += 1
        self.stopped.set()
        return True

    def finish(self, outcome: Report | OperatingError) -> None:
        """Hand its caller what came of it."""
        if isinstance(outcome, OperatingError):
            self.fault = outcome
        else:
            self.report = outcome
        self.done.set()
