"""Blobs: checked chunk by chunk, resumed after a restart, evicted by age, never served broken."""

import os
from pathlib import Path

import pytest
import trio

from potp2p.foundation.errors import MissingError, OperatingError, PeerError
from potp2p.foundation.limits import CHUNK_BYTES
from potp2p.foundation.types import BlobId, Digest
from potp2p.protocol.wire.manifests import Manifest, blob_id
from potp2p.protocol.wire.schema import decode
from potp2p.storage.blobs import BlobFiles
from potp2p.storage.ports import BlobStore, Partial

CONTENT = os.urandom(2 * CHUNK_BYTES + 77)
CHUNKS = [CONTENT[start : start + CHUNK_BYTES] for start in range(0, len(CONTENT), CHUNK_BYTES)]


@pytest.fixture
def store(tmp_path: Path) -> BlobFiles:
    return BlobFiles(tmp_path / "blobs")


@pytest.fixture
async def source(tmp_path: Path) -> tuple[BlobId, bytes]:
    """The id and manifest of CONTENT, as another node would give them."""
    other = BlobFiles(tmp_path / "other")
    blob = await other.add_bytes(CONTENT)
    manifest = other.manifest(blob)
    assert manifest is not None
    return blob, manifest


async def test_file_and_bytes_of_one_content_are_one_blob(store: BlobStore, tmp_path: Path) -> None:
    path = tmp_path / "content"
    path.write_bytes(CONTENT)
    blob = await store.add_file(path)

    assert blob == await store.add_bytes(CONTENT)
    stored = store.path(blob)
    assert stored is not None
    assert stored.read_bytes() == CONTENT
    assert [await store.read_chunk(blob, index) for index in range(3)] == CHUNKS
    encoded = store.manifest(blob)
    assert encoded is not None
    assert blob_id(decode(Manifest, encoded)) == blob


async def test_empty_file_is_a_blob(store: BlobFiles) -> None:
    blob = await store.add_bytes(b"")

    stored = store.path(blob)
    assert stored is not None
    assert stored.read_bytes() == b""
    with pytest.raises(PeerError, match="out_of_bounds"):
        await store.read_chunk(blob, 0)


async def test_blobs_and_pins_survive_a_restart(store: BlobFiles) -> None:
    kept, other = await store.add_bytes(b"kept"), await store.add_bytes(b"other")
    store.pin(kept)

    again = BlobFiles(store.folder, quota_bytes=10)
    assert again.path(kept) is not None
    assert await again.read_chunk(other, 0) == b"other"
    await again.add_bytes(b"newer")
    assert again.path(kept) is not None
    assert again.path(other) is None


async def test_download_becomes_a_blob_chunk_by_chunk_in_any_order(
    store: BlobFiles, source: tuple[BlobId, bytes]
) -> None:
    blob, manifest = source
    part: Partial = await store.begin(blob, manifest)
    for index in (2, 0, 1):
        assert store.path(blob) is None
        await part.put_chunk(index, CHUNKS[index])
    path = await part.complete()

    assert path == store.path(blob)
    assert path.read_bytes() == CONTENT
    assert store.partial(blob) is None
    assert store.used_bytes == len(CONTENT)


@pytest.mark.parametrize(
    "chunk", [b"", CHUNKS[0], CHUNKS[1][:-1], CHUNKS[1] + b"\x00", bytes(CHUNK_BYTES)]
)
async def test_wrong_chunk_costs_its_sender_and_changes_nothing(
    store: BlobFiles, source: tuple[BlobId, bytes], chunk: bytes
) -> None:
    part = await store.begin(*source)

    with pytest.raises(PeerError, match="bad_proof"):
        await part.put_chunk(1, chunk)
    assert part.missing() == (0, 1, 2)


@pytest.mark.parametrize("index", [-1, 3, 1 << 40])
async def test_chunk_outside_the_blob_is_refused(
    store: BlobFiles, source: tuple[BlobId, bytes], index: int
) -> None:
    part = await store.begin(*source)

    with pytest.raises(PeerError, match="out_of_bounds"):
        await part.put_chunk(index, CHUNKS[0])
    blob = await store.add_bytes(CONTENT)
    with pytest.raises(PeerError, match="out_of_bounds"):
        await store.read_chunk(blob, index)


async def test_manifest_of_another_blob_is_refused(
    store: BlobFiles, source: tuple[BlobId, bytes]
) -> None:
    with pytest.raises(PeerError, match="bad_proof"):
        await store.begin(BlobId(Digest(bytes(32))), source[1])
    with pytest.raises(PeerError, match="malformed"):
        await store.begin(source[0], source[1][:-1])
    assert store.partial(BlobId(Digest(bytes(32)))) is None


async def test_download_goes_on_after_a_restart(
    store: BlobFiles, source: tuple[BlobId, bytes]
) -> None:
    blob, manifest = source
    part = await store.begin(blob, manifest)
    await part.put_chunk(1, CHUNKS[1])

    again = BlobFiles(store.folder).partial(blob)
    assert again is not None
    assert again.missing() == (0, 2)
    await again.put_chunk(0, CHUNKS[0])
    await again.put_chunk(2, CHUNKS[2])
    assert (await again.complete()).read_bytes() == CONTENT


async def test_chunk_that_the_crash_lost_is_fetched_again(
    store: BlobFiles, source: tuple[BlobId, bytes]
) -> None:
    blob, manifest = source
    part = await store.begin(blob, manifest)
    for index in (0, 1):
        await part.put_chunk(index, CHUNKS[index])
    # The note survived, the data did not: the disk wrote them in that order.
    with (store.folder / "partial" / blob.hex()).open("r+b") as file:
        file.write(bytes(CHUNK_BYTES))

    again = BlobFiles(store.folder).partial(blob)
    assert again is not None
    await again.put_chunk(2, CHUNKS[2])
    with pytest.raises(OperatingError, match="1 chunks did not survive"):
        await again.complete()
    assert again.missing() == (0,)
    await again.put_chunk(0, CHUNKS[0])
    assert (await again.complete()).read_bytes() == CONTENT


async def test_blob_that_rotted_is_removed_instead_of_served(store: BlobFiles) -> None:
    blob = await store.add_bytes(CONTENT)
    path = store.path(blob)
    assert path is not None
    with path.open("r+b") as file:
        file.seek(CHUNK_BYTES)
        file.write(b"rot")

    assert await store.read_chunk(blob, 0) == CHUNKS[0]
    with pytest.raises(MissingError, match="damaged on disk"):
        await store.read_chunk(blob, 1)
    assert store.path(blob) is None
    assert await store.add_bytes(CONTENT) == blob
    assert await store.read_chunk(blob, 1) == CHUNKS[1]


async def test_blob_whose_manifest_rotted_blames_no_peer(store: BlobFiles) -> None:
    blob = await store.add_bytes(b"content")
    (store.folder / "manifests" / blob.hex()).write_bytes(b"rot")
    again = BlobFiles(store.folder)

    assert again.manifest(blob) is None
    with pytest.raises(MissingError):
        await again.read_chunk(blob, 0)
    assert again.used_bytes == 0


async def test_least_recently_used_goes_first_and_pinned_never(tmp_path: Path) -> None:
    store = BlobFiles(tmp_path / "small", quota_bytes=35)
    first, second, third = [await store.add_bytes(bytes([number]) * 10) for number in range(3)]
    store.pin(second)
    assert store.path(first) is not None
    fourth = await store.add_bytes(b"\x09" * 10)

    assert [store.path(blob) is not None for blob in (first, second, third, fourth)] == [
        True,
        True,
        False,
        True,
    ]
    store.unpin(second)
    assert all(store.path(blob) for blob in (first, fourth))
    await store.add_bytes(b"\x0a" * 10)
    assert store.path(second) is None


async def test_quota_full_of_pins_refuses_and_evicts_nothing(tmp_path: Path) -> None:
    store = BlobFiles(tmp_path / "small", quota_bytes=25)
    pinned, loose = await store.add_bytes(b"a" * 10), await store.add_bytes(b"b" * 10)
    store.pin(pinned)

    with pytest.raises(OperatingError, match="no room for 20 bytes"):
        await store.add_bytes(b"c" * 20)
    assert store.path(loose) is not None
    assert store.used_bytes == 20


async def test_downloads_count_and_old_ones_make_room(
    tmp_path: Path, source: tuple[BlobId, bytes]
) -> None:
    quota = len(CONTENT) + 10
    store = BlobFiles(tmp_path / "small", quota_bytes=quota)
    await store.begin(*source)
    with pytest.raises(OperatingError, match="no room"):
        await store.add_bytes(b"x" * 11)

    again = BlobFiles(store.folder, quota_bytes=quota)
    await again.add_bytes(b"x" * 11)
    assert again.partial(source[0]) is None
    assert again.used_bytes == 11


async def test_pinned_download_is_not_dropped_for_room(
    tmp_path: Path, source: tuple[BlobId, bytes]
) -> None:
    quota = len(CONTENT) + 10
    store = BlobFiles(tmp_path / "small", quota_bytes=quota)
    store.pin(source[0])
    await store.begin(*source)

    again = BlobFiles(store.folder, quota_bytes=quota)
    with pytest.raises(OperatingError, match="no room"):
        await again.add_bytes(b"x" * 11)
    assert again.partial(source[0]) is not None


async def test_same_content_added_many_times_at_once_is_counted_once(store: BlobFiles) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(store.add_bytes, CONTENT)

    assert store.used_bytes == len(CONTENT)
    assert list((store.folder / "incoming").iterdir()) == []


async def test_left_overs_and_strangers_in_the_folder_are_not_blobs(tmp_path: Path) -> None:
    folder = tmp_path / "blobs"
    BlobFiles(folder)
    (folder / "files" / "README").write_text("hello")
    (folder / "files" / ("ab" * 32)).write_text("file without a manifest")
    (folder / "incoming" / "7").write_text("torn")
    (folder / "partial" / ("cd" * 32)).write_text("download without a manifest")
    (folder / "pins" / "nonsense").touch()

    store = BlobFiles(folder)
    assert store.used_bytes == 0
    assert store.path(BlobId(Digest(b"\xab" * 32))) is None
    assert store.partial(BlobId(Digest(b"\xcd" * 32))) is None
    assert not (folder / "incoming" / "7").exists()


async def test_file_that_cannot_be_read_is_one_clear_error(
    store: BlobFiles, tmp_path: Path
) -> None:
    with pytest.raises(OperatingError, match="nothing: cannot read: No such file"):
        await store.add_file(tmp_path / "nothing")
