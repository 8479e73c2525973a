"""What a league of primaries wants, has and decides: one measurement and its outcome."""

from dataclasses import dataclass
from enum import StrEnum, unique

from potp2p.protocol.ledger.genesis import DEVNET_TRAINING


@unique
class Seats(StrEnum):
    """Which seats the league has."""

    SPREAD = "spread"
    ADJACENT = "adjacent"
    """Turns that follow each other: as many options as can be."""


@unique
class Timing(StrEnum):
    """Who decides when a round's set is fixed."""

    ANY = "any"
    CHOSEN = "chosen"
    """A miner of the league claims last, so that the league's turn ends the wait for the draw."""


@unique
class Target(StrEnum):
    """What the league wants of a draw."""

    UNDETECTED = "undetected"
    """A false contribution of its own: not audited, or only by its own auditors."""
    AUTHOR = "author"
    """The first rank of the next height."""


@dataclass(frozen=True, slots=True)
class WithholdingPlan:
    """One measurement."""

    validators: int
    draws: int
    seats: Seats = Seats.SPREAD
    timing: Timing = Timing.ANY
    target: Target = Target.UNDETECTED
    rate: int = DEVNET_TRAINING.audit_rate
    committee: int = DEVNET_TRAINING.audit_committee
    window: int = 0
    """Blocks over which the draw of one round is spread; zero: as many as there are seats."""
    withholds: bool = True
    """False: the same draws, and everyone keeps its turns."""

    @property
    def tests(self) -> int:
        """Return how many beacons decide one draw."""
        return 1 if self.target is Target.AUTHOR else self.window or self.validators


@dataclass(frozen=True, slots=True)
class WithholdingReport:
    """What came of it."""

    draws: int
    successes: int
    blocks: int
    withheld: int
    """Turns that the league missed."""
    own_blocks: int
    """Blocks that it proposed."""

    @property
    def share(self) -> float:
        """Return how often the league got what it wanted."""
        return self.successes / self.draws if self.draws else 0.0
