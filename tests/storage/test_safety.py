"""The record of what was signed last: never lost, never older than what was acknowledged."""

from pathlib import Path

import pytest

from potp2p.foundation.errors import UnsafeError
from potp2p.storage.ports import SafetyRecord
from potp2p.storage.safety import SLOT_BYTES, SafetyFile


async def write(path: Path, *bodies: bytes) -> None:
    with SafetyFile.open(path) as record:
        for body in bodies:
            await record.write(body)


def read(path: Path) -> bytes | None:
    with SafetyFile.open(path) as record:
        return record.read()


@pytest.mark.parametrize("count", range(1, 6))
async def test_last_write_is_what_comes_back(tmp_path: Path, count: int) -> None:
    path = tmp_path / "safety"
    bodies = [bytes([number]) * number for number in range(1, count + 1)]
    await write(path, *bodies)

    assert read(path) == bodies[-1]
    await write(path, b"later")
    assert read(path) == b"later"


async def test_new_record_is_empty(tmp_path: Path) -> None:
    with SafetyFile.open(tmp_path / "safety") as opened:
        record: SafetyRecord = opened
        assert record.read() is None
        await record.write(b"vote")
        assert record.read() == b"vote"


@pytest.mark.parametrize("count", [2, 3, 4, 5])
async def test_torn_write_leaves_the_one_before(tmp_path: Path, count: int) -> None:
    path = tmp_path / "safety"
    bodies = [bytes([number]) * 300 for number in range(1, count + 1)]
    await write(path, *bodies)
    content = bytearray(path.read_bytes())
    # The newest slot keeps its header and loses the rest, as a torn page does.
    start = count % 2 * SLOT_BYTES
    content[start + 100 : start + SLOT_BYTES] = bytes(SLOT_BYTES - 100)
    path.write_bytes(content)

    assert read(path) == bodies[-2]
    await write(path, b"again")
    assert read(path) == b"again"


async def test_first_write_that_was_torn_leaves_an_empty_record(tmp_path: Path) -> None:
    path = tmp_path / "safety"
    await write(path, b"vote" * 100)
    content = path.read_bytes()
    path.write_bytes(content[: SLOT_BYTES + 50])

    assert read(path) is None


async def test_record_of_which_nothing_reads_is_unsafe(tmp_path: Path) -> None:
    path = tmp_path / "safety"
    await write(path, b"one", b"two")
    content = bytearray(path.read_bytes())
    content[21] ^= 1
    content[SLOT_BYTES + 21] ^= 1
    path.write_bytes(content)

    with pytest.raises(UnsafeError, match="what was signed last cannot be read"):
        read(path)


@pytest.mark.parametrize("content", [b"garbage", b"x" * 3 * SLOT_BYTES, bytes(3 * SLOT_BYTES)])
def test_foreign_file_is_unsafe(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "safety"
    path.write_bytes(content)

    with pytest.raises(UnsafeError):
        read(path)
