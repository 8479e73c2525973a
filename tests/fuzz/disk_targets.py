"""What a node finds on its own disk after a crash: journal, safety record, notes about blobs."""

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Final

from potp2p.foundation.errors import UnsafeError
from potp2p.foundation.types import BlobId, Digest
from potp2p.storage.blob_folder import _blob_named, _have_from, _manifest_from
from potp2p.storage.journal_frames import Form, Reading, read_content
from potp2p.storage.safety import SLOT_BYTES, _encode, _recover
from potp2p.storage.tables import HEIGHT_BYTES, height_from_key, height_key
from tests.fuzz.targets import Target
from tests.fuzz.wire_targets import _manifest_seed

NOTHING: Final = ()


def disk_targets(folder: Path) -> Iterator[Target]:
    """Yield the targets; what is damaged is found or cut off, never an odd exception."""
    yield Target("journal file", _journal, NOTHING, _journal_seed)
    yield Target("safety record", _safety, (UnsafeError,), _safety_seed)
    yield Target("manifest on disk", _manifest(folder), NOTHING, _manifest_seed)
    yield Target("chunks on disk", _have(folder), NOTHING, lambda random: random.randbytes(40))
    yield Target("name of a blob", _blob_name, NOTHING, lambda r: r.randbytes(32).hex().encode())
    yield Target("key of a height", _height, NOTHING, lambda random: random.randbytes(HEIGHT_BYTES))


def _journal_seed(random: Random) -> bytes:
    form = random.choice((Form(0, b""), Form(random.randrange(1 << 40), random.randbytes(16))))
    content, synced = form.head, 0
    for _ in range(random.randrange(5)):
        content += form.frame(random.randbytes(random.choice((1, 20, 300))), synced)
        synced = random.choice((synced, len(content)))
    return content


def _journal(content: bytes) -> Reading | None:
    reading = read_content(content)
    if reading is None:
        return None
    assert reading.end <= len(content)
    if reading.damage is None and reading.end:
        again = read_content(content[: reading.end])
        assert again is not None
        assert again.entries == reading.entries, "cutting the tail off changed what was read"
    return reading


def _safety_seed(random: Random) -> bytes:
    slots = [_encode(random.randbytes(40), number).ljust(SLOT_BYTES, b"\0") for number in (2, 1)]
    return b"".join(slots[: random.choice((1, 2, 2))])


def _safety(content: bytes) -> tuple[bytes | None, int]:
    return _recover(Path("fuzz"), content)


def _manifest(folder: Path) -> Callable[[bytes], object]:
    path = folder / "manifest"

    def decode(content: bytes) -> object:
        path.write_bytes(content)
        return _manifest_from(path, BlobId(Digest(bytes(32))))

    return decode


def _have(folder: Path) -> Callable[[bytes], object]:
    path = folder / "have"

    def decode(content: bytes) -> object:
        path.write_bytes(content)
        have = _have_from(path, 7)
        assert len(have) == 7
        return have

    return decode


def _blob_name(content: bytes) -> BlobId | None:
    name = content.decode(errors="replace")
    blob = _blob_named(name)
    assert blob is None or blob.hex() == name
    return blob


def _height(content: bytes) -> object:
    key = content[:HEIGHT_BYTES].ljust(HEIGHT_BYTES, b"\0")
    assert height_key(height_from_key(key)) == key
    return key
