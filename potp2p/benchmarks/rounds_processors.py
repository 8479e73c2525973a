"""How many cores of the machine idled, at which time, whoever it was that used the others."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from potp2p.benchmarks.rounds_log import Span

STAT: Final = Path("/proc/stat")
_IDLE, _WAITING = 4, 5
"""Places in a line of /proc/stat (proc(5)): ticks idle, and idle with I/O outstanding."""


@dataclass(slots=True)
class Processors:
    """Idle core seconds of the cores that we may run on, looked at now and then."""

    looks: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    """Unix seconds, and idle core seconds until then."""

    def look(self) -> None:
        """Take one look."""
        self.looks.append((time.time(), idle_seconds(STAT.read_text(), os.sched_getaffinity(0))))

    def idle_cores(self, span: Span) -> float | None:
        """Return how many cores idled in a stretch of time; None where nobody looked."""
        inside = [look for look in self.looks if span.start <= look[0] <= span.end]
        if len(inside) < 2:  # noqa: PLR2004  # a beginning and an end
            return None
        (start, idle_before), (end, idle_after) = inside[0], inside[-1]
        return (idle_after - idle_before) / (end - start)


def idle_seconds(stat: str, cores: set[int]) -> float:
    """Return the sum over some cores in the text of /proc/stat."""
    names = {f"cpu{core}" for core in cores}
    rows = (line.split() for line in stat.splitlines())
    ticks = sum(int(row[_IDLE]) + int(row[_WAITING]) for row in rows if row and row[0] in names)
    return ticks / os.sysconf("SC_CLK_TCK")
