"""
The last thing that was signed, in one small file that never loses it.

Two slots are written in turn and carry a rising number, so a torn write spoils only the slot that
was older. A file in which neither slot reads is damage, and a node that goes on could sign twice.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, Self
from zlib import crc32

import trio

from potp2p.foundation.errors import UnsafeError
from potp2p.foundation.limits import SAFETY_RECORD_BYTES_MAX
from potp2p.storage.files import Files, LocalFiles, operating, replace_file
from potp2p.storage.ports import REPAIR_HINT

MAGIC: Final = b"safe"
HEADER: Final = struct.Struct(">4sQII")
"""Magic, number, length of the body, CRC-32 of all that and the body."""
SLOT_BYTES: Final = 4_096
"""A disk page, so that no write touches both slots."""
SLOTS: Final = 2

assert HEADER.size + SAFETY_RECORD_BYTES_MAX <= SLOT_BYTES


@dataclass(slots=True)
class SafetyFile:
    """The safety record of one data folder; made by `open`."""

    path: Path
    _files: Files
    _descriptor: int
    _body: bytes | None
    _number: int
    """Of the newest slot; 0 before anything was written."""
    _order: trio.Lock = field(default_factory=trio.Lock)

    @classmethod
    @contextmanager
    def open(cls, path: Path, files: Files | None = None) -> Iterator[Self]:
        """Open or create the file; UnsafeError when it holds something that does not read."""
        files = LocalFiles() if files is None else files
        with operating(path, "open the safety record"):
            descriptor = files.open(path)
        try:
            with operating(path, "read the safety record"):
                files.sync_folder(path.parent)
                content = files.read(descriptor, SLOTS * SLOT_BYTES + 1)
            yield cls(path, files, descriptor, *_recover(path, content))
        finally:
            files.close(descriptor)

    def read(self) -> bytes | None:
        """Return what was written last; None if nothing ever was."""
        return self._body

    async def write(self, body: bytes) -> None:
        """Return once the new content would survive a power cut."""
        assert 0 < len(body) <= SAFETY_RECORD_BYTES_MAX, len(body)
        async with self._order:
            await self._files.aside(partial(self._write_slot, body, self._number + 1))
            self._number += 1
            self._body = body

    def _write_slot(self, body: bytes, number: int) -> None:
        slot = _encode(body, number).ljust(SLOT_BYTES, b"\x00")
        with operating(self.path, "write the safety record"):
            self._files.write(self._descriptor, slot, number % SLOTS * SLOT_BYTES)
            self._files.sync(self._descriptor)


def create_record(path: Path, body: bytes) -> None:
    """Put a new record in a place; a crash leaves what was there before, or all of it."""
    slot = _encode(body, 1).ljust(SLOT_BYTES, b"\x00")
    with operating(path, "write the safety record"):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        replace_file(path, bytes(SLOT_BYTES) + slot, path.with_name(f".{path.name}.draft"))


def _encode(body: bytes, number: int) -> bytes:
    checksum = crc32(body, crc32(HEADER.pack(MAGIC, number, len(body), 0)))
    return HEADER.pack(MAGIC, number, len(body), checksum) + body


def _slot(content: bytes) -> tuple[bytes, int] | None:
    """Return body and number of an intact slot."""
    if len(content) < HEADER.size:
        return None
    magic, number, size, _checksum = HEADER.unpack_from(content)
    body = content[HEADER.size : HEADER.size + size]
    if magic != MAGIC or not body or not content.startswith(_encode(body, number)):
        return None
    return body, number


def _recover(path: Path, content: bytes) -> tuple[bytes | None, int]:
    found = [
        slot
        for start in range(0, SLOTS * SLOT_BYTES, SLOT_BYTES)
        if (slot := _slot(content[start : start + SLOT_BYTES])) is not None
    ]
    if found:
        return max(found, key=lambda slot: slot[1])
    # The very first write may have been torn: it went to slot 1 and nothing left on its strength.
    if len(content) > SLOTS * SLOT_BYTES or content[:SLOT_BYTES].strip(b"\x00"):
        raise UnsafeError(f"{path}: what was signed last cannot be read; {REPAIR_HINT}")
    return None, 0
