"""
A slow line in front of a fast one, for measurements: latency, and a bandwidth for all of a node.

Only what a node sends is held back, so a message crosses one line. Handshakes pass unhindered.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import trio

AHEAD_SECONDS: Final = 0.05
"""What a socket would take in before its sender waits, in time on the line."""
UNDER_WAY_BYTES_MAX: Final = 8 << 20
"""Of one connection; a bandwidth-delay product of 100 Mbit/s and 600 ms."""


@dataclass(frozen=True, slots=True)
class LinePlan:
    """How slow the line is."""

    latency_seconds: float
    """One way."""
    bytes_per_second: float
    """Of the whole node; 0: no bound."""


@dataclass(slots=True)
class Line:
    """The uplink of one node, which all of its connections share."""

    plan: LinePlan
    free_at: float = 0.0
    """When the last byte that was accepted will have left."""

    def due(self, size: int) -> float:
        """Take bytes in and return when they arrive."""
        now = trio.current_time()
        seconds = size / self.plan.bytes_per_second if self.plan.bytes_per_second else 0.0
        self.free_at = max(now, self.free_at) + seconds
        return self.free_at + self.plan.latency_seconds


class DelayedWriter:
    """One connection's place on the line: hands bytes on in order, when they are due."""

    def __init__(self, line: Line, write: Callable[[bytes], Awaitable[None]]) -> None:
        self._line = line
        self._write = write
        self._under_way: deque[tuple[float, bytes]] = deque()
        self._bytes = 0
        self._arrived = trio.Event()
        self._left = trio.Event()

    async def write(self, data: bytes) -> None:
        """Put bytes on the line; waits while it is full."""
        while self._bytes > UNDER_WAY_BYTES_MAX:
            self._left = trio.Event()
            await self._left.wait()
        self._under_way.append((self._line.due(len(data)), data))
        self._bytes += len(data)
        self._arrived.set()
        await trio.sleep_until(self._line.free_at - AHEAD_SECONDS)

    async def run(self) -> None:
        """Hand on what is due; ends by cancellation or with the connection."""
        while True:
            while not self._under_way:
                self._arrived = trio.Event()
                await self._arrived.wait()
            due, data = self._under_way[0]
            await trio.sleep_until(due)
            await self._write(data)
            self._under_way.popleft()
            self._bytes -= len(data)
            self._left.set()
