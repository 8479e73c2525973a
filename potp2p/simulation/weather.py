"""What the wire does to messages: late, lost, twice, or held up at a machine's door."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import trio

from potp2p.foundation.types import NodeId
from potp2p.network.ports import StreamProtocol
from potp2p.simulation.network import MemoryHub
from potp2p.simulation.plans import Plan
from potp2p.simulation.transits import Address, Transit

CALM_LATENCY_SECONDS = 0.004


@dataclass(slots=True)
class Weather:
    """Draws for every message until `calm_at`; then the wire is prompt and loses nothing."""

    plan: Plan
    random: Random
    clogged_until: dict[Address, float] = field(default_factory=dict[Address, float])
    """Until when nothing passes the door of a machine."""
    deaf: dict[NodeId, Callable[[Transit], bool]] = field(
        default_factory=dict[NodeId, Callable[[Transit], bool]]
    )
    """What liars do not want to hear, in calm as well."""
    late_authors: set[NodeId] = field(default_factory=set[NodeId])

    def rule(self, hub: MemoryHub) -> None:
        """Take over a wire."""
        hub.drop = self.drop
        hub.delay_seconds = self.delay_seconds
        hub.copies = self.copies

    @property
    def is_calm(self) -> bool:
        """Return whether the time of faults is over."""
        return trio.current_time() * 1000 >= self.plan.calm_at

    def drop(self, transit: Transit) -> bool:
        """Tell whether a message is lost."""
        deaf = self.deaf.get(transit.receiver)
        if deaf is not None and deaf(transit):
            return True
        return not self.is_calm and self._happens(self.plan.loss_percent)

    def copies(self, _transit: Transit) -> int:
        """Return how often a message arrives."""
        return 1 + (not self.is_calm and self._happens(self.plan.duplication_percent))

    def delay_seconds(self, transit: Transit) -> float:
        """Return how long a message travels; one that is held up waits first."""
        late = transit.channel is StreamProtocol.BODIES and transit.sender in self.late_authors
        if self.is_calm:
            return CALM_LATENCY_SECONDS + late * self._lateness()
        now = trio.current_time()
        doors = (self.clogged_until.get(end, now) for end in (transit.sender, transit.receiver))
        return (
            max(0.0, *(until - now for until in doors)) + self._latency() + late * self._lateness()
        )

    def _latency(self) -> float:
        least, most = self.plan.latency
        return self.random.randint(least * 1000, most * 1000) / 1_000_000

    def _lateness(self) -> float:
        return self.random.randint(100_000, 2_500_000) / 1_000_000

    def _happens(self, percent: int) -> bool:
        return percent > 0 and self.random.randrange(100) < percent
