"""
What a stopped validator remembers of its signatures, and what to do when it does not read.

Nothing is guessed: a log or a record that is damaged, missing or at odds with the chain is put
aside whole, and the key is told that what it signed is lost. It then follows the chain without a
vote until an epoch begins after the one in which it met the network again. The chain itself is left
alone.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from potp2p.foundation.errors import ConfigurationError, OperatingError, UnsafeError
from potp2p.foundation.types import ChainId, Height
from potp2p.node.lifecycle import DATABASE, GENESIS_FILE, JOURNAL
from potp2p.protocol.consensus.events import HeightStarted
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.wire.schema import encode
from potp2p.services.chain import Head, stored_head
from potp2p.services.consensus_guard import LOST, SafetyNote, Silence, decode_note
from potp2p.services.consensus_memory import beginning_of, verify_beginning
from potp2p.services.consensus_records import decode_record
from potp2p.settings.keys import IDENTITY_FILE, SAFETY_RECORD
from potp2p.storage.chain import LmdbChainStore
from potp2p.storage.environment import Environment
from potp2p.storage.files import operating, sync_folder
from potp2p.storage.journal import JournalFile, journal_paths
from potp2p.storage.lock import lock_folder
from potp2p.storage.ports import REPAIR_HINT
from potp2p.storage.safety import SafetyFile, create_record

ASIDE: Final = "damaged"
"""Folder of what was put aside; a number is added where it exists."""


@dataclass(frozen=True, slots=True)
class Examination:
    """What lies in the data folder of a stopped node."""

    chain: str
    journal: str
    record: str
    faults: tuple[str, ...]
    """Why a start would be refused or a signature unsafe; one line each."""


@dataclass(frozen=True, slots=True)
class Repair:
    """What was done."""

    kept: Path
    """Where the old files are."""


def examine(folder: Path) -> Examination:
    """Look at log and record as a start would; LockedError while the node runs."""
    with _owned(folder):
        return _examine(folder)
    raise AssertionError("the lock returns or raises")


def mend(folder: Path) -> Repair:
    """Put log and record aside and begin with a silent one."""
    with _owned(folder):
        record = folder / SAFETY_RECORD
        aside = _make_aside(record.parent)
        # The record goes first: without it nothing is signed, whatever a crash leaves of the rest.
        with operating(aside, "keep the damaged files"):
            for path in (record, *journal_paths(folder / JOURNAL)):
                if path.exists():
                    os.link(path, aside / path.name)
            sync_folder(aside)
            sync_folder(aside.parent)
        create_record(record, encode(LOST))
        with operating(record.parent, "begin a new log"):
            for path in journal_paths(folder / JOURNAL):
                path.unlink(missing_ok=True)
            sync_folder(record.parent)
        return Repair(aside)
    raise AssertionError("the lock returns or raises")


@contextmanager
def _owned(folder: Path) -> Iterator[None]:
    """Hold the data folder of a node, which must be there."""
    if not (folder / IDENTITY_FILE).exists() or not (folder / GENESIS_FILE).exists():
        raise ConfigurationError(f"{folder} is not the data folder of a node")
    with lock_folder(folder):
        yield


def _examine(folder: Path) -> Examination:
    faults: list[str] = []
    head = _head(folder)
    chain = "nothing stored yet" if head is None else f"whole up to height {head.height}"
    journal = record = "damaged"
    try:
        journal = _journal_text(folder, head)
    except UnsafeError as error:
        faults.append(str(error).removesuffix(f"; {REPAIR_HINT}"))
    try:
        record = _record_text(folder)
    except UnsafeError as error:
        faults.append(str(error).removesuffix(f"; {REPAIR_HINT}"))
    return Examination(chain, journal, record, tuple(faults))


def _head(folder: Path) -> Head | None:
    database = folder / DATABASE
    if not database.exists():
        return None
    with operating(folder / GENESIS_FILE, "read"):
        chain_id = ChainId(sha256((folder / GENESIS_FILE).read_bytes()))
    with Environment.open(database) as environment:
        store = LmdbChainStore(environment)
        return None if store.head() is None else stored_head(store, chain_id)
    raise OperatingError(f"{database}: cannot be read")


def _journal_text(folder: Path, head: Head | None) -> str:
    path = folder / JOURNAL
    if not any(each.exists() for each in journal_paths(path)):
        return "empty"
    with JournalFile.open(path) as journal:
        records = [decode_record(each) for each in journal.entries()]
        size = journal.size()
    beginning = beginning_of(records)
    if beginning is None:
        return "empty"
    if head is not None:
        verify_beginning(beginning, Height(head.height + 1), head.hash)
    return _height_text(beginning, len(records), size)


def _height_text(beginning: HeightStarted, records: int, size: int) -> str:
    return f"whole: {records} records of height {beginning.height}, {size} bytes"


def _record_text(folder: Path) -> str:
    path = folder / SAFETY_RECORD
    if not path.exists():
        raise UnsafeError(f"{path} is missing beside the key: what was signed last is not known")
    with SafetyFile.open(path) as record:
        body = record.read()
    return "whole: nothing signed yet" if body is None else _note_text(decode_note(body))


def _note_text(note: SafetyNote) -> str:
    if note.silence == Silence(None):
        return "whole: silent until the epoch after the network is met again"
    if note.silence is not None:
        return f"whole: silent to the end of epoch {note.silence.until}"
    if note.last is None:
        return "whole: nothing signed yet"
    return f"whole: signed last at height {note.last.height}, view {note.last.view}"


def _make_aside(parent: Path) -> Path:
    """Make a folder that did not exist."""
    number = 1
    with operating(parent, "keep the damaged files"):
        while True:
            aside = parent / f"{ASIDE}-{number}"
            try:
                aside.mkdir(mode=0o700)
            except FileExistsError:
                number += 1
                continue
            return aside
