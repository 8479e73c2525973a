"""What the state holds about an audit while it is open."""

from dataclasses import dataclass
from typing import Annotated

from potp2p.foundation.limits import VALIDATORS_MAX
from potp2p.protocol.wire.fields import DigestField, HeightField, LossField, NodeField
from potp2p.protocol.wire.schema import Many
from potp2p.protocol.wire.verification import Distances, Trace


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What an auditor opened."""

    trace: Trace
    loss_before: LossField
    loss_after: LossField
    distances: Distances


@dataclass(frozen=True, slots=True)
class AuditorRecord:
    """One drawn auditor of a contribution."""

    auditor: NodeField
    commitment: DigestField
    """NO_DIGEST until committed."""
    report: AuditReport | None


@dataclass(frozen=True, slots=True)
class Audit:
    """The open audit of one contribution: commits first, then reveals."""

    auditors: Annotated[tuple[AuditorRecord, ...], Many(VALIDATORS_MAX)]
    revealing: bool
    """Commits have ended; miner and auditors may open."""
    deadline: HeightField
    """Last height of the present phase."""
    trace: Trace | None
    """The miner's, once opened."""
