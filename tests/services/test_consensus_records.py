"""The journal's records: what is written is what is read, and its bytes are frozen."""

from hashlib import sha256
from typing import get_args

import pytest

from potp2p.foundation.errors import UnsafeError
from potp2p.foundation.limits import BLOCK_BYTES_MAX, BLOCK_OVERHEAD_BYTES_MAX
from potp2p.foundation.types import Rank, View
from potp2p.protocol.consensus.events import (
    BetterBodyHeard,
    BlockOffered,
    MessageReceived,
    SealReceived,
    Timer,
    TimerFired,
)
from potp2p.protocol.consensus.height import HeightState
from potp2p.services.consensus_records import BlockKept, Record, decode_record, encode_record
from potp2p.services.consensus_snapshot import keep_height
from potp2p.simulation.core.messages import (
    certificate,
    checked,
    prepare,
    propose,
    seal,
    view_change,
)
from potp2p.simulation.core.stubs import FIRST_HEIGHT, TIMING, start
from tests.doubles.committee import APPLE

PROOF = certificate(APPLE, (0, 1, 2))
RECORDS: tuple[Record, ...] = (
    start(4, 1),
    start(4, None, height=2, head_seal=seal(APPLE, (0, 1, 2))),
    MessageReceived(prepare(1, APPLE)),
    MessageReceived(view_change(2, 3, certificate=PROOF)),
    MessageReceived(propose(1, APPLE, view=1, view_changes=(view_change(0, 1),))),
    TimerFired(Timer.VIEW, FIRST_HEIGHT, View(3)),
    BlockOffered(FIRST_HEIGHT, View(3), APPLE),
    checked(APPLE, valid=False, rank=2),
    SealReceived(seal(APPLE, (0, 1, 2))),
    BetterBodyHeard(FIRST_HEIGHT, Rank(1)),
    BlockKept(b"block"),
    keep_height(HeightState(start(4, 1), TIMING, view=View(2), prepared=PROOF)),
)


@pytest.mark.parametrize("record", RECORDS)
def test_record_is_read_as_it_was_written(record: Record) -> None:
    assert decode_record(encode_record(record)) == record


def test_every_kind_of_event_that_changes_state_has_a_record() -> None:
    assert {type(record) for record in RECORDS} == {*get_args(Record)}


def test_largest_block_has_a_record() -> None:
    record = BlockKept(bytes(BLOCK_BYTES_MAX + BLOCK_OVERHEAD_BYTES_MAX))

    assert decode_record(encode_record(record)) == record


@pytest.mark.parametrize("record", RECORDS)
def test_damaged_record_is_never_voted_upon(record: Record) -> None:
    with pytest.raises(UnsafeError):
        decode_record(encode_record(record)[:-1])


def test_bytes_of_every_record_are_frozen() -> None:
    """A journal written by an older program must still be read."""
    *first, height = (encode_record(record) for record in RECORDS)

    assert sha256(b"".join(first)).hexdigest() == (
        "859aff9fc450fbc00d9ac866afd656959d0d8c0be64ac07877d70b9585b7a483"
    )
    assert (
        sha256(height).hexdigest()
        == "f8e69e8eba0538b3bbc2ea269d5de2ef902cc38f626df9ea785450cdbb4bb5a7"
    )
