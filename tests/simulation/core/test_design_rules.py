"""Attacks on what DESIGN section 4 argues: authors, refusals, frames and skipped primaries."""

from dataclasses import dataclass

import pytest

from potp2p.protocol.wire.blocks import RANK_NONE
from potp2p.simulation.core.cluster import Cluster
from potp2p.simulation.core.faults import Faults
from potp2p.simulation.core.liars import LIARS

HEIGHTS = 24
SIZES = (4, 7)
LIMIT = 3_000_000
NORMAL_SECONDS = 0.9
"""A block of a healthy committee: half a second of interval and a few network delays."""
VIEW_SECONDS = 3.0
"""Timer of view 0."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a chain of some heights came to under attack."""

    seconds_per_block: float
    views: tuple[int, ...]
    blamed: tuple[int, ...]
    """Seats whose turns the chain counts as missed, once for each."""
    ranks: tuple[int, ...]
    barred: int
    """Author and height pairs without a right to be ranked."""


def outcome_of(cluster: Cluster, *, heights: int = HEIGHTS) -> Outcome:
    """Run a committee under attack; whatever else happens, it agrees and goes on."""
    assert cluster.run(heights, until=LIMIT), f"seed {cluster.seed}: {cluster.oracle.violations}"
    assert cluster.oracle.violations == [], f"seed {cluster.seed}"
    blamed: list[int] = []
    ranks: list[int] = []
    barred = 0
    for seal in cluster.honest[0].chain:
        facts = cluster.record.blocks[seal.block_hash]
        turns = cluster.record.turns[facts.parent]
        blamed += turns.order(facts.height)[: facts.view]
        ranks.append(facts.rank)
        barred += sum(len(each) > (cluster.size - 1) // 3 for each in turns.passed_over)
    seconds = cluster.now / heights / 1000
    views = tuple(cluster.oracle.views)
    return Outcome(seconds, views, tuple(blamed), tuple(ranks), barred)


def attacked_by_authors(size: int, seed: int, manner: str, faults: Faults | None = None) -> Cluster:
    """Return a committee whose ranked authors all behave in one way."""
    cluster = Cluster(size, seed, faults or Faults(authors=True))
    assert cluster.authors is not None
    cluster.authors.manners = (manner,)
    return cluster


def some_of(size: int) -> frozenset[int]:
    """Return f seats side by side."""
    return frozenset(range(1, 1 + (size - 1) // 3))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("manner", ["absent", "late", "doubler", "breaker", "whisperer"])
def test_no_manner_of_authors_costs_a_view_or_blames_a_primary(manner: str, size: int) -> None:
    for seed in range(3):
        outcome = outcome_of(attacked_by_authors(size, seed, manner))

        assert set(outcome.views) == {0}
        assert outcome.blamed == ()
        assert outcome.seconds_per_block < NORMAL_SECONDS


@pytest.mark.parametrize("size", SIZES)
def test_bodies_that_bind_before_they_are_executed_cost_three_views_and_blame_the_honest(
    size: int,
) -> None:
    cluster = attacked_by_authors(size, 0, "breaker")
    assert cluster.authors is not None
    cluster.authors.credulous = True

    outcome = outcome_of(cluster)

    assert max(outcome.views) == 3
    assert len(outcome.blamed) >= HEIGHTS // 2, "why a body is executed before it binds a vote"


@pytest.mark.parametrize("size", SIZES)
def test_primary_never_skips_a_winner_that_came_in_time(size: int) -> None:
    league = some_of(size)
    faults = Faults(authors=True, skippers=league)
    for seed in range(3):
        outcome = outcome_of(attacked_by_authors(size, seed, "prompt", faults))

        assert set(outcome.ranks) == {0}
        assert set(outcome.blamed) <= league
        assert outcome.barred == 0


@pytest.mark.parametrize("size", SIZES)
def test_league_of_f_primaries_bars_no_author_that_the_honest_take(size: int) -> None:
    """Late bodies bind nobody: a league may pass them over, but f are not f + 1."""
    faults = Faults(authors=True, skippers=some_of(size))
    for seed in range(3):
        cluster = attacked_by_authors(size, seed, "prompt", faults)
        assert cluster.authors is not None
        cluster.authors.binding = False
        outcome = outcome_of(cluster)

        assert RANK_NONE in outcome.ranks, "the league got away with it"
        assert outcome.barred == 0
        assert set(outcome.views) == {0}


@pytest.mark.parametrize("size", SIZES)
def test_whispered_bodies_blame_no_honest_primary_with_f_silent(size: int) -> None:
    """One validator bound by a whisper and f that withhold their votes could fail any view."""
    league = some_of(size)
    faults = Faults(authors=True, silent=league)
    for seed in range(3):
        outcome = outcome_of(attacked_by_authors(size, seed, "whisperer", faults))

        assert set(outcome.blamed) <= league


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", LIARS)
def test_liars_alone_get_no_honest_primary_blamed(name: str, size: int) -> None:
    league = some_of(size)
    for seed in range(2):
        faults = Faults(liars=league, liar=name)
        outcome = outcome_of(Cluster(size, seed, faults, tamper=LIARS[name]()))

        assert set(outcome.blamed) <= league
        assert max(outcome.views) <= len(league)


@pytest.mark.parametrize("size", SIZES)
def test_slow_primary_costs_at_most_its_share_of_view_timers(size: int) -> None:
    """It is never skipped, since its views do not fail: this bound is what is left."""
    league = some_of(size)
    faults = Faults(liars=league)
    cluster = Cluster(size, 1, faults, tamper=LIARS["brinkman"]())

    outcome = outcome_of(cluster, heights=8 * size)

    share = len(league) / size
    assert outcome.seconds_per_block < NORMAL_SECONDS + share * (VIEW_SECONDS + 1)


@pytest.mark.parametrize("size", SIZES)
def test_height_of_a_mute_league_takes_no_more_views_than_it_has_seats(size: int) -> None:
    league = some_of(size)
    outcome = outcome_of(
        Cluster(size, 2, Faults(liars=league), tamper=LIARS["mute primary"]()), heights=40
    )

    assert max(outcome.views) <= len(league)
    assert len(outcome.blamed) <= 12 * len(league), "who is absent is skipped ever longer"
