"""What binds a miner and an auditor before anything is opened: salted hashes of traces."""

from dataclasses import dataclass
from typing import Annotated, Final

from potp2p.foundation.types import Digest, NodeId
from potp2p.protocol.crypto.hashing import tagged_hash
from potp2p.protocol.wire.fields import (
    BlobField,
    LossField,
    NodeField,
    RoundField,
    ShardField,
    TaskField,
)
from potp2p.protocol.wire.schema import Octets, encode
from potp2p.protocol.wire.verification import Distances, Instability, Trace

TRACE_DOMAIN: Final = "potp2p/trace/1"
AUDIT_DOMAIN: Final = "potp2p/audit-commitment/1"
NUDGE_DOMAIN: Final = "potp2p/nudge/1"


@dataclass(frozen=True, slots=True)
class LeaseKey:
    """Names one lease: who computes what."""

    task: TaskField
    round: RoundField
    shard: ShardField
    miner: NodeField


@dataclass(frozen=True, slots=True)
class Contribution:
    """Names one contribution: a lease and the payload claimed for it."""

    lease: LeaseKey
    payload: BlobField


@dataclass(frozen=True, slots=True)
class Finding:
    """What an auditor found in its own replay."""

    trace: Trace
    loss_before: LossField
    loss_after: LossField
    distances: Distances
    instability: Instability | None
    """None where the payload lies so near that it was not measured."""


@dataclass(frozen=True, slots=True)
class _Nudge:
    contribution: Contribution
    auditor: NodeField


@dataclass(frozen=True, slots=True)
class _TraceStatement:
    lease: LeaseKey
    salt: Annotated[bytes, Octets(32)]
    trace: Trace


@dataclass(frozen=True, slots=True)
class _AuditStatement:
    contribution: Contribution
    auditor: NodeField
    salt: Annotated[bytes, Octets(32)]
    finding: Finding


def trace_commitment(lease: LeaseKey, salt: bytes, trace: Trace) -> Digest:
    """Bind a miner to the trace of a lease; another lease's trace never opens it."""
    return tagged_hash(TRACE_DOMAIN, encode(_TraceStatement(lease, salt, trace)))


def audit_commitment(
    contribution: Contribution, auditor: NodeId, salt: bytes, finding: Finding
) -> Digest:
    """Bind an auditor to its finding: nobody else's opening can be shown as one's own."""
    return tagged_hash(AUDIT_DOMAIN, encode(_AuditStatement(contribution, auditor, salt, finding)))


def nudge_of(contribution: Contribution, auditor: NodeId) -> Digest:
    """
    Return what seeds the nudge of an auditor's second replay: nobody chooses it.

    Each auditor has its own, so that a nudge which happens to grow little misleads one of them and
    not all judges at once.
    """
    return tagged_hash(NUDGE_DOMAIN, encode(_Nudge(contribution, auditor)))
