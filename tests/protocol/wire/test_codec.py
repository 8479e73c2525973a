"""The codec against bytes that a peer chose."""

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.limits import CBOR_DEPTH_MAX
from potp2p.protocol.wire.codec import (
    decode_array,
    encode_array,
    take_bool,
    take_bytes,
    take_int,
    take_list,
    take_text,
    take_uint,
)

NON_CANONICAL = {
    "tag 35 would compile a regular expression": cbor2.dumps([cbor2.CBORTag(35, "a+")]),
    "tag 0 would build a date": cbor2.dumps([cbor2.CBORTag(0, "2026-11-21T00:00:00Z")]),
    "tag 2 is a bignum": cbor2.dumps([1 << 70]),
    "indefinite array": bytes.fromhex("9f01ff"),
    "indefinite bytes": bytes.fromhex("815f4101ff"),
    "integer longer than needed": bytes.fromhex("811801"),
    "length longer than needed": bytes.fromhex("980101"),
    "trailing bytes": bytes.fromhex("810100"),
    "not an array": bytes.fromhex("01"),
    "a map": bytes.fromhex("a10101"),
    "nothing": b"",
    "truncated": bytes.fromhex("8201"),
    "an array of more items than exist": bytes.fromhex("9bffffffffffffffff"),
    "bytes longer than the input": bytes.fromhex("815bffffffffffffffff00"),
    "a break outside": bytes.fromhex("ff"),
    "deeper than any message": b"\x81" * (CBOR_DEPTH_MAX + 2) + b"\x01",
    "a float longer than needed": bytes.fromhex("81fb3ff0000000000000"),
    "invalid text": bytes.fromhex("8161ff"),
}


@pytest.mark.parametrize("encoded", NON_CANONICAL.values(), ids=NON_CANONICAL.keys())
def test_every_other_spelling_is_refused_by_name(encoded: bytes) -> None:
    with pytest.raises(PeerError) as caught:
        decode_array(encoded)
    assert caught.value.reason is RejectionReason.MALFORMED


def test_overlong_message_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(PeerError) as caught:
        decode_array(encode_array([bytes(100)]), bytes_max=50)
    assert caught.value.reason is RejectionReason.OUT_OF_BOUNDS


@given(st.binary(max_size=200))
def test_random_bytes_decode_to_themselves_or_are_refused(encoded: bytes) -> None:
    try:
        decoded = decode_array(encoded)
    except PeerError:
        return
    assert encode_array(decoded) == encoded


@pytest.mark.parametrize("field", [True, -1, 10, 1.0, "1", None, b"1", [1]])
def test_uint_takes_only_integers_below_its_bound(field: object) -> None:
    with pytest.raises(PeerError):
        take_uint(field, below=10)


@pytest.mark.parametrize("field", [False, -6, 6, 1.0, "1"])
def test_int_takes_only_integers_of_bounded_magnitude(field: object) -> None:
    with pytest.raises(PeerError):
        take_int(field, magnitude_max=5)


def test_bool_takes_no_number() -> None:
    assert take_bool(True) is True
    with pytest.raises(PeerError):
        take_bool(1)


@pytest.mark.parametrize("field", [b"", b"12345", "12", 3, bytearray(b"12")])
def test_bytes_have_inclusive_bounds(field: object) -> None:
    assert take_bytes(b"12", bytes_min=2, bytes_max=4) == b"12"
    with pytest.raises(PeerError):
        take_bytes(field, bytes_min=1, bytes_max=4)


@pytest.mark.parametrize("field", ["a\x1b[2J", "ä" * 6, b"text", 1])
def test_text_is_printable_and_bounded_in_bytes(field: object) -> None:
    with pytest.raises(PeerError):
        take_text(field, bytes_max=10)


def test_list_is_bounded() -> None:
    assert take_list([1, 2], items_max=2) == [1, 2]
    for field in ([1, 2, 3], (1, 2), "12"):
        with pytest.raises(PeerError):
            take_list(field, items_max=2)
