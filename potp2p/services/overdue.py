"""
Free statements that blocks leave out: how long each has been valid here, and what follows.

First whoever holds one hands it to the authors and primaries that come next, who may not have it.
Then a primary proposes no body that leaves it out, and such a body binds nobody. Last, a validator
refuses a block without it (DESIGN section 5), within the limits of every refusal: in early views
and never against a certificate. Each step has its number of blocks and its least time, so that no
honest primary is refused for what the network had no time to bring it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from potp2p.foundation.limits import (
    OWN_REFUSAL_SECONDS_MIN,
    PRESS_SECONDS_MIN,
    REFUSAL_SECONDS_MIN,
)
from potp2p.foundation.types import Height


@dataclass(slots=True)
class Overdue:
    """What has been valid for some blocks, as of the head; a function of it until the next one."""

    blocks: int
    """Of the genesis document: from then on a block without it is refused."""
    clock: Callable[[], float]
    """Seconds."""
    pressing: tuple[bytes, ...] = ()
    """To be handed to authors and primaries."""
    due: tuple[bytes, ...] = ()
    """We propose no block without these."""
    refusing: frozenset[bytes] = frozenset()
    """We refuse a block without one of these."""
    _since: dict[bytes, tuple[Height, float]] = field(
        default_factory=dict[bytes, tuple[Height, float]]
    )

    def turn(self, height: Height, valid: Iterable[bytes]) -> None:
        """Take in what a decided block left out though it would apply on it."""
        now = self.clock()
        self._since = {each: self._since.get(each, (height, now)) for each in valid}
        self.pressing = self._older(height, self.blocks // 2, now - PRESS_SECONDS_MIN)
        self.due = self._older(height, self.blocks - 1, now - OWN_REFUSAL_SECONDS_MIN)
        refusing = self._older(height, self.blocks, now - REFUSAL_SECONDS_MIN)
        self.refusing = frozenset(refusing)

    def _older(self, height: Height, blocks: int, latest: float) -> tuple[bytes, ...]:
        return tuple(
            encoded
            for encoded, (first, seconds) in self._since.items()
            if height - first >= blocks and seconds <= latest
        )
