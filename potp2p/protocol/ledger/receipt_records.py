"""What became of one lease: kept outside the state, under its task's receipts root."""

from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Annotated

from potp2p.foundation.limits import VALIDATORS_MAX
from potp2p.foundation.types import NodeId
from potp2p.protocol.ledger.audit_records import (
    AuditPhase,
    AuditReason,
    ChallengeRecord,
    Conduct,
    Escalation,
    Penalty,
)
from potp2p.protocol.ledger.records import FINES_MAX, Claim, LeaseStatus
from potp2p.protocol.ledger.round_records import Beaten, Fine
from potp2p.protocol.verification.verdict import MeasureKind, Verdict
from potp2p.protocol.wire.fields import (
    AmountField,
    BlobField,
    CountField,
    HeightField,
    NodeField,
    PpmField,
    RoundField,
    ShardField,
    TaskField,
)
from potp2p.protocol.wire.schema import Many


@unique
class ReceiptKind(IntEnum):
    """Why money moved, or did not, for one lease."""

    PAID = 0
    MISSED = 1
    VOID = 2
    REJECTED = 3


@dataclass(frozen=True, slots=True)
class ReportLine:
    """What one auditor or judge did, and what its report amounts to."""

    auditor: NodeField
    conduct: Conduct
    committed: bool
    verdict: Verdict | None
    """None without an opened report, or without a trace to hold it to. Of it, what decides:"""
    measure: MeasureKind | None
    measured: PpmField
    tolerance: PpmField
    excused: bool
    """It would have failed, were its auditor's own replays not apart."""
    instability: PpmField
    """How far those lie apart, in millionths of a tolerance; zero where it was not measured."""
    paid: AmountField
    """For the replay, from the task's share for auditors."""


@dataclass(frozen=True, slots=True)
class AuditReceipt:
    """An audit in short: traces and salts are in the blocks."""

    reason: AuditReason
    phase: AuditPhase
    deadline: HeightField
    """Of the phase."""
    auditors: Annotated[tuple[ReportLine, ...], Many(2 * VALIDATORS_MAX)]
    judges: Annotated[tuple[ReportLine, ...], Many(VALIDATORS_MAX)]
    escalation: Escalation | None
    challenge: ChallengeRecord | None
    opened: bool
    """The miner showed its trace."""
    provisional: Verdict | None
    final: Verdict | None
    drawn: HeightField
    revealed: HeightField
    ruled: HeightField
    escalated: HeightField
    closed: HeightField
    penalty: Penalty | None
    """The miner's, where its failure became final."""
    liars: Penalty | None
    """Of auditors whose reports contradict the final ruling, together."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The life of one lease, and what it was paid; of an open one, what stands so far."""

    task: TaskField
    round: RoundField
    shard: ShardField
    miner: NodeField
    kind: ReceiptKind
    """Once it is settled."""
    paid: AmountField
    bonded: AmountField
    """Part of the pay that was kept as the miner's own bond."""
    score: AmountField
    weight: AmountField
    audited: bool
    probability: PpmField
    """Of its being drawn, as it was when the draw came; zero before."""
    status: LeaseStatus
    theta: BlobField
    """Checkpoint that the round started from; NO_DIGEST for the initial weights."""
    started: HeightField
    fixed: HeightField
    """Height at which the set was fixed; zero before."""
    attested: CountField
    """Validators that attested its payload."""
    judges: CountField
    """Seats that judge the round: f + 1 of them put it into the set."""
    flagged: bool
    dropped: bool
    claim: Claim | None
    fines: Annotated[tuple[Fine, ...], Many(FINES_MAX)]
    """Of claims for it that were not attested: its own, and of who stood in or was to."""
    beaten: Beaten | None
    """Who had it too, and whose claim did not come into the set."""
    audit: AuditReceipt | None
    height: HeightField
    """Of the settlement; zero while the round is open."""

    @property
    def claimants(self) -> frozenset[NodeId]:
        """Return its miner, and who else had it or was fined for a claim."""
        others = () if self.beaten is None else (self.beaten.miner,)
        return frozenset({self.miner, *others, *(each.miner for each in self.fines)})

    @property
    def fined(self) -> Fine | None:
        """Return what its own miner was fined, if it was."""
        return self.fined_of(self.miner)

    def fined_of(self, node: NodeId) -> Fine | None:
        """Return what a claim of this node for the lease was fined, if it was."""
        return next((each for each in self.fines if each.miner == node), None)
