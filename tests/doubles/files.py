"""A disk in memory under the real journal and record: it counts, loses power and fills up."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TypeVar

import trio

from potp2p.simulation.disks import Kept

SECTOR_BYTES = 512
Result = TypeVar("Result")


class PowerCut(BaseException):
    """Power failed; nothing that runs on this machine hears of it."""


@dataclass
class MemoryFile:
    """What the platters hold, and what was written since the last sync."""

    durable: bytearray = field(default_factory=bytearray)
    cached: bytearray = field(default_factory=bytearray)
    is_named: bool = False
    """Whether its name would survive."""

    def sectors_apart(self) -> list[int]:
        """Return the sectors in which cache and platters differ."""
        size = max(len(self.durable), len(self.cached))
        starts = range(0, size, SECTOR_BYTES)
        return [at for at in starts if self._sector(at, "cached") != self._sector(at, "durable")]

    def _sector(self, at: int, name: str) -> bytes:
        content: bytearray = getattr(self, name)
        return bytes(content[at : at + SECTOR_BYTES])

    def lose_power(self, kept: Kept, random: Random) -> None:
        """Keep of the unsynced sectors what bad luck leaves."""
        apart = self.sectors_apart()
        match kept:
            case Kept.NONE:
                survivors = []
            case Kept.PREFIX:
                survivors = apart[: random.randint(0, len(apart))]
            case Kept.SUBSET:
                survivors = [at for at in apart if random.random() < 0.5]
            case Kept.ALL:
                survivors = apart
        if kept is Kept.ALL:
            self.durable = bytearray(self.cached)
        for at in survivors:
            sector = self._sector(at, "cached")
            if len(self.durable) < at + len(sector):
                self.durable.extend(bytes(at + len(sector) - len(self.durable)))
            self.durable[at : at + len(sector)] = sector
        self.cached = bytearray(self.durable)


@dataclass
class FaultyFiles:
    """Every operation that durability rests on, counted; power may fail before or after any."""

    operations: int = 0
    names: list[str] = field(default_factory=list[str])
    """What each operation was."""
    cut_at: int | None = None
    cut_after: bool = False
    on_cut: Callable[[], None] = lambda: None
    failing: int | None = None
    """An errno: nothing can be written or synced now."""
    torn: bool = False
    """A write that fails leaves its first half."""
    fails_at_sync: bool = False
    """Writes succeed, into a cache that never reaches the platters."""
    files: dict[Path, MemoryFile] = field(default_factory=dict[Path, MemoryFile])
    _opened: list[MemoryFile] = field(default_factory=list[MemoryFile])

    def count(self, name: str, apply: Callable[[], None]) -> None:
        """Carry out one durable operation, or lose power before or after it."""
        self.operations += 1
        self.names.append(name)
        if self.cut_at != self.operations:
            apply()
            return
        if self.cut_after:
            apply()
        self.on_cut()
        raise PowerCut

    def open(self, path: Path) -> int:
        """Open or create a file."""
        self._opened.append(self.files.setdefault(path, MemoryFile()))
        return len(self._opened) - 1

    def close(self, descriptor: int) -> None:
        """Let go of a file."""

    def read(self, descriptor: int, bytes_max: int) -> bytes:
        """Return what a file begins with."""
        return bytes(self._opened[descriptor].cached[:bytes_max])

    def write(self, descriptor: int, content: bytes, offset: int) -> None:
        """Write into the cache."""
        file = self._opened[descriptor]

        def apply(written: bytes = content) -> None:
            file.cached.extend(bytes(max(0, offset + len(written) - len(file.cached))))
            file.cached[offset : offset + len(written)] = written

        if self.failing is not None and not self.fails_at_sync:
            if self.torn:
                apply(content[: len(content) // 2])
            raise OSError(self.failing, "the disk refuses")
        self.count("write", apply)

    def cut(self, descriptor: int, size: int) -> None:
        """Make a file shorter."""
        file = self._opened[descriptor]
        if len(file.cached) > size:
            self.count("cut", lambda: file.cached.__delitem__(slice(size, None)))

    def sync(self, descriptor: int) -> None:
        """Bring the cache to the platters."""
        file = self._opened[descriptor]
        if self.failing is not None:
            raise OSError(self.failing, "the disk refuses")

        def apply() -> None:
            file.durable = bytearray(file.cached)

        self.count("sync", apply)

    def sync_folder(self, folder: Path) -> None:
        """Bring the names of a folder to the platters."""

        def apply() -> None:
            for path, file in self.files.items():
                if path.parent == folder:
                    file.is_named = True

        self.count("sync folder", apply)

    async def aside(self, work: Callable[[], Result]) -> Result:
        """Run in this thread, where virtual time goes on; a power cut never returns."""
        await trio.lowlevel.checkpoint()
        try:
            return work()
        except PowerCut:
            return await trio.sleep_forever()

    def lose_power(self, kept: Kept, random: Random) -> None:
        """Leave what a power cut leaves; unnamed files are gone."""
        for path, file in list(self.files.items()):
            if file.is_named or kept is Kept.ALL:
                file.lose_power(kept, random)
            else:
                del self.files[path]
        self._opened.clear()
