"""Traces and distances: what a miner keeps secret until audited, and what an auditor measures."""

from dataclasses import dataclass
from typing import Annotated

from potp2p.foundation.limits import TRACE_ENTRIES_MAX
from potp2p.protocol.wire.fields import LossField, PpmField
from potp2p.protocol.wire.schema import Many, Octets, Uint


@dataclass(frozen=True, slots=True)
class TraceEntry:
    """One micro-batch: its loss and its gradient norm, at most 2^40 each."""

    loss: LossField
    """Mean loss, micro-nats."""
    gradient_norm: Annotated[int, Uint(1 << 60)]
    """Euclidean norm in units of 1e-9."""


@dataclass(frozen=True, slots=True)
class Trace:
    """One entry per micro-batch, in the order they were computed."""

    entries: Annotated[tuple[TraceEntry, ...], Many(TRACE_ENTRIES_MAX)]


@dataclass(frozen=True, slots=True)
class Distances:
    """How far a decoded payload lies from a replay beyond half a quantisation step (DESIGN 8.4)."""

    overall: PpmField
    """Over all parameters."""
    tensor_max: PpmField
    """Largest over single tensors whose norm is at least 1e-6 of the whole."""
    exponents_fit: bool
    """Chunk exponents are those of the encoded replay, or one off at a power of two."""


@dataclass(frozen=True, slots=True)
class Instability:
    """
    How far two replays by one auditor lie apart, the second from weights nudged by a rounding.

    What a rounding grows to says how far honest machines drift apart on this very lease.
    """

    distances: Distances
    """As if the nudged replay were a payload."""
    trace: PpmField
    """Largest relative difference of a loss or a gradient norm."""


SaltField = Annotated[bytes, Octets(32)]
