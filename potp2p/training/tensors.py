"""
Tensor files: the one spelling of safetensors that we write, and the only one that we read.

Names sorted, compact JSON header padded with spaces to eight bytes, data in the order of names
without gaps, little-endian, no metadata. One content has one spelling, so a content hash is a
root that machines can vote on. Nothing is ever unpickled.
"""

import json
import os
import re
from dataclasses import dataclass
from math import prod
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
_DTYPE_NAMES: Final = {name.encode(): name for name in DTYPES}
_NUMBER: Final = rb"(?:0|[1-9][0-9]{0,18})"
_ENTRY: Final = re.compile(
    rb'("(?:[ !#-\[\]-~]|\\(?:["\\bfnrt]|u[0-9a-f]{4}))*"):'
    rb'{"dtype":"(F32|I32|I64|U16)","shape":\[((?:%b(?:,%b){0,%d})?)\],"data_offsets":\[(%b),(%b)\]}'
    % (_NUMBER, _NUMBER, TENSOR_RANK_MAX, _NUMBER, _NUMBER)
)
"""One tensor of a header, exactly as `encode_tensors` writes it."""


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
    """
    Read names, types and places; return them with the offset where the body starts.

    Entry by entry and in the one spelling that we write: a JSON parser would turn a header of
    sixteen megabytes into hundreds before anything could be refused.
    """
    if len(encoded) < LENGTH_BYTES:
        raise _refused("no header")
    header_bytes = int.from_bytes(encoded[:LENGTH_BYTES], "little")
    body_start = LENGTH_BYTES + header_bytes
    if header_bytes > TENSOR_HEADER_BYTES_MAX or body_start > len(encoded):
        raise _refused(f"header of {header_bytes} bytes")
    entries, end = _take_entries(encoded, body_start)
    padding = -(end - LENGTH_BYTES) % ALIGNMENT
    if end + padding != body_start or encoded[end:body_start] != b" " * padding:
        raise _refused("header does not end where it should")
    if body_start + (entries[-1].end if entries else 0) != len(encoded):
        raise _refused("body has another length than the header says")
    return tuple(entries), body_start


def _take_entries(encoded: bytes, body_start: int) -> tuple[list[Entry], int]:
    """Read the table of a header; return its entries and the offset behind its closing brace."""
    place = LENGTH_BYTES + 1
    if encoded[LENGTH_BYTES:place] != b"{":
        raise _refused("header is no table of tensors")
    entries: list[Entry] = []
    while encoded[place : place + 1] != b"}" or (entries and encoded[place - 1 : place] == b","):
        found = _ENTRY.match(encoded, place, body_start)
        if found is None or len(entries) == TENSORS_MAX:
            raise _refused(f"header is not canonical at byte {place}")
        entry = _entry(found, entries[-1] if entries else None)
        entries.append(entry)
        place = found.end()
        if encoded[place : place + 1] == b",":
            place += 1
        elif encoded[place : place + 1] != b"}":
            raise _refused(f"header is not canonical at byte {place}")
    return entries, place + 1


def _entry(found: re.Match[bytes], previous: Entry | None) -> Entry:
    """Check what one entry says against the one before."""
    spelled, dtype, lengths, first, last = found.groups()
    name: object = json.loads(spelled)
    if not isinstance(name, str) or json.dumps(name).encode() != spelled:
        raise _refused(f"tensor {spelled!r:.80} is spelled in an odd way")
    if previous is not None and name <= previous.name:
        raise _refused(f"tensor {name!r:.80} is out of order")
    shape = tuple(int(length) for length in lengths.split(b",")) if lengths else ()
    if len(shape) > TENSOR_RANK_MAX or any(length >= 1 << 40 for length in shape):
        raise _refused(f"tensor {name!r:.80} has an impossible shape")
    start, end = int(first), int(last)
    # Python integers: a product of lengths must not wrap around a bound.
    expected = 0 if previous is None else previous.end
    name_of_type = _DTYPE_NAMES[dtype]
    if start != expected or end != start + prod(shape) * DTYPES[name_of_type].itemsize:
        raise _refused(f"tensor {name!r:.80} has another place than its shape says")
    return Entry(name, name_of_type, shape, start, end)


def _encode_header(described: dict[str, tuple[str, tuple[int, ...]]]) -> bytes:
    table: dict[str, object] = {}
    start = 0
    for name in sorted(described):
        dtype, shape = described[name]
        end = start + prod(shape) * DTYPES[dtype].itemsize
        table[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
        start = end
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
