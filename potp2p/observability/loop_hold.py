"""
How long one task keeps all others waiting: a trio instrument with bounded memory.

A step is what a task does between two checkpoints; nothing else of the process runs meanwhile. Of
every tenth of a second the longest step is kept, so that thousands of short steps cannot hide a
long one in a percentile.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Final

import trio

from potp2p.observability.status import LoopStatus

SLICE_SECONDS: Final = 0.1
SLICES_KEPT: Final = 600
"""The last minute of a busy loop; quiet slices are not kept."""


class LoopHoldMeter(trio.abc.Instrument):
    """Add it to the loop with `trio.lowlevel.add_instrument`."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._began = 0.0
        self._slice_ends = 0.0
        self._longest = 0.0
        self._slices: deque[float] = deque(maxlen=SLICES_KEPT)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Note when a task gets its turn."""
        self._began = self._clock()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Note how long the turn took."""
        now = self._clock()
        if not self._began:
            return  # we were added in the middle of this step
        if now >= self._slice_ends:
            if self._slice_ends:
                self._slices.append(self._longest)
            self._longest = 0.0
            self._slice_ends = now + SLICE_SECONDS
        self._longest = max(self._longest, now - self._began)

    def forget(self) -> None:
        """Begin a new window."""
        self._slices.clear()

    def read(self) -> LoopStatus | None:
        """Return what the kept slices say; None before the first has ended."""
        steps = sorted(self._slices)
        if not steps:
            return None
        return LoopStatus(
            hold_p50=steps[len(steps) // 2],
            hold_p99=steps[len(steps) * 99 // 100],
            hold_max=steps[-1],
        )
