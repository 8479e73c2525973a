"""
Twins: every liar is two honest machines with one key, and the network chooses who meets whom.

After Bano, Sonnino, Chursin, Perelman, Li, Ching and Malkhi, "Twins: BFT Systems Made Robust": a
scenario fixes the leader of each round and a partition of all instances in each round; what is
sent in a round stays inside its part. Here a round is a view of one of the first heights; as
timers of later views wait for a quorum, each round's partition is drawn again every few seconds.
Then comes a phase of liveness: the network heals, the twins stay.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final

from potp2p.foundation.committee import faulty_max
from potp2p.protocol.wire.consensus import SealNotice, Status
from potp2p.simulation.core.cluster import Cluster
from potp2p.simulation.core.faults import Faults
from potp2p.simulation.core.letters import SIGNED, Letter
from potp2p.simulation.core.members import Member

PARTITION_MILLISECONDS: Final = 2_500
PARTS_MAX: Final = 3


@dataclass(slots=True)
class TwinsScenario:
    """Leaders and partitions of rounds, drawn from a seed as they come up."""

    size: int
    twins: tuple[int, ...]
    instances: int
    seed: int
    calm_at: int
    heal_chance: float
    """Of a round without partition."""
    _parts: dict[tuple[int, int, int], list[int] | None] = field(
        default_factory=dict[tuple[int, int, int], list[int] | None]
    )

    def order_of(self, height: int) -> tuple[int, ...]:
        """Return the leaders of a height's views: any order of seats, twins early more often."""
        random = Random(self.seed * 1_000_003 + height)
        order = list(range(self.size))
        random.shuffle(order)
        if random.random() < 0.5:
            order.sort(key=lambda seat: seat not in self.twins)
        return tuple(order)

    def is_cut(self, sender: Member, receiver: Member, letter: Letter, now: int) -> bool:
        """Tell whether a letter's round keeps two instances apart."""
        if now >= self.calm_at:
            return False
        height, view = _round_of(sender, letter)
        key = (height, view, now // PARTITION_MILLISECONDS)
        if key not in self._parts:
            self._parts[key] = self._draw(key)
        parts = self._parts[key]
        return parts is not None and parts[sender.name] != parts[receiver.name]

    def _draw(self, key: tuple[int, int, int]) -> list[int] | None:
        """Return the part of each instance: by preference a quorum or one short of it together."""
        random = Random(hash((self.seed, *key)))
        if random.random() < self.heal_chance:
            return None
        parts = random.randint(2, PARTS_MAX)
        drawn = [random.randrange(parts) for _ in range(self.instances)]
        # Twins that stay in different parts can tell two stories at once.
        for offset, seat in enumerate(self.twins):
            if random.random() < 0.7:
                drawn[self.size + offset] = (drawn[seat] + 1) % parts
        return drawn


def _round_of(sender: Member, letter: Letter) -> tuple[int, int]:
    """Return height and view in which a letter belongs."""
    if isinstance(letter, SIGNED):
        return letter.statement.height, letter.statement.view
    if isinstance(letter, Status):
        return letter.height, letter.view
    if isinstance(letter, SealNotice):
        return letter.seal.height, letter.seal.view
    at = sender.replica.at
    return sender.height, 0 if at is None else at.view


def twins_cluster(size: int, seed: int) -> Cluster:
    """Return the committee of one scenario."""
    random = Random(seed)
    count = random.randint(1, faulty_max(size))
    twins = tuple(sorted(random.sample(range(size), count)))
    calm_at = random.choice((15_000, 30_000, 45_000))
    scenario = TwinsScenario(
        size=size,
        twins=twins,
        instances=size + count,
        seed=seed,
        calm_at=calm_at,
        heal_chance=random.choice((0.1, 0.3, 0.5)),
    )
    faults = Faults(
        calm_at=calm_at,
        twins=frozenset(twins),
        loss=random.choice((0.0, 0.0, 0.05)),
        crashes=random.random() < 0.2,
        brisk=random.random() < 0.5,
    )
    leaders: Callable[[int], tuple[int, ...]] | None = scenario.order_of
    if random.random() < 0.25:
        leaders = None
    return Cluster(size, seed, faults, cut=scenario.is_cut, order_of=leaders)
