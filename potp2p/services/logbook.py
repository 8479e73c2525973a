"""The node's own words: one line per event, kept for the screen and handed to whoever listens."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from potp2p.observability.status import LogLine

LINES_KEPT = 200


@dataclass(slots=True)
class LogBook:
    """The one place that services report to; a line never raises into its writer."""

    now: Callable[[], float]
    """Unix seconds."""
    listener: Callable[[LogLine], None] | None = None
    _lines: deque[LogLine] = field(default_factory=lambda: deque[LogLine](maxlen=LINES_KEPT))

    def say(self, tag: str, text: str) -> None:
        """Note one line under a tag: chain, miner, verify, task, net."""
        line = LogLine(self.now(), tag, text)
        self._lines.append(line)
        if self.listener is not None:
            self.listener(line)

    def lines(self) -> tuple[LogLine, ...]:
        """Return the latest lines, oldest first."""
        return tuple(self._lines)
