"""Committees in virtual time: seeds, faults, twins and liars against an independent oracle."""

import pytest

from potp2p.simulation.core.cluster import Cluster
from potp2p.simulation.core.faults import Faults
from potp2p.simulation.core.liars import LIARS

HEIGHTS = 8
CALM = 40_000
LIMIT = 240_000
LOSSY = Faults(calm_at=CALM, loss=0.05, duplication=0.1)
CAMPAIGNS = {
    "clean": Faults(),
    "late": Faults(calm_at=CALM, latency=(1, 1_500)),
    "5 % loss": LOSSY,
    "20 % loss": Faults(calm_at=CALM, loss=0.2, duplication=0.1),
    "partitions, crashes, loss": Faults(
        calm_at=CALM, loss=0.05, duplication=0.05, partitions=True, crashes=True
    ),
    "ranked authors": Faults(calm_at=CALM, loss=0.05, authors=True),
    "ranked authors, partitions, crashes": Faults(
        calm_at=CALM, loss=0.05, authors=True, partitions=True, crashes=True
    ),
}
SEEDS = {4: range(20), 5: range(6), 7: range(3)}


def assert_safe_and_live(cluster: Cluster, *, heights: int = HEIGHTS) -> None:
    """Run a cluster; the seed is in the message of a failure."""
    reached = cluster.run(heights, until=LIMIT)

    assert cluster.oracle.violations == [], f"seed {cluster.seed}"
    lengths = [len(member.chain) for member in cluster.members]
    assert reached, f"seed {cluster.seed} stands at {lengths}"


@pytest.mark.parametrize("size", SEEDS)
@pytest.mark.parametrize("name", CAMPAIGNS)
def test_committee_agrees_and_goes_on(name: str, size: int) -> None:
    for seed in SEEDS[size]:
        assert_safe_and_live(Cluster(size, seed, CAMPAIGNS[name]))


@pytest.mark.parametrize("size", SEEDS)
def test_silent_third_stops_nobody(size: int) -> None:
    silent = frozenset(range((size - 1) // 3))
    for seed in SEEDS[size]:
        faults = Faults(calm_at=CALM, loss=0.05, silent=silent)
        assert_safe_and_live(Cluster(size, seed, faults))


@pytest.mark.parametrize("size", SEEDS)
def test_twins_of_a_third_never_fork_the_rest(size: int) -> None:
    twins = frozenset(range((size - 1) // 3))
    for seed in SEEDS[size]:
        faults = Faults(calm_at=CALM, twins=twins, partitions=True, loss=0.02)
        cluster = Cluster(size, seed, faults)
        assert_safe_and_live(cluster)
        assert cluster.accused <= twins


@pytest.mark.parametrize("size", [4, 7])
@pytest.mark.parametrize("name", LIARS)
def test_liars_of_a_third_neither_fork_nor_stop_the_rest(name: str, size: int) -> None:
    for seed in range(4):
        liars = frozenset(range((size - 1) // 3))
        faults = Faults(calm_at=CALM, twins=liars, loss=0.02, partitions=True)
        cluster = Cluster(size, seed, faults, tamper=LIARS[name]())
        assert_safe_and_live(cluster)
        assert cluster.accused <= liars


def test_healthy_committee_never_leaves_view_0() -> None:
    cluster = Cluster(7, 1)
    assert_safe_and_live(cluster, heights=20)

    assert set(cluster.oracle.views) == {0}


def test_same_seed_runs_the_same_way_twice() -> None:
    faults = CAMPAIGNS["ranked authors, partitions, crashes"]
    first, second = Cluster(4, 11, faults), Cluster(4, 11, faults)
    for cluster in (first, second):
        cluster.run(HEIGHTS, until=LIMIT)

    assert (first.now, first.deliveries, first.oracle.decided) == (
        second.now,
        second.deliveries,
        second.oracle.decided,
    )


def test_memory_of_a_replica_is_bounded_under_a_flood() -> None:
    cluster = Cluster(4, 3, Faults(twins=frozenset({0})), tamper=LIARS["view racer"]())
    cluster.run(HEIGHTS, until=LIMIT)

    for member in cluster.honest:
        at = member.replica.at
        assert at is not None
        assert len(at.view_changes.by_signer) <= 4
        assert sum(len(votes) for votes in at.prepares.by_view.values()) <= 16
