"""Which runs `bench proof` consists of, and how long they are."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from potp2p.benchmarks.proof_world import WorldPlan
from potp2p.foundation.errors import ConfigurationError
from potp2p.foundation.types import POT
from potp2p.simulation.adversaries.kinds import POISONS, Kind, Place, place_of

PPM: Final = 1_000_000
SEED_BOUND: Final = 1 << 48
QUICK_ROUNDS: Final = 4
"""One to learn from, one to cheat in, and two in which what was convicted meanwhile is over."""
FULL_ROUNDS: Final = 200
PROFIT_ROUNDS_MAX: Final = 2_000
"""Ten times what a full run takes, which is long enough."""
COST_ROUNDS_QUICK: Final = 6
COST_ROUNDS: Final = 30
DEVNET_RATE: Final = 120_000
TESTNET_RATE: Final = 50_000
BOND: Final = 20
WIDE_BOND: Final = 1_000_000
"""POT: so much more than a lease pays that the base rate alone decides who is audited."""
DEVNET_BAN: Final = 2_000
COPIES: Final = 3
"""Miners of one kind in a run where every contribution is audited: at least so many audits."""

GROUPS: Final[tuple[tuple[Kind, ...], ...]] = (
    (Kind.FREE_RIDER, Kind.COPIER, Kind.PERTURBED_COPIER),
    (Kind.STALE_WEIGHTS, Kind.HALF_WORK, Kind.WRONG_SHARD),
    (Kind.SIGN_FLIP, Kind.SCALED, Kind.NOISE),
    (Kind.FALSE_LOSS, Kind.NO_REVEAL, Kind.WITHHOLDER),
    (Kind.LAZY_AUDITOR,),
    (Kind.LYING_AUDITOR,),
    (Kind.COLLUDING_PAIR,),
    (Kind.SPAM_CHALLENGER,),
    (Kind.RIVAL_AUTHOR,),
    (Kind.SELF_DEALING_CLIENT,),
    (Kind.DATA_WITHHOLDING_CLIENT,),
)
"""Kinds that share a run; a seat is one of four, so there is never more than one of those."""
WORST: Final = (Kind.FREE_RIDER, Kind.PERTURBED_COPIER, Kind.SIGN_FLIP)
"""What a quick run measures the accuracy under: nothing else came near what these cost."""
HONEST_BESIDES: Final = frozenset(
    {Kind.SPAM_CHALLENGER, Kind.RIVAL_AUTHOR, Kind.SELF_DEALING_CLIENT}
)
"""Adversaries that mine honestly too: what they own more than if they did only is by their lies."""
COMPARED: Final = frozenset({*HONEST_BESIDES, Kind.DATA_WITHHOLDING_CLIENT})
"""Adversaries that are held against the same run without their lies."""

FLOORLESS: Final = frozenset({Kind.SELF_DEALING_CLIENT, Kind.RIVAL_AUTHOR})
"""
Adversaries whose profit is counted without a devnet's subsidy floor.

It pays authors out of nothing, block by block: to one that pays itself it is not there to be won
elsewhere, and one that makes rounds longer must not count what the further blocks paid.
"""


@dataclass(frozen=True, slots=True)
class ProofPlan:
    """What the operator asked for."""

    quick: bool
    kinds: tuple[Kind, ...] = tuple(Kind)
    rounds: int | None = None
    """Of the runs that measure profit; None: 200, or 4 in a quick run."""
    seed: int = 1
    jobs: int = 2
    """Processes at once."""

    @property
    def profit_rounds(self) -> int:
        """Return how long profits are counted."""
        return self.rounds or (QUICK_ROUNDS if self.quick else FULL_ROUNDS)


def verify_proof_plan(plan: ProofPlan) -> None:
    """Raise ConfigurationError unless a plan can be run."""
    if plan.rounds is not None and not QUICK_ROUNDS <= plan.rounds <= PROFIT_ROUNDS_MAX:
        raise ConfigurationError(
            f"--rounds {plan.rounds}: from {QUICK_ROUNDS} to {PROFIT_ROUNDS_MAX}"
        )
    if not plan.kinds:
        raise ConfigurationError("--kinds names no adversary")
    if not 0 <= plan.seed < SEED_BOUND:
        raise ConfigurationError(f"--seed {plan.seed}: from 0 to {SEED_BOUND - 1}")


def certain_worlds(plan: ProofPlan) -> list[WorldPlan]:
    """Return runs in which every contribution is audited: how surely is each kind caught?"""
    return _with_controls(
        _world(plan, f"certain-{index}", group, QUICK_ROUNDS, PPM, copies=COPIES, ban_blocks=5)
        for index, group in enumerate(_groups(plan))
    )


def profit_worlds(plan: ProofPlan) -> list[WorldPlan]:
    """Return runs at the devnet's own rates: what is left to each kind, and how soon is it out?"""
    if plan.quick and plan.rounds is None:
        return []
    return _with_controls(
        _world(
            plan,
            f"profit-{index}",
            group,
            plan.profit_rounds,
            DEVNET_RATE,
            copies=1,
            ban_blocks=DEVNET_BAN,
        )
        for index, group in enumerate(_groups(plan))
    )


def cost_worlds(plan: ProofPlan) -> list[WorldPlan]:
    """Return honest runs at the rates of the devnet and the testnet, and without audits."""
    rounds = COST_ROUNDS_QUICK if plan.quick else COST_ROUNDS
    return [
        WorldPlan(
            name=name,
            kinds=(),
            rounds=rounds,
            honest=8,
            audit_rate=rate,
            ban_blocks=DEVNET_BAN,
            bond=WIDE_BOND,
            subsidy_floor=0,
            seed=plan.seed,
        )
        for name, rate in (("devnet", DEVNET_RATE), ("testnet", TESTNET_RATE), ("off", 1))
    ]


def _with_controls(worlds: Iterable[WorldPlan]) -> list[WorldPlan]:
    """Add to each run with adversaries that also work one in which they only work."""
    found: list[WorldPlan] = []
    for world in worlds:
        found.append(world)
        if any(Kind(kind) in COMPARED for kind in world.kinds):
            found.append(replace(world, name=control_of(world.name), reformed=True))
    return found


def control_of(name: str) -> str:
    """Return the name of the run in which the adversaries of another are honest."""
    return f"{name}-reformed"


def poisons(plan: ProofPlan) -> tuple[Kind, ...]:
    """Return the kinds whose payloads may cost a model its accuracy."""
    worst = WORST if plan.quick else POISONS
    return tuple(kind for kind in worst if kind in plan.kinds)


def _groups(plan: ProofPlan) -> list[tuple[Kind, ...]]:
    wanted = (tuple(kind for kind in group if kind in plan.kinds) for group in GROUPS)
    return [group for group in wanted if group]


def _world(  # noqa: PLR0913  # what tells one run from another
    plan: ProofPlan,
    name: str,
    kinds: Sequence[Kind],
    rounds: int,
    rate: int,
    *,
    copies: int,
    ban_blocks: int,
) -> WorldPlan:
    several = [
        kind for kind in kinds for _ in range(copies if place_of(kind) is Place.MINER else 1)
    ]
    return WorldPlan(
        name=name,
        kinds=tuple(str(kind) for kind in several),
        rounds=rounds,
        honest=4,
        audit_rate=rate,
        ban_blocks=ban_blocks,
        bond=BOND,
        subsidy_floor=0 if FLOORLESS.intersection(kinds) else POT // 10,
        seed=plan.seed,
    )
