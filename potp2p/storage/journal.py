"""
The write-ahead log of a replica: frames at the end of one file, synced before a vote leaves.

A frame is magic, body length, bytes synced when it was written, CRC-32 of all that and the body,
then the body; integers are big-endian. Whatever breaks off after the last sync was never acted upon
and is cut away. A frame that later frames say was synced, and that no longer reads, means that the
disk forgot something this node may have told others: the journal then refuses to open.
"""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self
from zlib import crc32

import trio

from potp2p.foundation.errors import OperatingError
from potp2p.foundation.limits import JOURNAL_BYTES_MAX, JOURNAL_ENTRY_BYTES_MAX
from potp2p.storage.files import operating, sync_folder, write_all

MAGIC: Final = b"\xf0wal"
HEADER: Final = struct.Struct(">4sIQI")


@dataclass(frozen=True, slots=True)
class _Frame:
    """One frame found in a file."""

    body: bytes
    end: int
    """Offset behind it."""
    synced: int
    """Bytes that were durable when it was written."""


@dataclass(slots=True)
class JournalFile:
    """The journal of one data folder; made by `open`."""

    path: Path
    _descriptor: int
    _entries: list[bytes]
    _end: int
    """Offset at which the next frame begins."""
    _synced: int
    _thread: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(1))

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """Open or create the file, cut away a torn tail, refuse damage before it."""
        with operating(path, "open the journal"):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            with operating(path, "read the journal"):
                sync_folder(path.parent)
                content = _read_bounded(path, descriptor)
                entries, end = _recover(path, content)
                os.ftruncate(descriptor, end)
                os.fdatasync(descriptor)
            yield cls(path, descriptor, entries, end, end)
        finally:
            os.close(descriptor)

    def entries(self) -> tuple[bytes, ...]:
        """Return what the journal holds, oldest first."""
        return tuple(self._entries)

    def append(self, body: bytes) -> None:
        """Write at the end; durable only after `sync`."""
        assert 0 < len(body) <= JOURNAL_ENTRY_BYTES_MAX, len(body)
        frame = _encode(body, self._synced)
        if self._end + len(frame) > JOURNAL_BYTES_MAX:
            raise OperatingError(f"{self.path}: journal is full; the height does not end")
        # A write that fails half-way leaves `_end` alone, so that the next one covers its traces.
        with operating(self.path, "write the journal"):
            write_all(self._descriptor, frame, self._end)
        self._end += len(frame)
        self._entries.append(body)

    async def sync(self) -> None:
        """Return once everything appended would survive a power cut."""
        end = self._end
        if self._synced < end:
            with operating(self.path, "sync the journal"):
                await trio.to_thread.run_sync(os.fdatasync, self._descriptor, limiter=self._thread)
            # A reset while the thread worked has set both back; then nothing is left to claim.
            if end <= self._end:
                self._synced = max(self._synced, end)
        else:
            await trio.lowlevel.checkpoint()

    def reset(self) -> None:
        """Forget everything: the height is decided and stored elsewhere."""
        with operating(self.path, "cut the journal"):
            os.ftruncate(self._descriptor, 0)
        self._entries.clear()
        self._end = self._synced = 0


def _encode(body: bytes, synced: int) -> bytes:
    checksum = crc32(body, crc32(HEADER.pack(MAGIC, len(body), synced, 0)))
    return HEADER.pack(MAGIC, len(body), synced, checksum) + body


def _frame_at(content: bytes, offset: int) -> _Frame | None:
    """Return the intact frame that begins at an offset."""
    if len(content) - offset < HEADER.size:
        return None
    magic, size, synced, checksum = HEADER.unpack_from(content, offset)
    start = offset + HEADER.size
    end = start + size
    if magic != MAGIC or not 0 < size <= JOURNAL_ENTRY_BYTES_MAX or end > len(content):
        return None
    body = content[start:end]
    if crc32(body, crc32(HEADER.pack(MAGIC, size, synced, 0))) != checksum:
        return None
    return _Frame(body, end, synced)


def _recover(path: Path, content: bytes) -> tuple[list[bytes], int]:
    """Return intact entries from the start and the offset behind them."""
    entries: list[bytes] = []
    offset = 0
    while (frame := _frame_at(content, offset)) is not None:
        entries.append(frame.body)
        offset = frame.end
    later = content.find(MAGIC, offset + 1)
    while later >= 0:
        frame = _frame_at(content, later)
        if frame is not None and frame.synced > offset:
            raise OperatingError(
                f"{path}: journal is damaged at byte {offset}, before entry at byte {later};"
                " restore it, or start anew under another key"
            )
        later = content.find(MAGIC, later + 1)
    return entries, offset


def _read_bounded(path: Path, descriptor: int) -> bytes:
    size = os.fstat(descriptor).st_size
    if size > JOURNAL_BYTES_MAX:
        raise OperatingError(f"{path}: journal of {size} bytes is not ours")
    return path.read_bytes()
