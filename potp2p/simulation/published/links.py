"""Links in virtual time: every node sends and receives at one rate, every message has its delay."""

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final

LATENCY_SECONDS_MAX: Final = 0.35
LATENCY_SHARE_MIN: Final = 0.1
SEGMENT_BYTES: Final = 64 * 1024
"""Connections take turns on the uplink by pieces of this size, a Yamux frame."""
FRAMING_BYTES: Final = 60
"""Length, Yamux header, Noise tag, TCP and IP around a message."""

Happening = Callable[[], None]


class Clock:
    """Virtual time, and what is going to happen in it."""

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Happening]] = []
        self._count = 0

    def at(self, moment: float, happening: Happening) -> None:
        """Let something happen; of what happens at the same time the first planned comes first."""
        self._count += 1
        heapq.heappush(self._heap, (max(moment, self.now), self._count, happening))

    def run(self, until: Callable[[], bool], seconds_max: float, happenings_max: int) -> None:
        """Go on until something is so, or time is up, or a storm has to be given up."""
        for _ in range(happenings_max):
            if not self._heap or until():
                return
            self.now, _, happening = heapq.heappop(self._heap)
            if self.now > seconds_max:
                return
            happening()


@dataclass(slots=True)
class _Message:
    """Something on its way to one node."""

    to: int
    left: int
    """Bytes still to be sent."""
    latency: float
    arrived: Happening


@dataclass(slots=True)
class _Port:
    """The network card of one node."""

    waiting: dict[int, deque[_Message]] = field(default_factory=dict[int, deque[_Message]])
    turns: deque[int] = field(default_factory=deque[int])
    """Connections with something to send, in the order of their turns."""
    is_sending: bool = False
    receiving_until: float = 0.0
    sent_bytes: int = 0
    queued_bytes: int = 0
    queued_bytes_most: int = 0


class Links:
    """Connects everyone with everyone."""

    def __init__(
        self, clock: Clock, size: int, megabits: float, random: Random, *, shared: bool
    ) -> None:
        self._clock = clock
        self._shared = shared
        self._seconds_per_byte = 8 / (megabits * 1e6)
        self._random = random
        self.ports = [_Port() for _ in range(size)]

    def send(self, sender: int, to: int, size: int, arrived: Happening) -> None:
        """Put a message on the connection to a node."""
        port = self.ports[sender]
        latency = LATENCY_SECONDS_MAX * self._random.uniform(LATENCY_SHARE_MIN, 1)
        if not self._shared:
            port.sent_bytes += size + FRAMING_BYTES
            seconds = (size + FRAMING_BYTES) * self._seconds_per_byte
            self._clock.at(self._clock.now + latency + seconds, arrived)
            return
        message = _Message(to, size + FRAMING_BYTES, latency, arrived)
        queue = port.waiting.setdefault(to, deque())
        if not queue:
            port.turns.append(to)
        queue.append(message)
        port.sent_bytes += message.left
        port.queued_bytes += message.left
        port.queued_bytes_most = max(port.queued_bytes_most, port.queued_bytes)
        if not port.is_sending:
            self._send_next(port)

    def _send_next(self, port: _Port) -> None:
        if not port.turns:
            port.is_sending = False
            return
        port.is_sending = True
        to = port.turns.popleft()
        queue = port.waiting[to]
        message = queue[0]
        piece = min(message.left, SEGMENT_BYTES)
        message.left -= piece
        port.queued_bytes -= piece
        if not message.left:
            queue.popleft()
        if queue:
            port.turns.append(to)
        seconds = piece * self._seconds_per_byte
        first_bit = self._clock.now + message.latency
        done = message.arrived if not message.left else None
        self._clock.at(first_bit, lambda: self._receive(message.to, seconds, done))
        self._clock.at(self._clock.now + seconds, lambda: self._send_next(port))

    def _receive(self, to: int, seconds: float, done: Happening | None) -> None:
        """Take a piece in: the downlink takes as long as the uplink, one piece after another."""
        port = self.ports[to]
        port.receiving_until = max(self._clock.now, port.receiving_until) + seconds
        if done is not None:
            self._clock.at(port.receiving_until, done)
