"""
How a journal file is written: a head with a number and a salt, then frames up to the first bad one.

A frame is marker, body length, bytes synced when it was written, CRC-32 of all that and the body,
then the body; integers are big-endian. Marker and checksum depend on the salt, which nobody outside
this machine knows: what a peer's block contains cannot read as a frame, and neither can what is
left over from an earlier use of the file.

Whatever breaks off after the last sync was never acted upon and is cut away. A frame that later
frames say was synced, and that no longer reads, is damage: the disk forgot something that this node
may have told others.
"""

import struct
from dataclasses import dataclass
from typing import Final
from zlib import crc32

from potp2p.foundation.limits import JOURNAL_BYTES_MAX, JOURNAL_ENTRY_BYTES_MAX

HEAD: Final = struct.Struct(">4sQ16sI")
"""Magic, number, salt, CRC-32 of these."""
HEAD_MAGIC: Final = b"\xf0wl2"
FRAME: Final = struct.Struct(">4sIQI")
SALT_BYTES: Final = 16
FIRST_FORM_MARKER: Final = b"\xf0wal"
"""Begins every frame of a file that potp2p 0.1 wrote, without head and salt."""
_MARKER_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Form:
    """What the frames of one use of a file depend on."""

    number: int
    """Rises with every use; the file with the higher number is the journal."""
    salt: bytes

    @property
    def head(self) -> bytes:
        """Return what the file begins with."""
        if not self.salt:
            return b""
        plain = HEAD.pack(HEAD_MAGIC, self.number, self.salt, 0)
        return HEAD.pack(HEAD_MAGIC, self.number, self.salt, crc32(plain))

    def frame(self, body: bytes, synced: int) -> bytes:
        """Return one entry as it is written."""
        assert 0 < len(body) <= JOURNAL_ENTRY_BYTES_MAX, len(body)
        checksum = self._checksum(len(body), synced, body)
        return FRAME.pack(self._marker, len(body), synced, checksum) + body

    def frame_at(self, content: bytes, offset: int) -> "Frame | None":
        """Return the intact frame that begins at an offset."""
        if len(content) - offset < FRAME.size:
            return None
        marker, size, synced, checksum = FRAME.unpack_from(content, offset)
        start = offset + FRAME.size
        end = start + size
        if marker != self._marker or not 0 < size <= JOURNAL_ENTRY_BYTES_MAX or end > len(content):
            return None
        body = content[start:end]
        if self._checksum(size, synced, body) != checksum:
            return None
        return Frame(body, end, synced)

    def later_frames(self, content: bytes, offset: int) -> "list[tuple[int, Frame]]":
        """Return every intact frame that begins behind an offset, wherever it begins."""
        found: list[tuple[int, Frame]] = []
        place = content.find(self._marker, offset + 1)
        while place >= 0:
            frame = self.frame_at(content, place)
            if frame is not None:
                found.append((place, frame))
            place = content.find(self._marker, place + 1)
        return found

    @property
    def _marker(self) -> bytes:
        return self.salt[:_MARKER_BYTES] or FIRST_FORM_MARKER

    def _checksum(self, size: int, synced: int, body: bytes) -> int:
        seed = crc32(self.salt[_MARKER_BYTES:])
        return crc32(body, crc32(FRAME.pack(self._marker, size, synced, 0), seed))


@dataclass(frozen=True, slots=True)
class Frame:
    """One entry found in a file."""

    body: bytes
    end: int
    """Offset behind it."""
    synced: int
    """Bytes that were durable when it was written."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Something that was synced and does not read, before something that does."""

    at: int
    before: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What one file holds."""

    form: Form
    entries: tuple[bytes, ...]
    end: int
    """Offset behind the last intact entry."""
    damage: Damage | None


def read_content(content: bytes) -> Reading | None:
    """Read a file; None when no use of it was ever begun, or its head was not synced."""
    assert len(content) <= JOURNAL_BYTES_MAX
    form = _form_of(content)
    if form is None:
        return None
    entries: list[bytes] = []
    offset = len(form.head)
    while (frame := form.frame_at(content, offset)) is not None:
        entries.append(frame.body)
        offset = frame.end
    damage = None
    for place, later in form.later_frames(content, offset):
        if later.synced > offset:
            damage = Damage(offset, place)
            break
    return Reading(form, tuple(entries), offset, damage)


def _form_of(content: bytes) -> Form | None:
    if content.startswith(FIRST_FORM_MARKER):
        return Form(0, b"")
    if len(content) < HEAD.size:
        return None
    _magic, number, salt, _checksum = HEAD.unpack_from(content)
    form = Form(number, salt)
    return form if content.startswith(form.head) else None
