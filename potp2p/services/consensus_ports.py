"""What the consensus service needs from disk and from the chain."""

from collections.abc import Sequence
from enum import Enum, unique
from typing import Protocol

from potp2p.foundation.types import Digest, Height, View
from potp2p.protocol.consensus.events import HeightStarted
from potp2p.protocol.wire.blocks import Block, Seal


class Journal(Protocol):
    """Append-only record of everything that changed the replica at the height in work."""

    def entries(self) -> Sequence[bytes]:
        """Return what survived the last stop, oldest first; a torn tail is gone."""

    def size(self) -> int:
        """Return how many bytes the journal takes."""

    def append(self, body: bytes) -> None:
        """Write at the end; durable only after `sync`."""

    async def sync(self) -> None:
        """Return once everything appended would survive a power cut."""

    def reset(self) -> None:
        """Forget everything: the height is decided and stored elsewhere."""

    async def rewrite(self, bodies: Sequence[bytes]) -> None:
        """Replace everything by these; durable on return, and a crash leaves the old or the new."""


class SafetyRecord(Protocol):
    """One small byte string that survives a power cut: the last thing that was signed."""

    def read(self) -> bytes | None:
        """Return what was written last; None if nothing ever was."""

    async def write(self, body: bytes) -> None:
        """Return once the new content would survive a power cut."""


@unique
class BlockVerdict(Enum):
    """What executing a block came to."""

    BROKEN = "broken"
    """It breaks a rule."""
    SOUND = "sound"
    WITHHOLDING = "withholding"
    """Sound, but it leaves out what others have waited with for too long."""


class BlockSource(Protocol):
    """The chain as consensus sees it: it chooses, executes and stores blocks."""

    async def candidate(self, height: Height, view: View) -> Block:
        """Return our choice for a view that we lead: best body heard, or our own, in our frame."""

    async def check(
        self, block: Block, block_hash: Digest, *, first_proposal: bool
    ) -> BlockVerdict:
        """Execute a block on an overlay."""

    async def decided(self, block: Block, seal: Seal) -> HeightStarted:
        """Store a final block durably and return the facts of the next height."""

    def next_height(self) -> HeightStarted:
        """Return the facts of the height after the stored head."""
