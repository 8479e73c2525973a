"""What came of everybody in a network with adversaries, as the chain tells it."""

from collections import Counter
from dataclasses import dataclass, field

from potp2p.foundation.types import NodeId
from potp2p.protocol.ledger.receipt_records import Receipt, ReceiptKind
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
    paid: int = 0
    slashed: int = 0
    """How often its bond fell."""
    slashed_amount: int = 0
    tested: int = 0
    """Leases that it cheated on and that a check of the protocol had to decide about."""
    caught: int = 0
    """Of those, what was neither paid nor left open."""
    crimes: set[Crime] = field(default_factory=set[Crime])
    challenges: dict[Crime, int] = field(default_factory=dict[Crime, int])
    """What it staked on each of its challenges."""
    lies_found: int = 0
    """Reports for which it was slashed as an auditor."""
    banned_in_round: int | None = None
    """Rounds that were over when it was first convicted."""
    deeds: Counter[str] = field(default_factory=Counter[str])
    bond_seen: int = 0

    @property
    def challenges_lost(self) -> int:
        """Return how many stakes it lost, rounded up: pay may refill the bond meanwhile."""
        stakes = list(self.challenges.values())
        return -(-self.slashed_amount // stakes[0]) if stakes else 0

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
    is_money_conserved: bool

    def of(self, kind: Kind | None) -> list[Row]:
        """Return the rows of a kind; None: the honest miners."""
        wanted = Place.MINER if kind is None else None
        return [each for each in self.rows if each.kind is kind and wanted in (None, each.place)]


def enter(row: Row, receipt: Receipt) -> None:
    """Count a receipt for its miner."""
    if (receipt.task, receipt.round, receipt.shard) in row.crimes:
        tested, caught = _judge(row.kind, receipt)
        row.tested += tested
        row.caught += caught
    row.audited += receipt.audited
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


def _judge(kind: Kind | None, receipt: Receipt) -> tuple[bool, bool]:
    """
    Tell whether a receipt shows that a crime was put to the test, and whether it was caught.

    What is withheld is caught by the attestation that it does not get, and an equal payload by
    being dropped. A lease that ended only because its miner was banned for another tests nothing.
    """
    if kind is Kind.WITHHOLDER:
        return True, receipt.kind is ReceiptKind.MISSED
    if kind in (Kind.COPIER, Kind.PERTURBED_COPIER) and receipt.kind is ReceiptKind.VOID:
        return True, True
    return receipt.audited, receipt.audited and receipt.kind is ReceiptKind.REJECTED
