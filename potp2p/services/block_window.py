"""
Which heights catch-up wants, has asked for and holds: pure bookkeeping, bounded in every way.

Ranges are handed out from the lowest missing height up. What arrives before its predecessors is
kept; room for what is on its way is reserved, so no mix of peers takes more memory than the bound.
"""

from dataclasses import dataclass, field

from potp2p.foundation.limits import (
    BLOCKS_AHEAD_BYTES_MAX,
    BLOCKS_AHEAD_MAX,
    MESSAGE_BYTES_MAX,
    RANGE_BYTES,
    RANGES_ASKED_MAX,
)
from potp2p.foundation.types import Height, NodeId
from potp2p.protocol.wire.exchange import BLOCKS_PER_REQUEST_MAX
from potp2p.services.sealed import SealedArrival


@dataclass(frozen=True, slots=True)
class AskedRange:
    """One request on its way."""

    peer: NodeId
    first: Height
    count: int
    since: float

    @property
    def heights(self) -> range:
        """Return the heights that were asked for."""
        return range(self.first, self.first + self.count)


@dataclass(slots=True)
class BlockWindow:
    """The heights above the chain's head, up to a bounded distance."""

    first: Height
    """The lowest height that the chain lacks."""
    asked: list[AskedRange] = field(default_factory=list[AskedRange])
    held_bytes: int = 0
    _held: dict[Height, SealedArrival] = field(default_factory=dict[Height, SealedArrival])
    _block_bytes: int = RANGE_BYTES // BLOCKS_PER_REQUEST_MAX
    """Size of a block lately: how many fit one answer."""

    def missing(self, last: Height) -> tuple[Height, int] | None:
        """Return the lowest range worth asking for, None while there is nothing or no room."""
        waiting = {height for asked in self.asked for height in asked.heights}
        last = Height(min(last, self.first + BLOCKS_AHEAD_MAX - 1))
        lacks = (at for at in range(self.first, last + 1) if not self._knows(at, waiting))
        first = next(lacks, None)
        if first is None or not self._has_room(first):
            return None
        count_max = max(1, min(BLOCKS_PER_REQUEST_MAX, RANGE_BYTES // self._block_bytes))
        count = 0
        while count < count_max and first + count <= last:
            if self._knows(first + count, waiting):
                break
            count += 1
        return Height(first), count

    def overdue(self, before: float) -> AskedRange | None:
        """Return the request that all wait for, if it left so early and only one peer has it."""
        holders = [asked for asked in self.asked if self.first in asked.heights]
        if len(holders) == 1 and holders[0].since <= before:
            return holders[0]
        return None

    def put(self, arrival: SealedArrival) -> None:
        """Keep a block that is above the head and new; anything else is a copy come late."""
        if not self.first <= arrival.height < self.first + BLOCKS_AHEAD_MAX:
            return
        if arrival.height in self._held:
            return
        self._held[arrival.height] = arrival
        self.held_bytes += arrival.size
        self._block_bytes = max(1, (3 * self._block_bytes + arrival.size) // 4)

    def next(self) -> SealedArrival | None:
        """Return the block that follows the head, if it is here."""
        return self._held.get(self.first)

    def advance(self, head: Height) -> None:
        """Note that the chain has come this far."""
        self.first = Height(head + 1)
        for height in [at for at in self._held if at <= head]:
            self._remove(height)

    def forget(self, source: NodeId) -> None:
        """Let go of all that one peer brought: it was caught lying."""
        for height in [at for at, held in self._held.items() if held.source == source]:
            self._remove(height)

    def _remove(self, height: Height) -> None:
        self.held_bytes -= self._held.pop(height).size

    def _knows(self, height: int, waiting: set[int]) -> bool:
        return height in waiting or Height(height) in self._held

    def _has_room(self, first: int) -> bool:
        if len(self.asked) >= RANGES_ASKED_MAX:
            return False
        # What the head waits for is always asked, whatever lies above it.
        coming = (len(self.asked) + 1) * MESSAGE_BYTES_MAX
        return first == self.first or self.held_bytes + coming <= BLOCKS_AHEAD_BYTES_MAX
