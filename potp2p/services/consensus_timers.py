"""The replica's clocks, as one task."""

import math
from dataclasses import dataclass, field

import trio

from potp2p.protocol.consensus.effects import SetTimer
from potp2p.protocol.consensus.events import Timer, TimerFired


@dataclass(slots=True)
class TimerTable:
    """At most one deadline for each name."""

    _due: dict[Timer, tuple[float, TimerFired]] = field(
        default_factory=dict[Timer, tuple[float, TimerFired]]
    )
    _changed: trio.Event = field(default_factory=trio.Event)

    def set(self, wanted: SetTimer) -> None:
        """Start a timer, replacing an earlier one of the same name."""
        due = trio.current_time() + wanted.delay_milliseconds / 1000
        self._due[wanted.timer] = (due, TimerFired(wanted.timer, wanted.height, wanted.view))
        self._changed.set()

    def cancel(self, timer: Timer) -> None:
        """Stop a timer if it runs."""
        self._due.pop(timer, None)

    def clear(self) -> None:
        """Stop all timers."""
        self._due.clear()

    async def run(self, fired_out: "trio.abc.SendChannel[TimerFired]") -> None:
        """Hand out what is due until cancelled."""
        while True:
            self._changed = trio.Event()
            with trio.move_on_at(min((due for due, _ in self._due.values()), default=math.inf)):
                await self._changed.wait()
            now = trio.current_time()
            for timer, set_for in [each for each in self._due.items() if each[1][0] <= now]:
                # Whoever takes the one before may have stopped this one, or set it anew.
                if self._due.get(timer) is set_for:
                    del self._due[timer]
                    await fired_out.send(set_for[1])
