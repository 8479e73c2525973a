"""Small messages that would become much memory are refused, and no message of ours is one."""

import tracemalloc
from dataclasses import fields, is_dataclass, replace
from types import UnionType
from typing import Annotated, Union, get_args, get_origin, get_type_hints

import pytest

from potp2p.foundation.errors import PeerError
from potp2p.foundation.limits import CBOR_DENSITY_FREE_BYTES, MESSAGE_BYTES_MAX
from potp2p.foundation.types import AccountId, Amount, ValidatorIndex
from potp2p.protocol.ledger import audit_records, records
from potp2p.protocol.ledger.records import Account, Chain, PassedOver
from potp2p.protocol.wire.blocks import Block, Seal
from potp2p.protocol.wire.certificates import KnownSeats
from potp2p.protocol.wire.exchange import BlocksReply, TransactionBatch
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.manifests import PackageManifest
from potp2p.protocol.wire.schema import (
    Many,
    Octets,
    Text,
    Uint,
    decode,
    decode_own,
    encode,
    items_most,
)
from potp2p.protocol.wire.snapshots import StateChunk, StateRecord
from potp2p.training.commands import PathField
from tests.conformance.samples import MODULES, build, kinds_of, name_of

OWN = (records, audit_records)
OWN_FILES = (KnownSeats,)
"""What we wrote ourselves, state and files, is read by `decode_own`."""
KINDS = [
    kind
    for module in MODULES
    if module not in OWN
    for kind in kinds_of(module)
    if kind not in OWN_FILES
    and kind is not StateChunk  # as dense as the records in it: see the test of the poorest
]
SIZE = 1 << 20
SHORTEST_PATH = len("/tmp/a")
MEMORY_FREE = 2 * CBOR_DENSITY_FREE_BYTES


def array_of(item: bytes) -> bytes:
    count = (SIZE - 5) // len(item)
    return b"\x9a" + count.to_bytes(4, "big") + item * count


def excess(hint: object) -> int:
    """Return by how much the densest value of a kind weighs more than its own bytes allow."""
    if hint == PathField:
        return max(0, 64 - 8 * (1 + SHORTEST_PATH))
    if get_origin(hint) is Annotated:
        inner, marker, *_ = get_args(hint)
        match marker:
            case Many(items_max):
                return 80 + items_max * max(0, excess(get_args(inner)[0]))
            case Octets(bytes_min, bytes_max):
                return string_excess(bytes_min, bytes_min if bytes_max is None else bytes_max)
            case Text(bytes_max):
                return string_excess(0, bytes_max)
            case Uint(below):
                return 24 if below > 256 else 8
            case _:
                return 24
    if get_origin(hint) in (Union, UnionType):
        return 16 + max(excess(option) for option in get_args(hint))
    if isinstance(hint, type) and is_dataclass(hint):
        hints = get_type_hints(hint, include_extras=True)
        return 72 + sum(excess(hints[each.name]) for each in fields(hint))
    return 8


def string_excess(bytes_min: int, bytes_max: int) -> int:
    """A string of one letter or none weighs 16, any other 64."""
    return max(
        (64 if length > 1 else 16) - 8 * (1 + length)
        for length in {bytes_min, min(bytes_max, max(2, bytes_min))}
    )


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
def test_no_value_within_its_bounds_is_too_dense(kind: type) -> None:
    assert excess(kind) <= CBOR_DENSITY_FREE_BYTES


@pytest.mark.parametrize(
    "item", [b"\x80", b"\xa0", b"\xf6", b"\x19\x7f\x00", b"\x42ab", b"\x81\x80"]
)
@pytest.mark.parametrize(
    "kind", [Block, Seal, BlocksReply, TransactionBatch, PackageManifest, Genesis]
)
def test_a_megabyte_of_small_items_takes_less_than_tenfold_memory(kind: type, item: bytes) -> None:
    encoded = array_of(item)
    build(kind, full=False)
    tracemalloc.start()
    try:
        with pytest.raises(PeerError):
            decode(kind, encoded, bytes_max=MESSAGE_BYTES_MAX)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= 10 * len(encoded) + MEMORY_FREE


def test_state_that_we_wrote_ourselves_is_read_however_dense_it_is() -> None:
    chain = build(Chain, full=False)
    assert isinstance(chain, Chain)
    numbers = tuple(ValidatorIndex(0) for _ in range(100))
    dense = replace(
        chain, passed_over=tuple(PassedOver(AccountId(bytes(20)), numbers) for _ in range(4_096))
    )
    encoded = encode(dense)

    assert decode_own(Chain, encoded) == dense
    with pytest.raises(PeerError):
        decode(Chain, encoded)


def test_a_chunk_of_the_poorest_accounts_is_not_too_dense() -> None:
    poorest = encode(Account(Amount(0), 0, Amount(0), ()))
    numbers = range(30_000)
    records = (StateRecord(b"\x01" + each.to_bytes(20, "big"), poorest) for each in numbers)
    chunk = StateChunk(tuple(records))

    assert decode(StateChunk, encode(chunk)) == chunk


def test_items_of_a_kind_are_counted_from_its_annotations() -> None:
    assert items_most(Seal) == 1 + 4 + 1 + 100 * 3
    assert items_most(TransactionBatch) == 1 + 1 + 1_024
