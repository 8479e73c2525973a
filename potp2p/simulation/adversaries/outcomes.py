"""What came of everybody in a network with adversaries, as the receipts of its chain tell it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from potp2p.foundation.types import NodeId
from potp2p.protocol.ledger.audit_records import ChallengeRecord, Conduct
from potp2p.protocol.ledger.receipt_records import Receipt, ReceiptKind, ReportLine
from potp2p.protocol.ledger.records import TaskStatus
from potp2p.simulation.adversaries.cheat import Crime
from potp2p.simulation.adversaries.kinds import Kind, Place


@dataclass(slots=True)
class Row:
    """What came of one node."""

    name: str
    kind: Kind | None
    place: Place
    node: NodeId
    money_before: int
    """Balance, bond and what unbonds, in base units."""
    money_after: int = 0
    accepted: int = 0
    """Contributions that were paid."""
    missed: int = 0
    void: int = 0
    rejected: int = 0
    audited: int = 0
    """Of those in the set, how many were replayed."""
    flagged: int = 0
    """By the screens, which so made their audit certain."""
    dropped: int = 0
    """As an equal payload of another shard."""
    paid: int = 0
    reports: int = 0
    """Contributions of others that it reported on, as auditor or judge."""
    challenges: int = 0
    challenges_lost: int = 0
    forgone: int = 0
    """Tips of claims that it left out of its own blocks and others took in: in base units."""
    tested: int = 0
    """Crimes that a rule of the protocol had to decide about."""
    caught: int = 0
    """Of those, what was neither paid nor believed."""
    banned_in_round: int | None = None
    """Rounds that were over when it was first convicted."""
    deeds: Counter[str] = field(default_factory=Counter[str])
    crimes: set[Crime] = field(default_factory=set[Crime])

    @property
    def gain(self) -> int:
        """Return what it owns more than at the start."""
        return self.money_after - self.money_before


@dataclass(slots=True)
class ArenaReport:
    """What came of everybody."""

    rows: list[Row]
    rounds: int
    status: TaskStatus
    losses: tuple[int, ...]
    blocks: int
    round_starts: list[float]
    """Virtual seconds at which each round was first seen in work."""
    client_spent: int
    """Of the client that ordered the training, whatever for: in base units."""
    is_money_conserved: bool

    def of(self, kind: Kind | None) -> list[Row]:
        """Return the rows of a kind; None: the honest miners."""
        wanted = Place.MINER if kind is None else None
        return [each for each in self.rows if each.kind is kind and wanted in (None, each.place)]


def enter(rows: Mapping[NodeId, Row], receipt: Receipt) -> None:
    """Count a receipt for its miner, its auditors and its challenger."""
    _enter_miner(rows[receipt.miner], receipt)
    audit = receipt.audit
    if audit is None:
        return
    lines: dict[NodeId, list[ReportLine]] = {}
    for line in (*audit.auditors, *audit.judges):
        lines.setdefault(line.auditor, []).append(line)
    for node, said in lines.items():
        if node in rows:
            _enter_auditor(rows[node], receipt, said)
    if audit.challenge is not None and audit.challenge.challenger in rows:
        _enter_challenger(rows[audit.challenge.challenger], audit.challenge)


def _enter_miner(row: Row, receipt: Receipt) -> None:
    row.audited += receipt.audited
    row.flagged += receipt.flagged
    row.dropped += receipt.dropped
    row.paid += receipt.paid
    match receipt.kind:
        case ReceiptKind.PAID:
            row.accepted += 1
        case ReceiptKind.MISSED:
            row.missed += 1
        case ReceiptKind.VOID:
            row.void += 1
        case ReceiptKind.REJECTED:
            row.rejected += 1
    if crime_of(receipt) in row.crimes:
        tested, caught = _judge(row.kind, receipt)
        row.tested += tested
        row.caught += caught


def _judge(kind: Kind | None, receipt: Receipt) -> tuple[bool, bool]:
    """
    Tell whether a receipt shows that a miner's crime was put to the test, and was caught.

    What is withheld is caught by the attestation that it does not get. A lease that ended because
    its miner was banned for another one tests nothing.
    """
    if kind is Kind.WITHHOLDER:
        return True, receipt.kind is ReceiptKind.MISSED
    is_final = receipt.audit is not None and receipt.audit.final is not None
    return is_final, is_final and receipt.kind is ReceiptKind.REJECTED


def _enter_auditor(row: Row, receipt: Receipt, said: list[ReportLine]) -> None:
    """Count what a node reported on one contribution, however often it was asked."""
    is_opened = any(line.verdict is not None for line in said)
    row.reports += is_opened
    if is_opened and row.place is Place.SEAT and crime_of(receipt) in row.crimes:
        row.tested += 1
        row.caught += any(line.conduct is Conduct.LIED for line in said)


def _enter_challenger(row: Row, challenge: ChallengeRecord) -> None:
    row.challenges += 1
    row.challenges_lost += challenge.lost
    if row.kind is Kind.SPAM_CHALLENGER:
        row.tested += 1
        row.caught += challenge.lost


def crime_of(receipt: Receipt) -> Crime:
    """Return the lease that a receipt is about."""
    return receipt.task, receipt.round, receipt.shard
