"""What a machine's disk does to its owner: it forgets, fills up, fails, stalls, or loses power."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, unique
from random import Random
from typing import assert_never

import trio

from potp2p.foundation.errors import OperatingError


@unique
class Kept(IntEnum):
    """What a power cut leaves of the bytes that were written and not synced."""

    NONE = 0
    PREFIX = 1
    SUBSET = 2
    """Some sectors and not others: a log reads on up to the first hole."""
    ALL = 3


@dataclass(slots=True)
class Disk:
    """
    The one disk under all stores of a machine; every durable operation passes here.

    `operations` counts them, so that power can be cut before or after any single one.
    """

    operations: int = 0
    failing: str | None = None
    """Why nothing can be written now; None while writing works."""
    failed_for: str | None = None
    """Why the last write failed that did."""
    cut_at: int | None = None
    """Number of the operation in which power fails."""
    cut_after: bool = False
    """Whether that operation still becomes durable."""
    on_cut: Callable[[], None] = lambda: None
    """Ends the machine as a power cut does."""
    _resumed: trio.Event | None = None

    def stall(self) -> None:
        """Let nothing become durable until `resume`."""
        if self._resumed is None:
            self._resumed = trio.Event()

    def resume(self) -> None:
        """Go on after a stall."""
        if self._resumed is not None:
            self._resumed.set()
            self._resumed = None

    def verify_writable(self) -> None:
        """Raise while nothing can be written."""
        if self.failing is not None:
            self.failed_for = self.failing
            raise OperatingError(self.failing)

    async def write(self, apply: Callable[[], None]) -> None:
        """Make something durable whole, or fail, or lose power before or after it."""
        await trio.lowlevel.checkpoint()
        while self._resumed is not None:
            await self._resumed.wait()
        self.verify_writable()
        self.operations += 1
        if self.cut_at is None or self.operations < self.cut_at:
            apply()
            return
        self.cut_at = None
        if self.cut_after:
            apply()
        self.on_cut()
        await trio.sleep_forever()


@dataclass(slots=True)
class MemoryJournal:
    """A journal whose unsynced end a crash takes."""

    synced: list[bytes] = field(default_factory=list[bytes])
    unsynced: list[bytes] = field(default_factory=list[bytes])
    order: list[str] = field(default_factory=list[str])
    """What became durable, in order; may be shared with the record."""
    cut: list[bytes] = field(default_factory=list[bytes])
    """What the last reset of a full journal threw away."""
    disk: Disk = field(default_factory=Disk)
    _undone: list[bytes] | None = None
    """What a reset that was not synced yet would bring back after a power cut."""

    def entries(self) -> list[bytes]:
        """Return what survives."""
        return list(self.synced)

    def append(self, body: bytes) -> None:
        """Write at the end."""
        self.disk.verify_writable()
        self.unsynced.append(body)

    async def sync(self) -> None:
        """Make durable what was written up to now."""
        end = len(self.unsynced)

        def apply() -> None:
            self.synced += self.unsynced[:end]
            self.unsynced = self.unsynced[end:]
            self._undone = None
            self.order.append("journal")

        await self.disk.write(apply)

    def size(self) -> int:
        """Return how many bytes the journal takes."""
        return sum(len(each) for each in (*self.synced, *self.unsynced))

    async def rewrite(self, bodies: Sequence[bytes]) -> None:
        """Replace everything by these; a crash leaves the old or the new."""

        def apply() -> None:
            self.synced, self.unsynced, self._undone = list(bodies), [], None
            self.order.append("rewrite")

        await self.disk.write(apply)

    def reset(self) -> None:
        """Forget everything."""
        self.disk.verify_writable()
        self.cut = self.synced or self.cut
        if self._undone is None:
            self._undone = self.synced
        self.synced = []
        self.unsynced = []

    def crash(self, kept: Kept = Kept.NONE, random: Random | None = None) -> None:
        """Lose what was not synced, or the part of it that bad luck leaves."""
        random = random or Random(0)
        if self._undone is not None and kept in {Kept.NONE, Kept.SUBSET} and random.random() < 0.5:
            self.synced, self.unsynced = self._undone, []
        survivors = _survivors(kept, len(self.unsynced), random)
        self.synced += self.unsynced[:survivors]
        self.unsynced = []
        self._undone = None


@dataclass(slots=True)
class MemoryRecord:
    """The safety record: a torn write leaves what was there before it."""

    content: bytes | None = None
    order: list[str] = field(default_factory=list[str])
    disk: Disk = field(default_factory=Disk)

    def read(self) -> bytes | None:
        """Return what was written last."""
        return self.content

    async def write(self, body: bytes) -> None:
        """Keep new content."""

        def apply() -> None:
            self.content = body
            self.order.append("guard")

        await self.disk.write(apply)


def _survivors(kept: Kept, written: int, random: Random) -> int:
    """Return how many unsynced entries a power cut leaves."""
    match kept:
        case Kept.NONE:
            return 0
        case Kept.PREFIX:
            return random.randint(0, written)
        case Kept.SUBSET:
            lost = (at for at in range(written) if random.random() < 0.5)
            return next(lost, written)
        case Kept.ALL:
            return written
        case _:
            assert_never(kept)
