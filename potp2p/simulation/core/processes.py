"""Faults of processes: crashes with loss of memory, pauses, and clocks that run wrong."""

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Protocol

from potp2p.protocol.consensus.events import Event, Resumed
from potp2p.simulation.core.faults import Faults
from potp2p.simulation.core.members import Member

CRASH_MARK = 0xFE
"""In a trace."""


class Processes(Protocol):
    """What the faults need of a cluster."""

    now: int
    random: Random
    faults: Faults
    members: list[Member]

    def plan(self, delay: int, happening: Callable[[], None]) -> None:
        """Let something happen later."""

    def step(self, member: Member, event: Event) -> None:
        """Let a replica take a step."""

    def note(self, first: int, second: int, kind: int) -> None:
        """Add to the trace."""


def start_faults(cluster: Processes) -> None:
    """Set clocks wrong and plan the first crash and pause."""
    if cluster.faults.skew:
        for member in cluster.members:
            member.tempo = cluster.random.choice((0.8, 1.0, 1.0, 1.2))
    if cluster.faults.crashes:
        cluster.plan(cluster.random.randint(0, 4_000), partial(_crash, cluster))
    if cluster.faults.pauses:
        cluster.plan(cluster.random.randint(0, 4_000), partial(_pause, cluster))


def _crash(cluster: Processes) -> None:
    """Take a process down, at times all of them within a moment."""
    random = cluster.random
    if cluster.now >= cluster.faults.calm_at:
        return
    crowd = cluster.members if random.random() < 0.05 else [random.choice(cluster.members)]
    for member in crowd:
        if member.is_up:
            member.crash(random)
            cluster.note(member.name, member.life & 0xFF, CRASH_MARK)
            cluster.plan(random.randint(100, 5_000), partial(restart, cluster, member))
    cluster.plan(random.randint(500, 5_000), partial(_crash, cluster))


def restart(cluster: Processes, member: Member) -> None:
    """Bring a process back: the same machine on the same log, silent until it resumes."""
    member.recover()
    cluster.step(member, Resumed())


def _pause(cluster: Processes) -> None:
    """Let a process stand still; everything that comes waits for it."""
    if cluster.now >= cluster.faults.calm_at:
        return
    member = cluster.random.choice(cluster.members)
    member.paused_until = cluster.now + cluster.random.randint(100, 6_000)
    cluster.plan(cluster.random.randint(500, 5_000), partial(_pause, cluster))
