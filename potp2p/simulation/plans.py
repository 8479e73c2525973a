"""What will go wrong in one run, drawn from its seed before time begins."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from random import Random
from typing import Final

from potp2p.foundation.committee import faulty_max
from potp2p.simulation.disks import Kept

MILLISECONDS_MIN: Final = 3_000
MILLISECONDS_MAX: Final = 14_000
"""Length of the time with faults; twenty undisturbed heights take ten seconds."""
LONG: Final = 0.15
LONG_MILLISECONDS_MAX: Final = 90_000
"""In some seeds no quorum meets for longer than the longest view timer, so that views disperse."""
CLOG_MILLISECONDS_MAX: Final = 5_000
HAPPENINGS_MAX: Final = 6
DRAWN: Final = 0.45
"""Part of the seeds that draw a fault: few enough that each is also seen without the others."""
_KEPT: Final = tuple(Kept)

ORDERS: Final = 0.3
"""Part of the seeds in which a model is trained."""
PAYMENTS_AT_ONCE: Final = (1, 1, 1, 24)


@unique
class Level(StrEnum):
    """What a simulation consists of."""

    NODES = "nodes"
    """Whole nodes: all services over memory."""
    CORE = "core"
    """The consensus core alone, with stub signatures."""
    TWINS = "twins"
    """The same with keys in two places and partitions for each round."""


@unique
class Fault(StrEnum):
    """What may go wrong; every seed draws its own subset."""

    LATENCY = "latency"
    """Messages travel for up to a second, and so overtake each other."""
    LOSS = "loss"
    """Up to three messages of ten are lost."""
    DUPLICATION = "duplication"
    PARTITIONS = "partitions"
    """One machine alone, or two sides."""
    ONE_WAY = "one-way"
    """Some machines hear but are not heard."""
    CLOGS = "clogs"
    """A machine's messages wait up to 5 s; or all machines', one after the other."""
    CRASHES = "crashes"
    """Power fails; of what was not synced none, a prefix, a subset or all is left."""
    POWER = "power"
    """Power fails within a durable operation: before it, or just after it."""
    DISKS = "disks"
    """A disk is full or fails to write; the node must stop, and is started again."""
    PAUSES = "pauses"
    """A process stands still for a while."""
    CLOCKS = "clocks"
    """Clocks are up to an hour off, and timers run up to a fifth too fast or slow."""
    WIPES = "wipes"
    """A follower loses its whole disk."""
    AUTHORS = "authors"
    """Ranked authors are silent, late, or sign two bodies."""
    SEATS = "seats"
    """A fifth validator bonds and takes a seat; one of the others leaves."""
    LIARS = "liars"
    """Up to f validators say whatever serves them."""
    TWINS = "twins"
    """Up to f keys are used by two machines each, split between the others."""


@unique
class Lie(StrEnum):
    """What a Byzantine validator does."""

    SILENT = "silent"
    MUTE_PRIMARY = "mute-primary"
    """Votes, but never proposes."""
    EQUIVOCATE = "equivocate"
    """Proposes two blocks, each to half of the others, and votes for both."""
    WITHHOLD = "withhold"
    """Proposes, but gives the block to one other only."""
    BAD_BLOCK = "bad-block"
    """Proposes blocks whose state nobody can reproduce, and votes for anything."""
    HEIGHTS = "heights"
    """Claims to be far ahead, and serves forged blocks."""
    RACE = "race"
    """Turns votes into changes to absurd views."""
    DENY = "deny"
    """Hides the certificates of what was prepared."""
    SKIP = "skip"
    """As primary passes over every author."""


@unique
class Idleness(StrEnum):
    """What a bad author does with its body."""

    SILENT = "silent"
    LATE = "late"
    TWO_BODIES = "two-bodies"


@dataclass(frozen=True, slots=True)
class Happening:
    """One fault of some machines, from one moment to another."""

    at: int
    """Milliseconds after the start."""
    until: int
    fault: Fault
    machines: tuple[str, ...]
    variant: int = 0


@dataclass(frozen=True, slots=True)
class Choices:
    """What the operator decides for all seeds."""

    validators: int = 4
    miners: int = 2
    heights: int = 20
    faults: tuple[Fault, ...] = tuple(Fault)
    level: Level = Level.NODES


@dataclass(frozen=True, slots=True)
class Plan:
    """One run."""

    seed: int
    choices: Choices
    faults: tuple[Fault, ...]
    calm_at: int
    """From here on nothing goes wrong but what liars do."""
    latency: tuple[int, int]
    """Least and most milliseconds."""
    loss_percent: int
    duplication_percent: int
    skews: tuple[int, ...]
    """Milliseconds that each machine's clock is off."""
    drifts: tuple[int, ...]
    """Length of each validator's timers in percent of what they should be."""
    liars: tuple[tuple[str, Lie], ...]
    idlers: tuple[tuple[str, Idleness], ...]
    twins: tuple[str, ...]
    happenings: tuple[Happening, ...]
    follower: bool
    """Whether an observer takes part."""
    orders: bool
    """Whether a customer has a model trained meanwhile."""
    payments_at_once: int
    """Transfers that the customer sends in one go; many of them make blocks worth sketching."""
    leaver: str | None
    """Who gives its seat back once the newcomer has one; None: nobody comes or goes."""

    @property
    def suspects(self) -> frozenset[str]:
        """Return the names under which anything may be said."""
        return frozenset((*(name for name, _ in self.liars), *self.twins))


def validator_names(choices: Choices) -> tuple[str, ...]:
    """Return the names of all seats, in order."""
    return tuple(f"validator-{index}" for index in range(choices.validators))


def miner_names(choices: Choices) -> tuple[str, ...]:
    """Return the names of all miners."""
    return tuple(f"miner-{index}" for index in range(choices.miners))


NEWCOMER: Final = "newcomer"
"""The validator that asks for a seat."""


def double_of(name: str) -> str:
    """Return the name of the second machine that bears a twin's key."""
    return f"{name}-double"


def draw_plan(seed: int, choices: Choices, *, always: tuple[Fault, ...] = ()) -> Plan:
    """Return the one plan of a seed; some faults may be wanted whatever it draws."""
    random = Random(f"potp2p/simulation/{seed}")
    # Every draw is made whatever is chosen, so that leaving a fault out changes little else.
    drawn = {fault: random.random() < DRAWN or fault in always for fault in Fault}
    # A key is at most one kind of bad, and no more than f of them are: liars exclude twins.
    drawn[Fault.TWINS] &= not (drawn[Fault.LIARS] and Fault.LIARS in choices.faults)
    faults = tuple(fault for fault in Fault if drawn[fault] and fault in choices.faults)
    seats, miners = validator_names(choices), miner_names(choices)
    is_long = random.random() < LONG and Fault.PARTITIONS in faults
    calm_at = random.randint(
        MILLISECONDS_MIN, LONG_MILLISECONDS_MAX if is_long else MILLISECONDS_MAX
    )
    bad = random.sample(seats, random.randint(0, faulty_max(len(seats))) or faulty_max(len(seats)))
    lies = [random.choice(tuple(Lie)) for _ in bad]
    idle = random.sample(miners, random.randint(1, len(miners))) if miners else []
    idleness = [random.choice(tuple(Idleness)) for _ in idle]
    return Plan(
        seed=seed,
        choices=choices,
        faults=faults,
        calm_at=calm_at,
        latency=(1, random.choice((20, 100, 350, 1_000)) if Fault.LATENCY in faults else 5),
        loss_percent=random.choice((1, 5, 20, 30)) if Fault.LOSS in faults else 0,
        duplication_percent=random.choice((5, 20, 50)) if Fault.DUPLICATION in faults else 0,
        skews=_spread(random, len(seats) + len(miners) + 1, 3_600_000, faults),
        drifts=tuple(100 + each for each in _spread(random, len(seats), 20, faults)),
        liars=tuple(zip(bad, lies, strict=True)) if Fault.LIARS in faults else (),
        idlers=tuple(zip(idle, idleness, strict=True)) if Fault.AUTHORS in faults else (),
        twins=tuple(bad) if Fault.TWINS in faults else (),
        happenings=_in_order(
            _draw_happenings(random, faults, (*seats, *miners), calm_at)
            + _draw_rift(random, seats, calm_at) * is_long
            + _draw_splits(random, bad, seats, calm_at) * (Fault.TWINS in faults)
        ),
        follower=Fault.WIPES in faults,
        orders=random.random() < ORDERS and choices.miners > 0,
        payments_at_once=random.choice(PAYMENTS_AT_ONCE),
        leaver=random.choice(seats) if Fault.SEATS in faults else None,
    )


def _spread(random: Random, count: int, most: int, faults: Sequence[Fault]) -> tuple[int, ...]:
    return tuple(random.randint(-most, most) * (Fault.CLOCKS in faults) for _ in range(count))


def _draw_happenings(
    random: Random, faults: Sequence[Fault], names: tuple[str, ...], calm_at: int
) -> list[Happening]:
    found: list[Happening] = []
    for fault in faults:
        draw = _DRAWERS.get(fault)
        if draw is not None:
            for _ in range(random.randint(1, HAPPENINGS_MAX)):
                found += draw(random, names, calm_at)
    return found


def _in_order(happenings: Sequence[Happening]) -> tuple[Happening, ...]:
    return tuple(sorted(happenings, key=lambda each: (each.at, each.fault, each.machines)))


def _draw_rift(random: Random, seats: tuple[str, ...], calm_at: int) -> list[Happening]:
    """Part the validators for nearly the whole time, so that nobody has a quorum."""
    side = random.sample(seats, len(seats) // 2)
    return [Happening(random.randint(0, 3_000), calm_at, Fault.PARTITIONS, tuple(sorted(side)))]


def _draw_splits(
    random: Random, twins: Sequence[str], seats: Sequence[str], calm_at: int
) -> list[Happening]:
    """Cut each pair of twins off from different parts of the others, anew every few seconds."""
    found: list[Happening] = []
    for twin in twins:
        others = [name for name in seats if name != twin]
        at = 0
        while at < calm_at:
            until = min(calm_at, at + random.randint(300, 3_000))
            side = random.sample(others, random.randint(0, len(others)))
            found.append(Happening(at, until, Fault.TWINS, (twin, *sorted(side))))
            at = until
    return found


def _span(random: Random, calm_at: int, most: int | None = None) -> tuple[int, int]:
    """Return when a fault begins and ends: short ones let blocks pass, long ones raise views."""
    at = random.randint(0, calm_at - 1)
    longest = most or random.choice((600, 2_000, calm_at))
    return at, min(calm_at, at + random.randint(100, longest))


def _draw_partition(random: Random, names: tuple[str, ...], calm_at: int) -> list[Happening]:
    at, until = _span(random, calm_at)
    side = random.sample(names, random.choice((1, len(names) // 2)))
    return [Happening(at, until, Fault.PARTITIONS, tuple(sorted(side)))]


def _draw_one_way(random: Random, names: tuple[str, ...], calm_at: int) -> list[Happening]:
    at, until = _span(random, calm_at)
    side = random.sample(names, random.randint(1, max(1, len(names) // 2)))
    return [Happening(at, until, Fault.ONE_WAY, tuple(sorted(side)))]


def _draw_clog(random: Random, names: tuple[str, ...], calm_at: int) -> list[Happening]:
    if random.random() < 0.5:
        at, until = _span(random, calm_at, CLOG_MILLISECONDS_MAX)
        return [Happening(at, until, Fault.CLOGS, (random.choice(names),))]
    # Swizzle: some are clogged one after the other, and come back in another order.
    some = random.sample(names, random.randint(2, len(names)))
    first = random.randint(0, calm_at - 1)
    found: list[Happening] = []
    for name in some:
        at = min(calm_at - 1, first + random.randint(0, 1_000))
        length = random.randint(100, CLOG_MILLISECONDS_MAX)
        found.append(Happening(at, min(calm_at, at + length), Fault.CLOGS, (name,)))
    return found


def _draw_crash(random: Random, names: tuple[str, ...], calm_at: int) -> list[Happening]:
    at, until = _span(random, calm_at, 4_000)
    some = names if random.random() < 0.15 else (random.choice(names),)
    return [Happening(at, until, Fault.CRASHES, (each,), random.choice(_KEPT)) for each in some]


def _draw_power(random: Random, names: tuple[str, ...], calm_at: int) -> list[Happening]:
    at, until = _span(random, calm_at, 3_000)
    # Odd: the operation still becomes durable. The rest counts operations from here.
    return [Happening(at, until, Fault.POWER, (random.choice(names),), random.randint(0, 40))]


def _draw_disk(random: Random, names: tuple[str, ...], calm_at: int) -> list[Happening]:
    at, until = _span(random, calm_at, 4_000)
    return [Happening(at, until, Fault.DISKS, (random.choice(names),), random.randint(0, 1))]


def _draw_pause(random: Random, names: tuple[str, ...], calm_at: int) -> list[Happening]:
    at, until = _span(random, calm_at, 6_000)
    return [Happening(at, until, Fault.PAUSES, (random.choice(names),))]


def _draw_wipe(random: Random, _names: tuple[str, ...], calm_at: int) -> list[Happening]:
    at, until = _span(random, calm_at, 2_000)
    return [Happening(at, until, Fault.WIPES, ("observer-0",))]


_DRAWERS: Final = {
    Fault.PARTITIONS: _draw_partition,
    Fault.ONE_WAY: _draw_one_way,
    Fault.CLOGS: _draw_clog,
    Fault.CRASHES: _draw_crash,
    Fault.POWER: _draw_power,
    Fault.DISKS: _draw_disk,
    Fault.PAUSES: _draw_pause,
    Fault.WIPES: _draw_wipe,
}
