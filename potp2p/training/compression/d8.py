"""
D8: eight bits a value with a power-of-two step per chunk, exact both ways.

A payload file is `potp2pD8`, the length of the lease as four little-endian bytes, the lease in
canonical CBOR, then per chunk one int8 exponent e followed by one int8 value each in -127..127, and
last the float buffers as int32 in units of 2^-20, all in the order of sorted names. A value stands
for q * 2^e. The exponent is the smallest from -32 to -2 whose 127 steps reach the chunk's largest
magnitude, so one vector has one spelling; what lies beyond 127 * 2^-2 saturates. The lease inside
makes the file's content hash its own for miner, task, round and shard.
Suffixes as in `training/layout.py`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.protocol.wire import schema
from potp2p.training.commands import Lease
from potp2p.training.layout import Layout
from potp2p.training.tensors import Float32, Int8, Int32, Int64

MAGIC: Final = b"potp2pD8"
LENGTH_BYTES: Final = 4
LEASE_BYTES_MAX: Final = 128
EXPONENT_MIN: Final = -32
EXPONENT_MAX: Final = -2
VALUE_MAX: Final = 127
VALUE_MIN_OF_LARGEST: Final = 64
"""A chunk whose largest value is smaller would have had a smaller exponent."""
MAGNITUDE_MAX: Final = VALUE_MAX * 2.0**EXPONENT_MAX
BUFFER_BITS: Final = 20


@dataclass(frozen=True, slots=True)
class Payload:
    """A decoded update: integers and their steps."""

    lease: Lease
    values_P: Int8
    exponents_C: Int8
    buffers_B: Int32
    """In units of 2^-20."""

    @property
    def is_zero(self) -> bool:
        """How a lease that diverged is written."""
        return not self.values_P.any()

    def norm_squared(self, layout: Layout) -> int:
        """Return the exact sum of squares in units of 2^-64."""
        squares_P: Int64 = self.values_P.astype(np.int64) ** 2
        sums_C = np.add.reduceat(squares_P, layout.chunk_starts_C)
        shifts_C = self.exponents_C.astype(np.int64) - EXPONENT_MIN
        # Python integers from here: a square times 2^60 does not fit 64 bits.
        pairs = zip(sums_C, shifts_C, strict=True)
        return sum(int(total) << 2 * int(shift) for total, shift in pairs)

    def block(self, layout: Layout, chunks: range) -> tuple[Int8, Int8]:
        """Return values and exponents of neighbouring chunks."""
        start, end = layout.span(chunks)
        return self.values_P[start:end], self.exponents_C[chunks.start : chunks.stop]


def quantize(layout: Layout, update_P: Float32) -> tuple[Int8, Int8]:
    """Return values and exponents of a finite vector; every operation is exact or rounds once."""
    assert np.isfinite(update_P).all()
    starts_C, lengths_C = layout.chunk_starts_C, layout.chunk_lengths_C
    largest_C = np.maximum.reduceat(np.abs(update_P), starts_C)
    # largest = mantissa * 2^power with mantissa in [0.5, 1): 127 steps of 2^(power - 7) reach
    # mantissas up to 127/128, a larger mantissa needs the next step; both are exact comparisons.
    mantissa_C, power_C = np.frexp(largest_C)
    exponents_C = power_C - np.where(mantissa_C <= np.float32(127 / 128), 7, 6)
    exponents_C = np.clip(exponents_C, EXPONENT_MIN, EXPONENT_MAX)
    exponents_C = np.where(largest_C == 0, EXPONENT_MIN, exponents_C)
    # Doubles: scaling by a power of two never leaves their range, so it is exact.
    scaled_P = np.ldexp(update_P.astype(np.float64), -np.repeat(exponents_C, lengths_C))
    values_P = np.clip(np.rint(scaled_P), -VALUE_MAX, VALUE_MAX).astype(np.int8)
    return values_P, exponents_C.astype(np.int8)


def encode(lease: Lease, layout: Layout, update_P: Float32, buffers_B: Float32) -> bytes:
    """Return the payload file of an update."""
    values_P, exponents_C = quantize(layout, update_P)
    header = schema.encode(lease)
    assert len(header) <= LEASE_BYTES_MAX
    body = np.empty(values_P.size + exponents_C.size, np.int8)
    places_C = layout.chunk_starts_C + np.arange(exponents_C.size)
    body[places_C] = exponents_C
    body[_is_value(body.size, places_C)] = values_P
    fixed_B = fix_buffers(buffers_B).astype("<i4")
    length = len(header).to_bytes(LENGTH_BYTES, "little")
    return MAGIC + length + header + body.tobytes() + fixed_B.tobytes()


def decode(encoded: bytes, layout: Layout) -> Payload:
    """Read an untrusted payload file; PeerError on any spelling that `encode` does not give."""
    lease, start = decode_lease(encoded)
    chunk_count = layout.chunk_starts_C.size
    body_bytes = layout.parameter_count + chunk_count
    if len(encoded) != start + body_bytes + 4 * layout.buffer_count:
        raise _refused(f"{len(encoded)} bytes")
    body = np.frombuffer(encoded, np.int8, body_bytes, start)
    places_C = layout.chunk_starts_C + np.arange(chunk_count)
    exponents_C, values_P = body[places_C], body[_is_value(body_bytes, places_C)]
    if ((exponents_C < EXPONENT_MIN) | (exponents_C > EXPONENT_MAX)).any():
        raise _refused("an exponent is out of range")
    if (values_P == -VALUE_MAX - 1).any():
        raise _refused("a value of -128")
    largest_C = np.maximum.reduceat(np.abs(values_P), layout.chunk_starts_C)
    if ((largest_C < VALUE_MIN_OF_LARGEST) & (exponents_C > EXPONENT_MIN)).any():
        raise _refused("an exponent is larger than its chunk needs")
    buffers_B = np.frombuffer(encoded, "<i4", layout.buffer_count, start + body_bytes)
    return Payload(lease, values_P, exponents_C, buffers_B.astype(np.int32))


def block_place(layout: Layout, start: int, chunks: range) -> tuple[int, int]:
    """Return where neighbouring chunks lie in a file whose chunks begin at `start`."""
    first, end = layout.span(chunks)
    return start + first + chunks.start, start + end + chunks.stop


def decode_block(encoded: bytes, layout: Layout, chunks: range) -> tuple[Int8, Int8]:
    """Read values and exponents of neighbouring chunks from a file that was decoded before."""
    body = np.frombuffer(encoded, np.int8)
    starts_C = layout.chunk_starts_C[chunks.start : chunks.stop]
    places_C = starts_C - starts_C[0] + np.arange(len(chunks))
    return body[_is_value(body.size, places_C)], body[places_C]


def decode_lease(encoded: bytes) -> tuple[Lease, int]:
    """Read whose work a payload is; return it with the offset where the chunks start."""
    prefix = len(MAGIC) + LENGTH_BYTES
    if not encoded.startswith(MAGIC) or len(encoded) < prefix:
        raise _refused("no D8 header")
    lease_bytes = int.from_bytes(encoded[len(MAGIC) : prefix], "little")
    if lease_bytes > LEASE_BYTES_MAX or len(encoded) < prefix + lease_bytes:
        raise _refused("lease of impossible length")
    end = prefix + lease_bytes
    return schema.decode(Lease, encoded[prefix:end], bytes_max=LEASE_BYTES_MAX), end


def file_bytes_max(layout: Layout) -> int:
    """Return the size that no payload of a layout exceeds, for reading with a bound."""
    header = len(MAGIC) + LENGTH_BYTES + LEASE_BYTES_MAX
    chunk_count = layout.chunk_starts_C.size
    return header + layout.parameter_count + chunk_count + 4 * layout.buffer_count


def dequantize(layout: Layout, payload: Payload) -> Float32:
    """Return the update that a payload stands for; exact, since 7 bits fit a float32."""
    exponents_P = np.repeat(payload.exponents_C.astype(np.int32), layout.chunk_lengths_C)
    return np.ldexp(payload.values_P.astype(np.float32), exponents_P)


def fix_buffers(buffers_B: Float32) -> Int32:
    """Return buffers in units of 2^-20; the caller has checked `buffers_fit`."""
    assert buffers_fit(buffers_B)
    return np.rint(np.ldexp(buffers_B.astype(np.float64), BUFFER_BITS)).astype(np.int32)


def buffers_fit(buffers_B: Float32) -> bool:
    """Tell whether every buffer is finite and below 2^11, the range of its int32."""
    with np.errstate(invalid="ignore"):
        return bool((np.abs(buffers_B) < 2.0 ** (31 - BUFFER_BITS)).all())


def _is_value(body_bytes: int, places_C: Int64) -> NDArray[np.bool_]:
    """Tell values from exponents, given where the exponents are."""
    is_value = np.ones(body_bytes, np.bool_)
    is_value[places_C] = False
    return is_value


def _refused(detail: str) -> PeerError:
    return PeerError(RejectionReason.BAD_PAYLOAD, detail)
