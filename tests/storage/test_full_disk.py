"""A disk without room: one line that names the file, nothing acknowledged, and on once there is."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from potp2p.foundation.errors import OperatingError
from potp2p.foundation.limits import DIGEST_BYTES
from potp2p.foundation.types import Digest, Height
from potp2p.storage.blobs import BlobFiles
from potp2p.storage.chain import LmdbChainStore
from potp2p.storage.environment import Environment
from potp2p.storage.journal import JournalFile
from potp2p.storage.notebook import LmdbNotebook
from potp2p.storage.safety import SafetyFile, create_record
from tests.doubles.small_disk import SmallDisk, small_disk

ROOT = Digest(bytes(DIGEST_BYTES))
NO_ROOM = "No space left on device"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", mebibytes=3) as mounted:
        yield mounted


async def commit(store: LmdbChainStore, height: int, size: int) -> None:
    await store.commit(
        height=Height(height),
        block=bytes(size) if height else b"",
        seal=b"seal" if height else b"",
        state_root=ROOT,
        state_writes={},
        node_writes={},
    )


async def test_journal_without_room_fails_at_the_sync_and_keeps_what_was_synced(
    disk: SmallDisk,
) -> None:
    path = disk.folder / "wal"
    with JournalFile.open(path) as journal:
        journal.append(b"first")
        await journal.sync()
        disk.fill()
        journal.append(bytes(100_000))
        with pytest.raises(OperatingError, match=f"wal: cannot write the journal: {NO_ROOM}"):
            await journal.sync()
        with pytest.raises(OperatingError, match="has failed before"):
            await journal.sync()

    disk.clear()
    with JournalFile.open(path) as journal:
        assert tuple(journal.entries()) == (b"first",)
        journal.append(b"second")
        await journal.sync()
    with JournalFile.open(path) as journal:
        assert tuple(journal.entries()) == (b"first", b"second")


async def test_record_without_room_fails_and_says_what_it_said_before(disk: SmallDisk) -> None:
    path = disk.folder / "state"
    with SafetyFile.open(path) as record:
        disk.fill()
        with pytest.raises(OperatingError, match=f"cannot write the safety record: {NO_ROOM}"):
            await record.write(b"vote")
        assert record.read() is None

    disk.clear()
    with SafetyFile.open(path) as record:
        await record.write(b"vote")
        await record.write(b"other vote")
    disk.fill()
    with SafetyFile.open(path) as record:
        # Both slots are there: a validator never needs room to remember one more vote.
        await record.write(b"last vote")
    with SafetyFile.open(path) as record:
        assert record.read() == b"last vote"


def test_new_record_without_room_leaves_the_old_one(disk: SmallDisk) -> None:
    path = disk.folder / "state"
    create_record(path, b"old")
    disk.fill()
    with pytest.raises(OperatingError, match=NO_ROOM):
        create_record(path, b"new")

    with SafetyFile.open(path) as record:
        assert record.read() == b"old"


async def test_block_without_room_is_not_stored_and_is_once_there_is(disk: SmallDisk) -> None:
    path = disk.folder / "chain.lmdb"
    with Environment.open(path) as environment:
        store = LmdbChainStore(environment)
        await commit(store, 0, 0)
        await commit(store, 1, 1_000)
        disk.fill()
        with pytest.raises(OperatingError, match=r"chain.lmdb: cannot write: .*space"):
            await commit(store, 2, 500_000)

    disk.clear()
    with Environment.open(path) as environment:
        store = LmdbChainStore(environment)
        head = store.head()
        assert head is not None
        assert head.height == 1
        assert store.block(Height(1)) == (bytes(1_000), b"seal")
        await commit(store, 2, 500_000)
        assert store.block(Height(2)) == (bytes(500_000), b"seal")


async def test_note_without_room_is_not_kept(disk: SmallDisk) -> None:
    path = disk.folder / "chain.lmdb"
    with Environment.open(path) as environment:
        notebook = LmdbNotebook(environment)
        await notebook.put(b"name", b"old")
        disk.fill()
        with pytest.raises(OperatingError, match="cannot write"):
            await notebook.put(b"name", bytes(500_000))

    disk.clear()
    with Environment.open(path) as environment:
        assert LmdbNotebook(environment).get(b"name") == b"old"


async def test_blob_without_room_is_not_there_and_leaves_nothing(disk: SmallDisk) -> None:
    folder = disk.folder / "blobs"
    store = BlobFiles(folder)
    disk.fill()
    with pytest.raises(OperatingError, match=NO_ROOM):
        await store.add_bytes(bytes(500_000))
    assert store.used_bytes == 0

    disk.clear()
    assert BlobFiles(folder).used_bytes == 0
    blob = await store.add_bytes(bytes(500_000))
    assert store.path(blob) is not None


async def test_map_of_the_database_grows_as_it_fills(tmp_path: Path) -> None:
    with Environment.open(tmp_path / "chain.lmdb", bytes_first=1 << 16) as environment:
        store = LmdbChainStore(environment)
        for height in range(8):
            await commit(store, height, 100_000)

        assert [store.block(Height(height)) is not None for height in range(1, 8)] == [True] * 7
