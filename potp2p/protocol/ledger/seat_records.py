"""What the state holds about seats: who has one, who asks for one, who lost the right to one."""

from dataclasses import dataclass
from typing import Annotated

from potp2p.foundation.limits import CANDIDATES_MAX, CONVICTIONS_KEPT_MAX, VALIDATORS_MAX
from potp2p.protocol.wire.fields import (
    AccountField,
    AmountField,
    DigestField,
    EpochField,
    HeightField,
    NodeField,
    ViewField,
)
from potp2p.protocol.wire.schema import Many, Uint

MISS_WEIGHT: int = 2
"""What a missed turn adds to a seat's record, from which a kept turn takes one."""
MISSES_MAX: int = 6 * MISS_WEIGHT
"""The longest absence is 2^6 heights; who comes back after months has as much to make good."""


@dataclass(frozen=True, slots=True)
class Seat:
    """One validator of the epoch in force."""

    node: NodeField
    anchor: DigestField
    """NO_DIGEST: none registered for this epoch."""
    next_anchor: DigestField
    """For the next epoch; NO_DIGEST until registered."""
    misses: Annotated[int, Uint(MISSES_MAX + 1)]
    """Turns missed as primary, MISS_WEIGHT each, less those kept since; 0 to MISSES_MAX."""
    skipped_until: HeightField
    """Left out of the primary order below this height."""
    leaving: AmountField
    """Bond asked back, which starts its way once the seat is left; zero: the seat stays."""
    convicted: HeightField
    """Height of a proven double signature; zero: none. First to be left out as primary."""
    revealed: HeightField
    """Last height whose frame it revealed its secret in; zero: none since it has the seat."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A bonded node that asks for a seat in the next epoch."""

    node: NodeField
    anchor: DigestField
    """End of its first beacon chain."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Who has asked for a seat in the next epoch, ascending by node; emptied with the epoch."""

    rows: Annotated[tuple[Candidate, ...], Many(CANDIDATES_MAX)]


@dataclass(frozen=True, slots=True)
class PastSeats:
    """Who held the seats of an epoch that is over, in seat order; kept while it can be judged."""

    nodes: Annotated[tuple[NodeField, ...], Many(VALIDATORS_MAX)]


@dataclass(frozen=True, slots=True)
class Offence:
    """What a conviction was for: no second one follows from the same signatures."""

    epoch: EpochField
    height: HeightField
    view: ViewField
    kind: Annotated[int, Uint(256)]
    """Of the statement; zero: two bodies of one height."""
    proved: HeightField
    """Height of the block with the evidence."""


@dataclass(frozen=True, slots=True)
class Convict:
    """A key that signed two things where one is allowed: it never gets a seat again."""

    offences: Annotated[tuple[Offence, ...], Many(CONVICTIONS_KEPT_MAX)]
    """In the order of proof."""


@dataclass(frozen=True, slots=True)
class Barred:
    """An author that signed two bodies: no rank above this height in this cycle."""

    author: AccountField
    proved: HeightField
