"""What a node must remember about work it has bound itself to: durable before anything leaves."""

from dataclasses import dataclass
from typing import Final

from potp2p.foundation.types import Digest, NodeId, Round, TaskId
from potp2p.protocol.ledger.keys import LeasePlace, lease_key, lease_place, round_key, round_place
from potp2p.protocol.verification.commitments import (
    Contribution,
    Finding,
    LeaseKey,
    audit_commitment,
    trace_commitment,
)
from potp2p.protocol.verification.results import commit_to
from potp2p.protocol.wire.fields import BlobField, CountField, LossField
from potp2p.protocol.wire.transactions import (
    Contribute,
    ResultCommit,
    RevealAudit,
    RevealTrace,
    RoundResult,
)
from potp2p.protocol.wire.verification import Distances, Instability, SaltField, Trace

CONTRIBUTIONS: Final = b"contribution/"
AUDITS: Final = b"audit/"
RESULTS: Final = b"result/"


@dataclass(frozen=True, slots=True)
class ContributionDraft:
    """A trained lease: what its claim says and what its reveal will open."""

    payload: BlobField
    salt: SaltField
    trace: Trace
    samples: CountField
    loss_before: LossField
    loss_after: LossField
    diverged: bool

    def claim(self, miner: NodeId, place: LeasePlace) -> Contribute:
        """Return the claim of this draft."""
        return Contribute(
            *place,
            payload=self.payload,
            trace_commitment=trace_commitment(LeaseKey(*place, miner), self.salt, self.trace),
            samples=self.samples,
            loss_before=self.loss_before,
            loss_after=self.loss_after,
            diverged=self.diverged,
        )

    def reveal(self, place: LeasePlace) -> RevealTrace:
        """Return the opening of the trace commitment."""
        return RevealTrace(*place, salt=self.salt, trace=self.trace)


@dataclass(frozen=True, slots=True)
class AuditDraft:
    """A finished replay: what an auditor commits to and will open."""

    salt: SaltField
    trace: Trace
    loss_before: LossField
    loss_after: LossField
    distances: Distances
    instability: Instability | None

    def reveal(self, place: LeasePlace) -> RevealAudit:
        """Return the opening of the audit commitment."""
        return RevealAudit(
            *place,
            salt=self.salt,
            trace=self.trace,
            loss_before=self.loss_before,
            loss_after=self.loss_after,
            distances=self.distances,
            instability=self.instability,
        )

    def commitment(self, auditor: NodeId, contribution: Contribution) -> Digest:
        """Return what binds the auditor before anyone opens."""
        finding = Finding(
            self.trace, self.loss_before, self.loss_after, self.distances, self.instability
        )
        return audit_commitment(contribution, auditor, self.salt, finding)


@dataclass(frozen=True, slots=True)
class ResultDraft:
    """A computed round: what a validator commits to and will show."""

    result: RoundResult

    def commitment(self, validator: NodeId) -> ResultCommit:
        """Return what binds the validator before anyone shows a result."""
        return commit_to(validator, self.result)


def result_name(task: TaskId, round_: Round) -> bytes:
    """Return the name under which a round's result is kept."""
    return RESULTS + round_key(task, round_)


def round_of(name: bytes) -> tuple[TaskId, Round]:
    """Return the round that a result's name stands for."""
    return round_place(name.removeprefix(RESULTS))


def draft_name(prefix: bytes, place: LeasePlace) -> bytes:
    """Return the name under which a draft is kept."""
    return prefix + lease_key(*place)


def place_of(prefix: bytes, name: bytes) -> LeasePlace:
    """Return the lease that a draft's name stands for."""
    return lease_place(name.removeprefix(prefix))


def lease_name(place: LeasePlace) -> str:
    """Return a lease as people read it in a log."""
    task, round_, shard = place
    return f"{task.hex()[:8]} round {round_} shard {shard}"
