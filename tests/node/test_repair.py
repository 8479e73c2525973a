"""A validator whose memory is damaged: one line, one command that mends it, then silence."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from potp2p.foundation.errors import ConfigurationError, LockedError
from potp2p.foundation.types import ChainId, Digest, Epoch, Height, View
from potp2p.node.lifecycle import DATABASE, GENESIS_FILE, JOURNAL
from potp2p.node.repair import examine, mend
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.wire.schema import encode
from potp2p.services.consensus_guard import BORN, LOST, SafetyNote, Signed, Silence
from potp2p.services.consensus_records import encode_record
from potp2p.settings.keys import SAFETY_RECORD, create_identity
from potp2p.simulation.core.stubs import start
from potp2p.storage.chain import LmdbChainStore
from potp2p.storage.environment import Environment
from potp2p.storage.journal import JournalFile, journal_paths
from potp2p.storage.lock import lock_folder
from potp2p.storage.safety import SafetyFile

GENESIS = b"genesis document"
CHAIN = ChainId(sha256(GENESIS))
LAST = SafetyNote(Signed(Height(1), View(0), 2, Digest(bytes(32))), None)


async def write_record(folder: Path, body: bytes) -> None:
    with SafetyFile.open(folder / SAFETY_RECORD) as record:
        await record.write(body)


async def write_journal(folder: Path, *, height: int = 1, head: Digest | None = None) -> None:
    facts = start(4, 0, height=height, head=Digest(CHAIN) if head is None else head)
    with JournalFile.open(folder / JOURNAL) as journal:
        for _ in range(3):
            journal.append(encode_record(facts))
            await journal.sync()


def read_record(folder: Path) -> bytes | None:
    with SafetyFile.open(folder / SAFETY_RECORD) as record:
        return record.read()


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """A validator's data folder with genesis stored, two votes cast and a log of height 1."""
    data = tmp_path / "node"
    create_identity(data)
    (data / GENESIS_FILE).write_bytes(GENESIS)
    with Environment.open(data / DATABASE) as environment:
        await LmdbChainStore(environment).commit(
            height=Height(0),
            block=b"",
            seal=b"",
            state_root=Digest(bytes(32)),
            state_writes={},
            node_writes={},
        )
    await write_record(data, encode(BORN))
    await write_record(data, encode(LAST))
    await write_journal(data)
    return data


def spoil_journal(folder: Path) -> None:
    path = journal_paths(folder / JOURNAL)[0]
    content = bytearray(path.read_bytes())
    content[60] ^= 1
    path.write_bytes(content)


def spoil_record(folder: Path) -> None:
    path = folder / SAFETY_RECORD
    path.write_bytes(bytes(each ^ 0x55 for each in path.read_bytes()))


def lose_record(folder: Path) -> None:
    (folder / SAFETY_RECORD).unlink()


async def test_whole_memory_is_described_and_left_alone(folder: Path) -> None:
    before = {path: path.read_bytes() for path in (folder / "validator").iterdir()}
    found = examine(folder)

    assert found.faults == ()
    assert found.chain == "whole up to height 0"
    assert found.journal.startswith("whole: 3 records of height 1")
    assert found.record == "whole: signed last at height 1, view 0"
    assert before == {path: path.read_bytes() for path in (folder / "validator").iterdir()}


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (spoil_journal, "journal is damaged at byte"),
        (spoil_record, "what was signed last cannot be read"),
        (lose_record, "is missing beside the key"),
    ],
)
async def test_damage_is_named_kept_and_mended_into_silence(
    folder: Path, spoil: Callable[[Path], None], fault: str
) -> None:
    spoil(folder)
    damaged = {path.name: path.read_bytes() for path in (folder / "validator").iterdir()}
    found = examine(folder)
    repair = mend(folder)

    assert len(found.faults) == 1
    assert fault in found.faults[0]
    assert {path.name: path.read_bytes() for path in repair.kept.iterdir()} == damaged
    assert read_record(folder) == encode(LOST)
    again = examine(folder)
    assert again.faults == ()
    assert again.journal == "empty"
    assert again.record == "whole: silent until the epoch after the network is met again"


@pytest.mark.parametrize(
    ("height", "head", "fault"),
    [
        (7, None, "the journal is at height 7, the chain below it"),
        (1, Digest(b"x" * 32), "the journal of height 1 has another past"),
    ],
)
async def test_log_that_does_not_fit_the_chain_is_a_fault(
    folder: Path, height: int, head: Digest | None, fault: str
) -> None:
    for path in journal_paths(folder / JOURNAL):
        path.unlink()
    await write_journal(folder, height=height, head=head)

    assert examine(folder).faults == (fault,)


async def test_record_that_is_no_record_is_a_fault(folder: Path) -> None:
    await write_record(folder, b"noise")

    assert "the safety record does not read" in examine(folder).faults[0]


async def test_repaired_twice_keeps_both_copies(folder: Path) -> None:
    spoil_record(folder)
    first = mend(folder)
    spoil_record(folder)
    second = mend(folder)

    assert first.kept != second.kept
    assert first.kept.is_dir()


async def test_silence_is_told_with_its_end(folder: Path) -> None:
    await write_record(folder, encode(replace(LAST, silence=Silence(Epoch(4)))))

    assert examine(folder).record == "whole: silent to the end of epoch 4"


async def test_running_node_is_left_alone(folder: Path) -> None:
    with lock_folder(folder), pytest.raises(LockedError):
        examine(folder)


def test_folder_of_no_node_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not the data folder of a node"):
        examine(tmp_path)
    assert list(tmp_path.iterdir()) == []
