"""The disk of a simulated machine loses what a real one may lose, and nothing else."""

from random import Random

import pytest
import trio
from trio.testing import MockClock

from potp2p.foundation.errors import OperatingError
from potp2p.simulation.disks import Disk, Kept, MemoryJournal, MemoryRecord


async def journal_of(synced: int, unsynced: int, disk: Disk | None = None) -> MemoryJournal:
    journal = MemoryJournal(disk=disk or Disk())
    for index in range(synced):
        journal.append(b"synced %d" % index)
    await journal.sync()
    for index in range(unsynced):
        journal.append(b"unsynced %d" % index)
    return journal


@pytest.mark.parametrize("kept", list(Kept))
async def test_power_cut_never_takes_what_was_synced(kept: Kept) -> None:
    for seed in range(50):
        journal = await journal_of(3, 4)
        everything = [*journal.synced, *journal.unsynced]
        journal.crash(kept, Random(seed))
        entries = journal.entries()
        assert entries == everything[: len(entries)]
        assert len(entries) >= 3
        assert len(entries) == {Kept.NONE: 3, Kept.ALL: 7}.get(kept, len(entries))


async def test_every_length_of_tail_survives_some_power_cut() -> None:
    for kept in (Kept.PREFIX, Kept.SUBSET):
        lengths = set()
        for seed in range(300):
            journal = await journal_of(1, 3)
            journal.crash(kept, Random(seed))
            lengths.add(len(journal.entries()))
        assert lengths == {1, 2, 3, 4}


async def test_reset_that_was_not_synced_may_be_undone_by_a_power_cut() -> None:
    survivors = set()
    for seed in range(50):
        journal = await journal_of(2, 0)
        journal.reset()
        journal.append(b"next height")
        journal.crash(Kept.NONE, Random(seed))
        survivors.add(tuple(journal.entries()))
    assert survivors == {(), (b"synced 0", b"synced 1")}


async def test_reset_that_was_synced_is_never_undone() -> None:
    for seed in range(50):
        journal = await journal_of(2, 0)
        journal.reset()
        journal.append(b"next height")
        await journal.sync()
        journal.crash(Kept.NONE, Random(seed))
        assert journal.entries() == [b"next height"]


async def test_disk_that_fails_says_so_at_every_write_and_keeps_nothing() -> None:
    disk = Disk(failing="no space left on device")
    journal, record = MemoryJournal(disk=disk), MemoryRecord(disk=disk)
    with pytest.raises(OperatingError, match="no space left"):
        journal.append(b"vote")
    with pytest.raises(OperatingError, match="no space left"):
        await record.write(b"vote")
    assert (journal.entries(), record.read()) == ([], None)
    assert disk.failed_for == "no space left on device"


@pytest.mark.parametrize("after", [False, True])
async def test_power_fails_in_the_very_operation_before_or_after_it(after: bool) -> None:
    cuts: list[bytes | None] = []
    disk = Disk(cut_at=2, cut_after=after)
    record = MemoryRecord(disk=disk)
    disk.on_cut = lambda: cuts.append(record.content)
    await record.write(b"first")
    with trio.move_on_after(0.01) as scope:
        await record.write(b"second")
    assert scope.cancelled_caught, "who lost power says nothing any more"
    assert cuts == [b"second" if after else b"first"]


async def test_nothing_becomes_durable_while_a_disk_stands_still(
    autojump_clock: MockClock,
) -> None:
    disk = Disk()
    record = MemoryRecord(disk=disk)
    disk.stall()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(record.write, b"vote")
        await trio.sleep(5)
        assert record.read() is None
        disk.resume()
    assert record.read() == b"vote"
