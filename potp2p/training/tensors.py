"""
Tensor files: the one spelling of safetensors that we write, and the only one that we read.

Names sorted, compact JSON header padded with spaces to eight bytes, data in the order of names
without gaps, little-endian, no metadata. One content has one spelling, so a content hash is a
root that machines can vote on. Nothing is ever unpickled.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from potp2p.foundation.errors import OperatingError, PeerError, RejectionReason
from potp2p.foundation.limits import TENSOR_HEADER_BYTES_MAX, TENSOR_RANK_MAX, TENSORS_MAX

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Uint16 = NDArray[np.uint16]
Int8 = NDArray[np.int8]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Tensor: TypeAlias = NDArray[np.float32 | np.int32 | np.int64 | np.uint16]

LENGTH_BYTES: Final = 8
ALIGNMENT: Final = 8
DTYPES: Final[dict[str, np.dtype[np.float32 | np.int32 | np.int64 | np.uint16]]] = {
    "F32": np.dtype("<f4"),
    "I32": np.dtype("<i4"),
    "I64": np.dtype("<i8"),
    "U16": np.dtype("<u2"),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One tensor of a header: what it is and which bytes of the body are its own."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def encode_tensors(tensors: dict[str, Tensor]) -> bytes:
    """Return the canonical file of some named tensors."""
    ordered = {name: tensors[name] for name in sorted(tensors)}
    header = _encode_header({name: (_dtype_of(t), t.shape) for name, t in ordered.items()})
    # ascontiguousarray would turn a scalar into a vector, but tobytes writes C order by itself.
    return header + b"".join(tensor.tobytes() for tensor in ordered.values())


def decode_tensors(encoded: bytes) -> dict[str, Tensor]:
    """Read an untrusted file; PeerError on any other spelling than `encode_tensors` would give."""
    entries, body_start = decode_header(encoded)
    tensors: dict[str, Tensor] = {}
    for entry in entries:
        count = (entry.end - entry.start) // DTYPES[entry.dtype].itemsize
        flat = np.frombuffer(encoded, DTYPES[entry.dtype], count, body_start + entry.start)
        tensors[entry.name] = cast("Tensor", flat.reshape(entry.shape))
    return tensors


def read_tensors(path: Path, *, bytes_max: int) -> dict[str, Tensor]:
    """Read a tensor file of bounded size; its content may come from a peer."""
    try:
        size = path.stat().st_size
        if size > bytes_max:
            raise PeerError(RejectionReason.OUT_OF_BOUNDS, f"{path.name} has {size} bytes")
        encoded = path.read_bytes()
    except OSError as error:
        raise OperatingError(f"cannot read {path}: {error.strerror}") from error
    try:
        return decode_tensors(encoded)
    except PeerError as error:
        raise PeerError(error.reason, f"{path.name}: {error.detail}") from error


def write_file(path: Path, content: bytes) -> None:
    """Put a whole file in place: synced before it has its name, so no reader sees half of it."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise OperatingError(f"cannot write {path}: {error.strerror}") from error


def decode_header(encoded: bytes) -> tuple[tuple[Entry, ...], int]:
    """Read names, types and places; return them with the offset where the body starts."""
    if len(encoded) < LENGTH_BYTES:
        raise _refused("no header")
    header_bytes = int.from_bytes(encoded[:LENGTH_BYTES], "little")
    body_start = LENGTH_BYTES + header_bytes
    if header_bytes > TENSOR_HEADER_BYTES_MAX or body_start > len(encoded):
        raise _refused(f"header of {header_bytes} bytes")
    described = _parse_header(encoded[LENGTH_BYTES:body_start])
    entries = tuple(_place(described))
    if body_start + (entries[-1].end if entries else 0) != len(encoded):
        raise _refused("body has another length than the header says")
    if _encode_header(described) != encoded[:body_start]:
        raise _refused("header is not canonical")
    return entries, body_start


def _parse_header(header: bytes) -> dict[str, tuple[str, tuple[int, ...]]]:
    try:
        parsed: object = json.loads(header)
    except (ValueError, RecursionError) as error:
        raise _refused("header is not JSON") from error
    if not isinstance(parsed, dict) or len(parsed) > TENSORS_MAX:
        raise _refused("header is no table of tensors")
    described: dict[str, tuple[str, tuple[int, ...]]] = {}
    for name, value in cast("dict[str, object]", parsed).items():
        if not isinstance(value, dict):
            raise _refused(f"tensor {name!r:.80}")
        dtype, shape = value.get("dtype"), value.get("shape")
        # A list is no key: asking a table for one raises instead of answering no.
        if not isinstance(dtype, str) or dtype not in DTYPES:
            raise _refused(f"tensor {name!r:.80} has an unknown type")
        if not isinstance(shape, list) or len(shape) > TENSOR_RANK_MAX:
            raise _refused(f"tensor {name!r:.80} has an unknown shape")
        if not all(type(length) is int and 0 <= length < 1 << 40 for length in shape):
            raise _refused(f"tensor {name!r:.80} has an impossible shape")
        described[name] = (dtype, tuple(shape))
    return described


def _place(described: dict[str, tuple[str, tuple[int, ...]]]) -> list[Entry]:
    entries: list[Entry] = []
    start = 0
    for name, (dtype, shape) in described.items():
        # Python integers: a product of lengths must not wrap around a bound.
        count = 1
        for length in shape:
            count *= length
        end = start + count * DTYPES[dtype].itemsize
        entries.append(Entry(name, dtype, shape, start, end))
        start = end
    return entries


def _encode_header(described: dict[str, tuple[str, tuple[int, ...]]]) -> bytes:
    ordered = {name: described[name] for name in sorted(described)}
    table = {
        entry.name: {
            "dtype": entry.dtype,
            "shape": list(entry.shape),
            "data_offsets": [entry.start, entry.end],
        }
        for entry in _place(ordered)
    }
    text = json.dumps(table, separators=(",", ":"), ensure_ascii=True).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    return len(text).to_bytes(LENGTH_BYTES, "little") + text


def _dtype_of(tensor: Tensor) -> str:
    for name, dtype in DTYPES.items():
        if tensor.dtype == dtype:
            return name
    raise AssertionError(f"no spelling for {tensor.dtype}")


def _refused(detail: str) -> PeerError:
    return PeerError(RejectionReason.MALFORMED, detail)
