"""The payload codec: exact both ways, one spelling, nothing hostile gets through."""

from fractions import Fraction
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from potp2p.foundation.errors import PeerError
from potp2p.training.compression import d8
from potp2p.training.layout import CHUNK_VALUES, Layout
from potp2p.training.self_test import numbers
from tests.training.orders import lease

SMALL = Layout((("a", (3,)), ("b", ()), ("c", (0, 2)), ("d", (2, 2))), (("mean", (2,)),))
LARGE = Layout((("x", (CHUNK_VALUES + 5,)), ("y", (7,))), ())
BUFFERS_B = np.array([0.5, -3], np.float32)


def encoded(update: list[float]) -> bytes:
    return d8.encode(lease(), SMALL, np.array(update, np.float32), BUFFERS_B)


def body_of(payload: bytes) -> bytes:
    return payload[d8.decode_lease(payload)[1] :]


def with_body(body: bytes) -> bytes:
    payload = encoded([0] * 8)
    return payload[: d8.decode_lease(payload)[1]] + body


def test_payload_bytes_are_frozen() -> None:
    payload = encoded([1, -0.5, 0.25, 127, 0, 0, 0, 1e-12])
    assert payload[: d8.decode_lease(payload)[1]].hex() == (
        "706f7470327044383a00000084546d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d582074747474"
        "747474747474747474747474747474747474747474747474747474740000"
    )
    assert body_of(payload).hex() == "fa40e010fe7fe000000000000008000000d0ff"


def test_large_vector_is_frozen() -> None:
    update_P = numbers("frozen", LARGE.parameter_count, 4)
    payload = d8.encode(lease(), LARGE, update_P, np.empty(0, np.float32))
    assert (
        sha256(payload).hexdigest()
        == "da3896ed411b483a1e8966ad6eb7d9dac66c51fd40f825b134eb447b7ee1f203"
    )


def test_chunks_do_not_span_tensors() -> None:
    assert LARGE.chunk_starts_C.tolist() == [0, CHUNK_VALUES, CHUNK_VALUES + 5]
    assert LARGE.chunk_lengths_C.tolist() == [CHUNK_VALUES, 5, 7]
    assert SMALL.chunk_lengths_C.tolist() == [3, 1, 4]


@given(st.lists(st.floats(width=32, min_value=-31, max_value=31), min_size=8, max_size=8))
def test_decoding_is_within_half_a_step_and_encoding_it_again_gives_the_same_bytes(
    update: list[float],
) -> None:
    payload = encoded(update)
    decoded = d8.decode(payload, SMALL)
    values_P = d8.dequantize(SMALL, decoded)
    steps_P = np.ldexp(1.0, np.repeat(decoded.exponents_C.astype(int), SMALL.chunk_lengths_C))

    assert decoded.lease == lease()
    assert (np.abs(values_P.astype(float) - np.float32(update)) <= steps_P / 2).all()
    assert d8.encode(lease(), SMALL, values_P, BUFFERS_B) == payload


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=8, max_size=8))
def test_the_norm_is_exact(update: list[float]) -> None:
    decoded = d8.decode(encoded(update), SMALL)
    values = [Fraction(float(value)) for value in d8.dequantize(SMALL, decoded)]
    assert decoded.norm_squared(SMALL) == sum(value**2 for value in values) * 2**64


def test_what_is_too_large_saturates() -> None:
    decoded = d8.decode(encoded([1e30, -1e30, 1, 0, 0, 0, 0, 0]), SMALL)
    assert d8.dequantize(SMALL, decoded)[:3].tolist() == [31.75, -31.75, 1.0]


def test_what_is_too_small_becomes_the_canonical_zero() -> None:
    payload = encoded([2.0**-34, -(2.0**-140), -0.0, 0, 0, 0, 0, 0])
    assert body_of(payload)[:4] == bytes([256 - 32, 0, 0, 0])


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "bytes"),
        (b"\xe0" + bytes(3) + b"\xe0" + bytes(1) + b"\xe0" + bytes(4) + bytes(9), "bytes"),
        (b"\xdf" + bytes(3) + b"\xe0\0" + b"\xe0" + bytes(4) + bytes(8), "exponent is out of"),
        (b"\xff" + bytes(3) + b"\xe0\0" + b"\xe0" + bytes(4) + bytes(8), "exponent is out of"),
        (b"\xf0\x80\x00\x00" + b"\xe0\0" + b"\xe0" + bytes(4) + bytes(8), "-128"),
        (b"\xf0\x3f\xc1\x00" + b"\xe0\0" + b"\xe0" + bytes(4) + bytes(8), "larger than"),
        (b"\xf0" + bytes(3) + b"\xe0\0" + b"\xe0" + bytes(4) + bytes(8), "larger than"),
    ],
    ids=["short", "long", "-33", "-1", "-128", "wasteful exponent", "zero chunk misspelt"],
)
def test_a_malformed_body_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(PeerError, match=reason):
        d8.decode(with_body(body), SMALL)


@given(st.binary(max_size=120))
def test_random_bytes_are_refused(payload: bytes) -> None:
    with pytest.raises(PeerError):
        d8.decode(payload, SMALL)


@given(position=st.integers(0, 77), value=st.integers(0, 255))
def test_a_changed_byte_is_refused_or_still_has_one_spelling(position: int, value: int) -> None:
    payload = bytearray(encoded([1, -0.5, 0.25, 127, 3, 4, 5, 6]))
    payload[position % len(payload)] = value
    try:
        decoded = d8.decode(bytes(payload), SMALL)
    except PeerError:
        return
    buffers_B = np.ldexp(decoded.buffers_B.astype(np.float64), -20)
    if np.abs(buffers_B).max() < 2**3:
        values_P = d8.dequantize(SMALL, decoded)
        again = d8.encode(decoded.lease, SMALL, values_P, buffers_B.astype(np.float32))
        assert again == bytes(payload)


def test_equal_updates_of_two_miners_have_different_bytes() -> None:
    update_P = np.ones(8, np.float32)
    ours = d8.encode(lease(miner=b"a" * 20), SMALL, update_P, BUFFERS_B)
    copied = d8.encode(lease(miner=b"b" * 20), SMALL, update_P, BUFFERS_B)
    assert ours != copied


@pytest.mark.parametrize("value", [np.nan, np.inf, 2048.0, -2048.0])
def test_a_buffer_out_of_range_does_not_fit(value: float) -> None:
    assert not d8.buffers_fit(np.array([0, value], np.float32))
    assert d8.buffers_fit(np.array([2047.99, -2047.99], np.float32))
