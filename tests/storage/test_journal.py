"""The write-ahead log: what was synced stays, what was torn goes, what is damaged is refused."""

from pathlib import Path

import pytest

from potp2p.foundation.errors import OperatingError, UnsafeError
from potp2p.foundation.limits import JOURNAL_BYTES_KEPT, JOURNAL_BYTES_MAX
from potp2p.storage.journal import JournalFile, journal_paths
from potp2p.storage.journal_frames import FIRST_FORM_MARKER, FRAME, HEAD, Form, read_content
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
        return tuple(journal.entries())


async def test_entries_come_back_in_order_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "wal" / "journal"
    await write(path, FIRST, SECOND)
    await write(path, THIRD)

    assert read(path) == (FIRST, SECOND, THIRD)


async def test_nothing_of_an_unsynced_entry_is_found_after_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with JournalFile.open(path) as opened:
        journal: Journal = opened
        journal.append(FIRST)
        await journal.sync()
        await journal.sync()
        journal.append(SECOND)

    assert read(path) == (FIRST,)


@pytest.mark.parametrize("cut", range(1, FRAME.size + len(THIRD)))
async def test_torn_tail_is_cut_away_and_writing_goes_on(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "journal"
    await write(path, FIRST, SECOND, THIRD)
    path.write_bytes(path.read_bytes()[:-cut])

    assert read(path) == (FIRST, SECOND)
    await write(path, THIRD)
    assert read(path) == (FIRST, SECOND, THIRD)


@pytest.mark.parametrize("place", [HEAD.size + at for at in (0, 4, 8, 16, 20, 22)])
async def test_damage_before_an_entry_that_knew_of_it_is_refused(
    tmp_path: Path, place: int
) -> None:
    path = tmp_path / "journal"
    await write(path, FIRST, SECOND, THIRD)
    content = bytearray(path.read_bytes())
    content[place] ^= 0x40
    path.write_bytes(content)

    with pytest.raises(UnsafeError, match=f"journal is damaged at byte {HEAD.size}, before"):
        read(path)


async def test_hole_in_what_was_never_synced_is_a_torn_tail(tmp_path: Path) -> None:
    # After a power cut the disk may hold the second of two unsynced pages and not the first.
    path = tmp_path / "journal"
    await write(path, FIRST)
    with JournalFile.open(path) as journal:
        journal.append(SECOND)
        journal.append(THIRD)
        await journal.sync()
    content = path.read_bytes()
    start = HEAD.size + FRAME.size + len(FIRST)
    end = start + FRAME.size + len(SECOND)
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
        for body in (FIRST, SECOND, THIRD, FIRST):
            journal.reset()
            assert journal.entries() == ()
            journal.append(body)
            await journal.sync()
            assert read(path) == (body,)


async def test_last_journal_is_whole_until_the_next_is_durable(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with JournalFile.open(path) as journal:
        journal.append(FIRST)
        await journal.sync()
        journal.reset()
        journal.append(SECOND)
        assert read(path) == (FIRST,)
        await journal.sync()

        assert read(path) == (SECOND,)


async def test_many_begins_without_a_sync_leave_the_last_durable_journal_whole(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal"
    with JournalFile.open(path) as journal:
        journal.append(FIRST)
        await journal.sync()
        before = path.read_bytes()
        for _ in range(4):
            journal.reset()
            journal.append(SECOND)
        await journal.sync()

    assert path.read_bytes() == before
    assert read(path) == (SECOND,)


@pytest.mark.parametrize("kept", [*range(HEAD.size + 2), 4_096, 10_000])
async def test_begin_that_was_torn_leaves_the_last_journal(tmp_path: Path, kept: int) -> None:
    """The file that is used next may hold any part of its new use over its old one."""
    path = tmp_path / "journal"
    with JournalFile.open(path) as journal:
        journal.append(bytes(20_000))
        await journal.sync()
        journal.reset()
        journal.append(FIRST)
        await journal.sync()
        old = path.read_bytes()
        journal.reset()
        journal.append(SECOND * 100)
        await journal.sync()
    new = path.read_bytes()
    assert new[: HEAD.size] != old[: HEAD.size]
    path.write_bytes(new[:kept] + old[kept:])

    assert read(path) == ((FIRST,) if kept < HEAD.size else ())


async def test_rewriting_replaces_what_was_and_writing_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with JournalFile.open(path) as journal:
        for _ in range(5):
            journal.append(SECOND)
        await journal.sync()
        before = journal.size()
        await journal.rewrite([FIRST, THIRD])
        assert journal.size() < before
        journal.append(SECOND)
        await journal.sync()

    assert read(path) == (FIRST, THIRD, SECOND)


async def test_rewriting_without_its_head_never_happened(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    other = journal_paths(path)[1]
    await write(path, FIRST)
    before = other.read_bytes()
    with JournalFile.open(path) as journal:
        await journal.rewrite([SECOND, THIRD])
    other.write_bytes(before.ljust(HEAD.size, b"\x00") + other.read_bytes()[HEAD.size :])

    assert read(path) == (FIRST,)


@pytest.mark.parametrize("place", [0, 30])
async def test_damage_in_what_was_rewritten_is_refused(tmp_path: Path, place: int) -> None:
    path = tmp_path / "journal"
    with JournalFile.open(path) as journal:
        await journal.rewrite([SECOND, THIRD])
    other = journal_paths(path)[1]
    content = bytearray(other.read_bytes())
    content[HEAD.size + place] ^= 1
    other.write_bytes(content)

    with pytest.raises(UnsafeError, match="chain repair"):
        read(path)


async def test_block_of_a_peer_cannot_pretend_to_be_a_frame(tmp_path: Path) -> None:
    """Whoever knows the file form, but not its salt, cannot stop a node at its next power cut."""
    path = tmp_path / "journal"
    forged = [
        Form(0, b"").frame(THIRD, 1 << 60),
        Form(9, bytes(16)).head + Form(9, bytes(16)).frame(THIRD, 1 << 60),
    ]
    await write(path, FIRST, b"".join(forged) + bytes(500))
    path.write_bytes(path.read_bytes()[:-100])

    assert read(path) == (FIRST,)


def test_file_of_zeros_or_noise_is_an_empty_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    for content in (bytes(5_000), b"noise" * 1_000):
        path.write_bytes(content)

        assert read(path) == ()


async def test_journal_of_the_first_release_is_read_and_continued(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    form = Form(0, b"")
    first = form.frame(FIRST, 0)
    path.write_bytes(first + form.frame(SECOND, len(first)) + b"torn")
    assert first.startswith(FIRST_FORM_MARKER)

    assert read(path) == (FIRST, SECOND)
    await write(path, THIRD)
    assert read(path) == (FIRST, SECOND, THIRD)
    with JournalFile.open(path) as journal:
        journal.reset()
        journal.append(THIRD)
        await journal.sync()
    assert read(path) == (THIRD,)


async def test_full_journal_says_so_and_stays_readable(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    body = bytes(2 << 20)
    with JournalFile.open(path) as journal:
        for _ in range(JOURNAL_BYTES_MAX // (len(body) + FRAME.size)):
            journal.append(body)
        with pytest.raises(OperatingError, match="journal is full"):
            journal.append(body)
        await journal.sync()
        journal.reset()
        journal.append(FIRST)
        await journal.sync()

    assert read(path) == (FIRST,)


async def test_file_that_grew_is_cut_when_it_is_used_again(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with JournalFile.open(path) as journal:
        while journal.size() <= JOURNAL_BYTES_KEPT:
            journal.append(bytes(1 << 20))
        await journal.sync()
        for _ in range(2):
            journal.reset()
            journal.append(FIRST)
            await journal.sync()

    assert [each.stat().st_size < 1_000 for each in journal_paths(path)] == [True, True]


def test_larger_file_than_ours_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with path.open("wb") as file:
        file.truncate(JOURNAL_BYTES_MAX + 1)

    with pytest.raises(UnsafeError, match="is not ours"):
        read(path)


def test_empty_content_was_never_begun() -> None:
    assert read_content(b"") is None


def test_folder_in_place_of_the_file_is_one_clear_error(tmp_path: Path) -> None:
    with (
        pytest.raises(OperatingError, match="cannot open the journal: Is a directory"),
        JournalFile.open(tmp_path),
    ):
        pass
