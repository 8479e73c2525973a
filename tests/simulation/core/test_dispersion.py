"""Replicas far apart meet again (consensus.md 4.1), with primaries skipped by the chain as well."""

import pytest

from potp2p.foundation.types import View
from potp2p.protocol.consensus.events import Timer, TimerFired
from potp2p.simulation.core.cluster import Cluster
from potp2p.simulation.core.faults import Faults
from potp2p.simulation.core.stubs import GENESIS_HEAD
from potp2p.simulation.core.turns import Turns

DISPERSED = {4: (0, 6, 10), 7: (0, 1, 6, 9, 10)}
HEALING_MILLISECONDS = 70_000
FOR_LONG = 64


def dispersed_cluster(size: int, seed: int, skipped: tuple[int, ...]) -> Cluster:
    """Return a committee whose live replicas are views apart, the rest silent."""
    views = DISPERSED[size]
    silent = frozenset(range(len(views), size))
    cluster = Cluster(size, seed, Faults(calm_at=900_000, loss=0.05, silent=silent))
    back_at = tuple(FOR_LONG if seat in skipped else 0 for seat in range(size))
    cluster.record.turns[GENESIS_HEAD] = Turns(tuple(map(bool, back_at)), back_at)
    cluster.run(0, until=0)
    for member, view in zip(cluster.members, views, strict=False):
        at = member.replica.at
        assert at is not None
        while at.view < view:
            at.timer_view = at.view
            cluster.step(member, TimerFired(Timer.VIEW, at.facts.height, View(at.view)))
    return cluster


def assert_meets(size: int, seed: int, skipped: tuple[int, ...]) -> None:
    cluster = dispersed_cluster(size, seed, skipped)

    assert cluster.resume(6, until=900_000), f"seed {seed}: {[m.height for m in cluster.members]}"
    assert cluster.oracle.violations == [], f"seed {seed}"


@pytest.mark.parametrize(
    ("size", "skipped"),
    [(4, ()), (4, (3,)), (4, (0,)), (7, ()), (7, (5, 6)), (7, (0, 1)), (7, (2, 5))],
)
def test_dispersed_views_meet_again_without_the_silent(size: int, skipped: tuple[int, ...]) -> None:
    for seed in range(4):
        assert_meets(size, seed, skipped)


@pytest.mark.long
@pytest.mark.parametrize("size", DISPERSED)
def test_dispersed_views_meet_again_whoever_is_skipped(size: int) -> None:
    for seat in range(size):
        for seed in range(100):
            assert_meets(size, seed, (seat, (seat + 1) % size)[: (size - 1) // 3])


def assert_heals(size: int, seed: int) -> int:
    """Partition a committee for 200 s; return after how long it had gone on."""
    cluster = Cluster(size, seed, Faults(calm_at=200_000, partitions=True, loss=0.05))
    cluster.run(10_000, until=200_000)
    target = max(len(member.chain) for member in cluster.members) + 2

    assert cluster.resume(target, until=200_000 + HEALING_MILLISECONDS), f"seed {seed}"
    assert cluster.oracle.violations == [], f"seed {seed}"
    return cluster.now - 200_000


@pytest.mark.parametrize("size", [4, 7])
def test_partitions_of_200_seconds_end_within_70_of_healing(size: int) -> None:
    for seed in range(2):
        assert_heals(size, seed)


@pytest.mark.long
@pytest.mark.parametrize("size", [4, 7])
def test_partitions_of_200_seconds_end_within_70_of_healing_for_many_seeds(size: int) -> None:
    for seed in range(100):
        assert_heals(size, seed)
