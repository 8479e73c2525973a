"""The write-ahead log: what was synced stays, what was torn goes, what is damaged is refused."""

from pathlib import Path

import pytest

from potp2p.foundation.errors import OperatingError
from potp2p.foundation.limits import JOURNAL_BYTES_MAX
from potp2p.storage.journal import HEADER, JournalFile
from potp2p.storage.ports import Journal

FIRST, SECOND, THIRD = b"first", b"second" * 50, b"third"


async def write(path: Path, *bodies: bytes, sync_each: bool = True) -> None:
    with JournalFile.open(path) as journal:
        for body in bodies:
            journal.append(body)
            if sync_each:
                await journal.sync()


def read(path: Path) -> tuple[bytes, ...]:
    with JournalFile.open(path) as journal:
        return journal.entries()


async def test_entries_come_back_in_order_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "wal" / "journal"
    await write(path, FIRST, SECOND)
    await write(path, THIRD)

    assert read(path) == (FIRST, SECOND, THIRD)


async def test_entries_are_seen_before_the_sync(tmp_path: Path) -> None:
    with JournalFile.open(tmp_path / "journal") as opened:
        journal: Journal = opened
        journal.append(FIRST)
        assert tuple(journal.entries()) == (FIRST,)
        await journal.sync()
        await journal.sync()


@pytest.mark.parametrize("cut", range(1, HEADER.size + len(THIRD)))
async def test_torn_tail_is_cut_away_and_writing_goes_on(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "journal"
    await write(path, FIRST, SECOND, THIRD)
    path.write_bytes(path.read_bytes()[:-cut])

    assert read(path) == (FIRST, SECOND)
    await write(path, THIRD)
    assert read(path) == (FIRST, SECOND, THIRD)


@pytest.mark.parametrize("place", [0, 4, 8, 16, 20, 22])
async def test_damage_before_an_entry_that_knew_of_it_is_refused(
    tmp_path: Path, place: int
) -> None:
    path = tmp_path / "journal"
    await write(path, FIRST, SECOND, THIRD)
    content = bytearray(path.read_bytes())
    content[place] ^= 0x40
    path.write_bytes(content)

    with pytest.raises(OperatingError, match="journal is damaged at byte 0"):
        read(path)


async def test_hole_in_what_was_never_synced_is_a_torn_tail(tmp_path: Path) -> None:
    # After a power cut the disk may hold the second of two unsynced pages and not the first.
    path = tmp_path / "journal"
    await write(path, FIRST)
    await write(path, SECOND, THIRD, sync_each=False)
    content = path.read_bytes()
    start = HEADER.size + len(FIRST)
    end = start + HEADER.size + len(SECOND)
    path.write_bytes(content[:start] + bytes(end - start) + content[end:])

    assert read(path) == (FIRST,)


async def test_damaged_last_entry_is_cut_as_nothing_shows_that_it_was_synced(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal"
    await write(path, FIRST, SECOND)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)

    assert read(path) == (FIRST,)


async def test_entry_that_contains_a_whole_frame_does_not_confuse_recovery(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal"
    await write(path, FIRST, SECOND)
    inner = path.read_bytes()
    other = tmp_path / "other"
    await write(other, inner, THIRD)

    assert read(other) == (inner, THIRD)


async def test_reset_forgets_everything_for_good(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with JournalFile.open(path) as journal:
        journal.append(FIRST)
        await journal.sync()
        journal.reset()
        assert journal.entries() == ()
        journal.append(SECOND)
        await journal.sync()

    assert read(path) == (SECOND,)


def test_file_of_zeros_or_noise_is_an_empty_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(bytes(5_000))

    assert read(path) == ()
    assert path.stat().st_size == 0


def test_full_journal_says_so_and_stays_readable(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    body = bytes(2 << 20)
    with JournalFile.open(path) as journal:
        for _ in range(JOURNAL_BYTES_MAX // (len(body) + HEADER.size)):
            journal.append(body)
        with pytest.raises(OperatingError, match="journal is full"):
            journal.append(body)
        journal.reset()
        journal.append(FIRST)

    assert read(path) == (FIRST,)


def test_folder_in_place_of_the_file_is_one_clear_error(tmp_path: Path) -> None:
    with (
        pytest.raises(OperatingError, match="cannot open the journal: Is a directory"),
        JournalFile.open(tmp_path),
    ):
        pass
