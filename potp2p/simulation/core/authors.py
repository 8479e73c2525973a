"""Miners that won a rank: prompt, late, absent, whispering to few, signing twice, or broken."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from potp2p.foundation.types import Height, Rank
from potp2p.protocol.consensus.events import BetterBodyHeard
from potp2p.simulation.core.faults import Faults
from potp2p.simulation.core.letters import Body
from potp2p.simulation.core.members import Member
from potp2p.simulation.core.stubs import TIMING

MANNERS = ("prompt", "prompt", "prompt", "late", "absent", "whisperer", "doubler", "breaker")


@dataclass(slots=True)
class Authors:
    """
    Sends the bodies of each height to the validators, once for each parent.

    A ranked author begins when the first validator has decided its parent.
    """

    random: Random
    faults: Faults
    manners: tuple[str, ...] = MANNERS
    """Drawn from for each body."""
    credulous: bool = False
    """Validators let a body bind their vote before they have executed it."""
    binding: bool = True
    """False: every body comes too late to bind anyone, and in time for the primary."""
    _done: set[bytes] = field(default_factory=set[bytes])

    def bodies(
        self, member: Member, ranking: tuple[int, ...], members: int
    ) -> Iterator[tuple[int, int, Body]]:
        """Return what comes to whom and when, from all ranked authors of a height."""
        if member.head in self._done:
            return
        self._done.add(member.head)
        for rank, author in enumerate(ranking):
            manner = self.random.choice(self.manners)
            lacks = self.faults.forgetful and self.random.random() < 0.5
            body = Body(
                member.height, member.head, rank, author, 0, valid=manner != "breaker", lacks=lacks
            )
            twin = Body(member.height, member.head, rank, author, 1, valid=True)
            for name, delay in self._hearers(manner, members):
                is_second = manner == "doubler" and name % 2 == 1
                yield delay + self.random.randint(1, 100), name, twin if is_second else body

    def _hearers(self, manner: str, members: int) -> list[tuple[int, int]]:
        """Return who hears an author and when it speaks."""
        interval = TIMING.block_interval
        if manner == "absent":
            return []
        if manner == "whisperer":
            return [(self.random.randrange(members), interval // 2 - self.random.randint(0, 150))]
        delay = self.random.randint(0, interval // 4)
        if manner == "late":
            delay = self.random.randint(interval // 2, 8 * interval)
        return [(name, delay) for name in range(members)]

    def binds(self, body: Body, *, holds: bool) -> bool:
        """Tell whether a body in time makes a validator refuse worse ones."""
        return self.binding and (body.valid or self.credulous) and not (holds and body.lacks)

    def heard(self, body: Body) -> BetterBodyHeard:
        """Return what the replica is told."""
        return BetterBodyHeard(Height(body.height), Rank(body.rank))
