"""The network between members: what is lost, doubled, late, cut or clogged until it calms down."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from potp2p.simulation.core.faults import Faults

Link = tuple[int, int]
CALM_MILLISECONDS = 100
"""Longest delay of a letter once all is calm."""
PARTITION_MILLISECONDS = (500, 8_000)
CLOG_MILLISECONDS_MAX = 5_000


@dataclass(slots=True)
class Weather:
    """Draws the fate of each letter; members are known by name."""

    faults: Faults
    members: int
    random: Random
    groups: list[int] | None = None
    one_way: bool = False
    """A cut only stops what goes from the first group to the second."""
    clogged: dict[Link, int] = field(default_factory=dict[Link, int])
    """Until when a link stands still."""

    def delays(self, sender: int, receiver: int, now: int) -> tuple[int, ...]:
        """Return after how long each copy of a letter arrives; none if it is lost."""
        faults, random = self.faults, self.random.random
        low, high = faults.latency
        if now >= faults.calm_at:
            return (low + int(random() * (CALM_MILLISECONDS - low + 1)),)
        groups = self.groups
        if groups is not None and groups[sender] != groups[receiver]:
            is_cut = not self.one_way or groups[sender] < groups[receiver]
            if is_cut:
                return ()
        if faults.loss and random() < faults.loss:
            return ()
        delay = low + int(random() * (high - low + 1))
        until = self.clogged.get((sender, receiver), 0)
        if until > now:
            delay += until - now
        if faults.duplication and random() < faults.duplication:
            return delay, low + int(random() * (high - low + 1))
        return (delay,)

    def calm_delays(self, letters: int) -> list[int]:
        """Return after how long each of some letters arrives that leave once all is calm."""
        low, random = self.faults.latency[0], self.random.random
        spread = CALM_MILLISECONDS - low + 1
        return [low + int(random() * spread) for _ in range(letters)]

    def start(self, plan: Callable[[int, Callable[[int], None]], None]) -> None:
        """Plan the changes of the weather; `plan` runs something after a delay and tells when."""

        def change(shift: Callable[[int], int], now: int) -> None:
            if now < self.faults.calm_at:
                plan(shift(now), lambda later: change(shift, later))

        if self.faults.partitions:
            plan(self.random.randint(0, 2_000), lambda now: change(self._shift_partition, now))
        if self.faults.clogs:
            plan(self.random.randint(0, 2_000), lambda now: change(self._shift_clogs, now))

    def _shift_partition(self, _now: int) -> int:
        """Cut a whole network, or heal a cut one; returns for how long."""
        if self.groups is not None:
            self.groups = None
        elif self.random.random() < 0.4:
            alone = self.random.randrange(self.members)
            self.groups = [int(name == alone) for name in range(self.members)]
        else:
            self.groups = [self.random.randint(0, 1) for _ in range(self.members)]
        self.one_way = self.random.random() < 0.25
        return self.random.randint(*PARTITION_MILLISECONDS)

    def _shift_clogs(self, now: int) -> int:
        """Clog some links, each for a while; returns until the next change."""
        self.clogged = {
            (sender, receiver): now + self.random.randint(0, CLOG_MILLISECONDS_MAX)
            for sender in range(self.members)
            for receiver in range(self.members)
            if self.random.random() < 0.2
        }
        return self.random.randint(500, CLOG_MILLISECONDS_MAX)
