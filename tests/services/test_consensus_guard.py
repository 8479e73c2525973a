"""The signing guard: one statement for each place, in rising order, across crashes."""

from dataclasses import replace

import pytest

from potp2p.foundation.errors import UnsafeError
from potp2p.foundation.types import Epoch, Height, View
from potp2p.protocol.crypto.signing import verify_signature
from potp2p.protocol.wire.consensus import SignedCommit, SignedMessage, Statement
from potp2p.protocol.wire.schema import encode
from potp2p.services.consensus_guard import (
    BORN,
    LOST,
    SafetyNote,
    Signed,
    SigningGuard,
    decode_note,
)
from potp2p.simulation.core.messages import certificate, commit, prepare, propose, view_change
from tests.doubles.committee import APPLE, PEAR
from tests.doubles.validators import CHAIN, OTHER_CHAIN, MemoryRecord, key_of

LADDER: tuple[Statement, ...] = (
    propose(1, APPLE).statement,
    prepare(1, APPLE).statement,
    commit(1, APPLE).statement,
    view_change(1, 1).statement,
    propose(1, APPLE, view=1).statement,
    prepare(1, APPLE, view=1).statement,
    commit(1, APPLE, view=1).statement,
    view_change(1, 3).statement,
    prepare(1, APPLE, height=2).statement,
)


def guard_on(record: MemoryRecord) -> SigningGuard:
    """Return a guard as a fresh process builds it."""
    return SigningGuard(key_of(1), CHAIN, record)


def test_signature_verifies_on_this_chain_and_on_no_other() -> None:
    statement = prepare(1, APPLE).statement
    signature = guard_on(MemoryRecord()).sign(statement)

    verify_signature(key_of(1).node_id, signature, statement.DOMAIN, CHAIN, encode(statement))
    for domain, chain in ((statement.DOMAIN, OTHER_CHAIN), ("potp2p/consensus/commit/1", CHAIN)):
        with pytest.raises(Exception, match="bad_signature"):
            verify_signature(key_of(1).node_id, signature, domain, chain, encode(statement))


async def test_places_are_signed_in_rising_order_and_the_same_bytes_may_repeat() -> None:
    record = MemoryRecord()
    for statement in LADDER:
        guard = guard_on(record)
        first = guard.sign(statement)
        await guard.sync()
        assert guard_on(record).sign(statement) == first


@pytest.mark.parametrize("last", range(1, len(LADDER)))
async def test_nothing_below_the_last_place_is_signed_after_a_crash(last: int) -> None:
    record = MemoryRecord()
    guard = guard_on(record)
    guard.sign(LADDER[last])
    await guard.sync()

    for statement in LADDER[:last]:
        with pytest.raises(UnsafeError):
            guard_on(record).sign(statement)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (propose(1, APPLE), propose(1, PEAR)),
        (prepare(1, APPLE), prepare(1, PEAR)),
        (commit(1, APPLE), commit(1, PEAR)),
        (view_change(1, 1), view_change(1, 1, certificate=certificate(APPLE, (0, 1, 2)))),
    ],
)
async def test_second_statement_in_one_place_is_refused_before_and_after_a_crash(
    first: object, second: object
) -> None:
    record = MemoryRecord()
    guard = guard_on(record)
    guard.sign(first.statement)  # type: ignore[attr-defined]
    with pytest.raises(UnsafeError):
        guard.sign(second.statement)  # type: ignore[attr-defined]
    await guard.sync()

    with pytest.raises(UnsafeError):
        guard_on(record).sign(second.statement)  # type: ignore[attr-defined]


async def test_refused_statement_leaves_the_record_alone() -> None:
    record = MemoryRecord()
    guard = guard_on(record)
    guard.sign(prepare(1, APPLE).statement)
    await guard.sync()
    kept = record.content

    with pytest.raises(UnsafeError):
        guard.sign(prepare(1, PEAR).statement)
    await guard.sync()

    assert record.content == kept


async def test_record_is_written_once_for_each_place() -> None:
    record = MemoryRecord()
    guard = guard_on(record)
    for _ in range(3):
        guard.sign(prepare(1, APPLE).statement)
        await guard.sync()

    assert record.order == ["guard"]


def test_journal_that_contradicts_the_record_is_refused() -> None:
    guard = guard_on(MemoryRecord())
    guard.sign(prepare(1, APPLE).statement)

    guard.restore(prepare(1, APPLE).statement)
    with pytest.raises(UnsafeError):
        guard.restore(prepare(1, PEAR).statement)


@pytest.mark.parametrize("content", [None, encode(BORN)])
def test_key_that_never_signed_may_begin(content: bytes | None) -> None:
    assert guard_on(MemoryRecord(content)).sign(prepare(1, APPLE).statement)


async def test_key_whose_past_is_lost_is_silent_to_the_end_of_the_epoch_it_meets() -> None:
    record = MemoryRecord(encode(LOST))
    now = prepare(1, APPLE, height=40).statement
    later = replace(now, epoch=Epoch(1))
    guard = guard_on(record)
    for statement in (now, later):
        with pytest.raises(UnsafeError, match="what this key signed before is not known"):
            guard.sign(statement)
    guard.met(now.epoch, now.height)
    guard.met(later.epoch, later.height)
    await guard.sync()

    again = guard_on(record)
    with pytest.raises(UnsafeError):
        again.sign(now)
    assert again.sign(later)
    await again.sync()
    with pytest.raises(UnsafeError):
        guard_on(record).sign(now)


@pytest.mark.parametrize("said", [commit(1, APPLE), commit(1, APPLE, view=3)])
async def test_key_without_a_past_may_begin_a_chain_that_has_none(said: SignedCommit) -> None:
    record = MemoryRecord(encode(LOST))
    guard = guard_on(record)
    guard.met(Epoch(0), Height(1))
    guard.sign(said.statement)
    await guard.sync()

    again = guard_on(record)
    with pytest.raises(UnsafeError):
        guard_on(record).sign(prepare(1, APPLE, height=2).statement)
    again.began(Height(2))
    assert again.sign(prepare(1, APPLE, height=2).statement)
    await again.sync()
    assert guard_on(record).silence is None


@pytest.mark.parametrize(
    ("said", "height"), [(prepare(1, APPLE), 2), (view_change(1, 1), 2), (commit(1, APPLE), 3)]
)
async def test_key_that_had_no_part_in_the_first_seal_stays_silent(
    said: SignedMessage, height: int
) -> None:
    guard = guard_on(MemoryRecord(encode(LOST)))
    guard.sign(said.statement)
    guard.began(Height(height))

    with pytest.raises(UnsafeError):
        guard.sign(prepare(1, APPLE, height=height).statement)


def test_record_of_the_first_release_still_counts() -> None:
    last = Signed(Height(7), View(2), 3, APPLE)

    assert decode_note(encode(last)) == SafetyNote(last, None)


@pytest.mark.parametrize("content", [b"", b"\x80", b"garbage", b"\x82\xf6"])
def test_record_that_says_nothing_is_refused(content: bytes) -> None:
    with pytest.raises(UnsafeError, match="chain repair"):
        guard_on(MemoryRecord(content))
