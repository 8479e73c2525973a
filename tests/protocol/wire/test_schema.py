"""Messages described once: what their annotations promise holds for hostile bytes."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.protocol.wire.codec import encode_array
from potp2p.protocol.wire.schema import Int, Many, Octets, Text, Uint, decode, encode


class Colour(IntEnum):
    RED = 1
    BLUE = 7


@dataclass(frozen=True, slots=True)
class Apple:
    KIND: ClassVar = 1
    weight: Annotated[int, Uint(100)]


@dataclass(frozen=True, slots=True)
class Pear:
    KIND: ClassVar = 2
    name: Annotated[str, Text(8)]


@dataclass(frozen=True, slots=True)
class Basket:
    fruit: Annotated[tuple[Apple, ...], Many(3)]
    best: Apple | Pear
    spare: Apple | None
    colour: Colour
    full: bool
    mark: Annotated[bytes, Octets(2)]
    shift: Annotated[int, Int(5)]


BASKET = Basket((Apple(1), Apple(2)), Pear("conference"[:8]), None, Colour.BLUE, True, b"ab", -5)


def test_a_message_comes_back_whole() -> None:
    assert decode(Basket, encode(BASKET)) == BASKET


def test_bytes_of_a_message_are_frozen() -> None:
    expected = "87828101810282026 8636f6e666572656ef607f542616224".replace(" ", "")
    assert encode(BASKET).hex() == expected


GOOD = [[[1]], [2, "pear"], None, 7, True, b"ab", 0]
BAD = {
    "too many items": [[[1], [2], [3], [4]], *GOOD[1:]],
    "an item out of bounds": [[[100]], *GOOD[1:]],
    "an unknown kind": [GOOD[0], [3, 1], *GOOD[2:]],
    "a kind without fields": [GOOD[0], [1], *GOOD[2:]],
    "no kind": [GOOD[0], [], *GOOD[2:]],
    "a boolean kind": [GOOD[0], [True, 1], *GOOD[2:]],
    "null where a value must be": [GOOD[0], None, *GOOD[2:]],
    "an unknown enum member": [*GOOD[:3], 2, *GOOD[4:]],
    "a number for a boolean": [*GOOD[:4], 1, *GOOD[5:]],
    "bytes of another size": [*GOOD[:5], b"abc", GOOD[6]],
    "an integer below its bound": [*GOOD[:6], -6],
    "a field missing": GOOD[:6],
    "a field too many": [*GOOD, 0],
}


def test_the_good_message_of_the_table_is_taken() -> None:
    assert decode(Basket, encode_array(list(GOOD))).best == Pear("pear")


@pytest.mark.parametrize("fields", BAD.values(), ids=BAD.keys())
def test_each_bound_refuses_by_name(fields: list[object]) -> None:
    with pytest.raises(PeerError) as caught:
        decode(Basket, encode_array(fields))
    assert caught.value.reason in {RejectionReason.MALFORMED, RejectionReason.OUT_OF_BOUNDS}


@given(st.binary(max_size=120))
def test_random_bytes_are_refused_or_are_a_message(encoded: bytes) -> None:
    try:
        message = decode(Basket, encoded)
    except PeerError:
        return
    assert encode(message) == encoded
