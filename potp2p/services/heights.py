"""A bell that rings when a block is decided: services wait for it and then look for themselves."""

from dataclasses import dataclass, field

import trio

from potp2p.foundation.types import GENESIS_HEIGHT, Height


@dataclass(slots=True)
class HeightBell:
    """The latest decided height and a way to wait for the next; nothing is queued."""

    height: Height = GENESIS_HEIGHT
    _changed: trio.Event = field(default_factory=trio.Event)

    def ring(self, height: Height) -> None:
        """Announce a decided height and wake everyone who waits."""
        self.height = height
        self._changed.set()
        self._changed = trio.Event()

    async def wait_above(self, height: Height) -> Height:
        """Return the latest height once it is above the one given."""
        while self.height <= height:
            await self._changed.wait()
        return self.height
