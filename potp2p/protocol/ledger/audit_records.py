"""What the state holds about an audit, from the draw to the settlement of its round."""

from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Annotated, Final

from potp2p.foundation.limits import MINERS_MAX, VALIDATORS_MAX
from potp2p.protocol.verification.commitments import Finding
from potp2p.protocol.verification.verdict import Verdict
from potp2p.protocol.wire.fields import (
    AccountField,
    AmountField,
    CountField,
    DigestField,
    HeightField,
    NodeField,
)
from potp2p.protocol.wire.schema import Many, Uint
from potp2p.protocol.wire.verification import Trace


@unique
class AuditPhase(IntEnum):
    """Where an audit stands; the first two are the drawn auditors', the later ones the judges'."""

    COMMIT = 0
    """Drawn auditors replay and commit."""
    REVEAL = 1
    """Miner and auditors open."""
    WINDOW = 2
    """A provisional ruling stands; anyone bonded may challenge it."""
    COMMIT_ALL = 3
    """All judges of the round replay and commit."""
    REVEAL_ALL = 4
    """Judges open, and the miner if it has not."""
    FINAL = 5


@unique
class AuditReason(IntEnum):
    """Why a contribution is audited."""

    DRAWN = 0
    """By its probability."""
    FLAGGED = 1
    """The screens suspect it."""
    DIVERGED = 2
    """It claims that its loss was not finite."""
    UNCOVERED = 3
    """Its miner's bond covers so little of the pay that its probability is one."""
    CHALLENGED = 4
    """It was not drawn; somebody bonded disputes it."""


@unique
class Escalation(IntEnum):
    """Why all judges replay."""

    NO_AUDITOR = 0
    """Nobody could be drawn."""
    ABSENT = 1
    """An auditor stayed away and so did its replacement, or there was none."""
    UNOPENED = 2
    """An auditor committed and did not open: traces are public, nobody can replace it."""
    SPLIT = 3
    """Reports differ in their verdict."""
    CHALLENGE = 4
    UNSTABLE = 5
    """Auditors' own replays drift apart: all judges look before anything follows from it."""


@unique
class Conduct(IntEnum):
    """What became of an auditor's duty."""

    CALLED = 0
    """It may still act, or has done its work."""
    ABSENT = 1
    """No commitment in time."""
    SILENT = 2
    """Committed, but did not open in time."""
    LIED = 3
    """Its report contradicts the final verdict: slashed and unpaid."""
    DISSENTED = 4
    """Its report differs from a verdict that stands, without contradicting it: unpaid."""


@dataclass(frozen=True, slots=True)
class AuditorRecord:
    """One drawn auditor of a contribution, or one judge."""

    auditor: NodeField
    commitment: DigestField
    """NO_DIGEST until committed."""
    report: Finding | None
    conduct: Conduct


@dataclass(frozen=True, slots=True)
class ChallengeRecord:
    """Who disputes a ruling, and what it staked on the outcome."""

    challenger: NodeField
    expects_fail: bool
    """It says that the miner cheated; else that it did not."""
    stake: AmountField
    """Price of all judges' replays, locked in the challenger's bond until the final ruling."""
    height: HeightField
    lost: bool
    """The final ruling went against it: its stake paid the judges."""


@dataclass(frozen=True, slots=True)
class Penalty:
    """What a final ruling took from bonds, and where it went: what is left joined the escrow."""

    taken: AmountField
    burned: AmountField
    rewarded: Annotated[tuple[NodeField, ...], Many(3 * VALIDATORS_MAX + 1)]
    """Who proved it: auditors, judges, a challenger."""
    reward: AmountField
    """Of each."""


@dataclass(frozen=True, slots=True)
class Audit:
    """The audit of one contribution."""

    reason: AuditReason
    phase: AuditPhase
    deadline: HeightField
    """Last height of the present phase."""
    auditors: Annotated[tuple[AuditorRecord, ...], Many(2 * VALIDATORS_MAX)]
    """As drawn, then replacements."""
    replaced: bool
    """Absent auditors have been replaced: that happens once."""
    judges: Annotated[tuple[AuditorRecord, ...], Many(VALIDATORS_MAX)]
    """Empty unless escalated."""
    escalation: Escalation | None
    challenge: ChallengeRecord | None
    trace: Trace | None
    """The miner's, once opened."""
    provisional: Verdict | None
    """Of the drawn auditors."""
    final: Verdict | None
    drawn: HeightField
    """Height of the draw, or of the challenge of what was not drawn."""
    revealed: HeightField
    """Height at which the drawn auditors' reveals began; zero before. Likewise:"""
    ruled: HeightField
    """The provisional ruling."""
    escalated: HeightField
    closed: HeightField
    """The final ruling."""
    penalty: Penalty | None
    """The miner's, where its failure is final."""
    liars: Penalty | None
    """Of all whose reports contradict the final ruling, together."""

    @property
    def is_revealing(self) -> bool:
        """Tell whether miner and callees may open."""
        return self.phase in (AuditPhase.REVEAL, AuditPhase.REVEAL_ALL)

    @property
    def callees(self) -> tuple[AuditorRecord, ...]:
        """Return those whose turn it is, or was last: the judges once it is escalated."""
        return self.auditors if self.escalation is None else self.judges


EVERY_CLASS: Final = 255
EVERY_MEMORY: Final = (1 << 48) - 1


@dataclass(frozen=True, slots=True)
class AuditorRow:
    """Who may be drawn, by what it had bonded and declared at a cycle's start."""

    node: NodeField
    weight: AmountField
    """Its bond."""
    payout: AccountField
    sponsor: AccountField | None
    """Who put up at least half of its bond, if that was another account."""
    classes: Annotated[int, Uint(256)]
    memory_bytes: CountField


@dataclass(frozen=True, slots=True)
class AuditorTable:
    """
    Who may audit, frozen when a cycle opens and drawn from in the next one.

    So neither a bond nor an offer can change between the beacon of a draw and the draw.
    """

    rows: Annotated[tuple[AuditorRow, ...], Many(MINERS_MAX + VALIDATORS_MAX)]
    lapsed: Annotated[tuple[NodeField, ...], Many(MINERS_MAX + VALIDATORS_MAX)]
    """Drawn in this epoch and of no use: not in the table for the rest of it. Ascending."""
