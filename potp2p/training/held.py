"""
Payloads of one round, in memory or as files of which a block at a time is read.

A round may have 64 payloads of 23 million values: read whole they would fill a machine. A file is
decoded once, strictly, for what is small; its blocks are read again when the round is summed.
"""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from potp2p.foundation.errors import OperatingError, PeerError, RejectionReason
from potp2p.training.commands import Lease
from potp2p.training.compression import d8
from potp2p.training.layout import Layout
from potp2p.training.tensors import Int8, Int32


class Held(Protocol):
    """What sums and screens need of a payload."""

    @property
    def buffers_B(self) -> Int32:
        """In units of 2^-20."""

    @property
    def is_zero(self) -> bool:
        """How a lease that diverged is written."""

    def norm_squared(self, layout: Layout) -> int:
        """Return the exact sum of squares in units of 2^-64."""

    def block(self, layout: Layout, chunks: range) -> tuple[Int8, Int8]:
        """Return values and exponents of neighbouring chunks."""


@dataclass(frozen=True, slots=True)
class PayloadFile:
    """A payload file that was decoded before; nobody changes it while we read."""

    path: Path
    lease: Lease
    start: int
    """Where its chunks begin."""
    is_zero: bool
    content: bytes
    """Digest of values and exponents; empty where all are zero."""
    norm: int
    buffers_B: Int32

    def norm_squared(self, layout: Layout) -> int:
        """Return what was found when the file was opened."""
        del layout
        return self.norm

    def block(self, layout: Layout, chunks: range) -> tuple[Int8, Int8]:
        """Read neighbouring chunks."""
        first, end = d8.block_place(layout, self.start, chunks)
        try:
            with self.path.open("rb") as file:
                file.seek(first)
                encoded = file.read(end - first)
        except OSError as error:
            raise OperatingError(f"cannot read {self.path}: {error.strerror}") from error
        if len(encoded) != end - first:
            raise OperatingError(f"{self.path} has become shorter")
        return d8.decode_block(encoded, layout, chunks)


def open_payload(path: Path, layout: Layout) -> PayloadFile:
    """Decode an untrusted payload file and keep what is small."""
    encoded = read_bounded(path, d8.file_bytes_max(layout))
    payload = d8.decode(encoded, layout)
    _, start = d8.decode_lease(encoded)
    is_zero = payload.is_zero
    return PayloadFile(
        path=path,
        lease=payload.lease,
        start=start,
        is_zero=is_zero,
        content=b"" if is_zero else content_of(payload),
        norm=payload.norm_squared(layout),
        buffers_B=payload.buffers_B,
    )


def content_of(payload: d8.Payload) -> bytes:
    """Return the digest of what a payload moves, whoever made it for whichever lease."""
    return sha256(payload.exponents_C.tobytes() + payload.values_P.tobytes()).digest()


def read_bounded(path: Path, bytes_max: int) -> bytes:
    """Read a file that a peer may have written."""
    try:
        with path.open("rb") as file:
            encoded = file.read(bytes_max + 1)
    except OSError as error:
        raise OperatingError(f"cannot read {path}: {error.strerror}") from error
    if len(encoded) > bytes_max:
        raise PeerError(RejectionReason.BAD_PAYLOAD, f"more than {bytes_max} bytes")
    return encoded
