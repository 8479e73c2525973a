"""Timers, view changes, new primaries and re-proposals."""

from collections.abc import Sequence

import pytest

from potp2p.foundation.types import View
from potp2p.protocol.consensus.effects import (
    Broadcast,
    CancelTimer,
    CheckBlock,
    Effect,
    RequestBlock,
    SetTimer,
)
from potp2p.protocol.consensus.events import BlockOffered, Timer, TimerFired
from potp2p.protocol.consensus.view_change import Timing
from potp2p.simulation.core.messages import (
    certificate,
    checked,
    commit,
    prepare,
    propose,
    view_change,
)
from potp2p.simulation.core.stubs import FIRST_HEIGHT, TIMING, start
from tests.doubles.committee import APPLE, PEAR, Bench, cast_of, decided_in


def view_timers(effects: Sequence[Effect]) -> list[SetTimer]:
    """Return the view timers that were started."""
    return [
        effect for effect in effects if isinstance(effect, SetTimer) and effect.timer is Timer.VIEW
    ]


# Leaving and joining


def test_timed_out_view_is_left_for_the_next() -> None:
    bench = Bench(start(4, 3))

    effects = bench.time_out()

    assert bench.at.view == 1
    assert CancelTimer(Timer.VIEW) in effects
    assert Broadcast(view_change(3, 1)) in effects


def test_timer_of_a_view_already_left_does_nothing() -> None:
    bench = Bench(start(4, 3))
    bench.time_out()

    assert bench.step(TimerFired(Timer.VIEW, FIRST_HEIGHT, View(0))) == []
    assert bench.at.view == 1


def test_timer_of_another_height_does_nothing() -> None:
    bench = Bench(start(4, 3, height=2))

    assert bench.step(TimerFired(Timer.VIEW, FIRST_HEIGHT, View(0))) == []


def test_one_liar_moves_nobody() -> None:
    bench = Bench(start(4, 3))

    assert bench.hear(view_change(2, 4_000_000_000)) == []
    assert bench.at.view == 0


def test_weak_quorum_of_higher_views_is_joined_at_the_smallest() -> None:
    bench = Bench(start(7, 6))

    effects = bench.hear(view_change(0, 9), view_change(1, 4), view_change(2, 6))

    assert bench.at.view == 4
    assert cast_of(effects) == [view_change(6, 4).statement]


def test_only_the_highest_view_change_of_a_signer_is_kept() -> None:
    bench = Bench(start(4, 3))

    bench.hear(view_change(2, 7), view_change(2, 3))

    assert list(bench.at.view_changes.by_signer.values()) == [view_change(2, 7)]


def test_old_view_changes_never_lower_the_view() -> None:
    bench = Bench(start(4, 3))
    bench.hear(view_change(1, 5), view_change(2, 5))
    assert bench.at.view == 5

    bench.hear(view_change(0, 2), view_change(1, 2), view_change(2, 2))

    assert bench.at.view == 5


def test_who_has_committed_still_changes_view_and_shows_the_certificate() -> None:
    bench = Bench(start(4, 3))
    bench.hear(propose(0, APPLE))
    bench.step(checked(APPLE))
    bench.hear(prepare(0, APPLE), prepare(1, APPLE))

    effects = bench.time_out()

    assert Broadcast(view_change(3, 1, certificate=certificate(APPLE, (0, 1, 3)))) in effects


def test_left_view_is_never_acted_in_again() -> None:
    bench = Bench(start(4, 3))
    bench.hear(propose(0, APPLE))
    bench.time_out()

    effects = bench.step(checked(APPLE))
    effects += bench.hear(propose(0, APPLE), *(prepare(signer, APPLE) for signer in (0, 1, 2)))

    assert cast_of(effects) == []


# Timers


def test_timer_of_a_later_view_waits_for_a_quorum_in_it_or_beyond() -> None:
    bench = Bench(start(4, 3))

    left = bench.time_out()
    second = bench.hear(view_change(0, 1))
    third = bench.hear(view_change(1, 8))

    assert view_timers(left + second) == []
    assert view_timers(third) == [SetTimer(Timer.VIEW, FIRST_HEIGHT, View(1), 2_000)]


def test_view_changes_shown_by_a_proposal_start_the_timer() -> None:
    bench = Bench(start(4, 3))
    shown = tuple(view_change(signer, 1) for signer in (0, 1, 2))

    effects = bench.hear(propose(1, APPLE, view=1, view_changes=shown))

    assert view_timers(effects) == [SetTimer(Timer.VIEW, FIRST_HEIGHT, View(1), 2_000)]


def test_delays_grow_by_half_with_each_started_view_up_to_the_cap() -> None:
    bench = Bench(start(4, 3))
    delays: list[int] = []

    for view in range(1, 14):
        bench.time_out()
        heard = bench.hear(*(view_change(signer, view) for signer in (0, 1, 2)))
        delays += [timer.delay_milliseconds for timer in view_timers(heard)]

    assert delays[:7] == [2_000, 3_000, 4_500, 6_750, 10_125, 15_187, 22_781]
    assert delays[7:] == [30_000] * 6


@pytest.mark.parametrize("started", [9, 33, 1_000, 10**9])
def test_exponent_is_capped_before_the_power(started: int) -> None:
    uncapped = Timing(block_interval=0, view_timeout=1, view_step=2_000, view_cap=10**12)

    assert uncapped.delay_of(started) == uncapped.delay_of(8) == 51_257


def test_views_skipped_without_a_quorum_do_not_lengthen_the_timer() -> None:
    bench = Bench(start(7, 6))
    bench.hear(view_change(0, 40), view_change(1, 40), view_change(2, 40))

    effects = bench.hear(view_change(3, 40))

    assert view_timers(effects) == [SetTimer(Timer.VIEW, FIRST_HEIGHT, View(40), 2_000)]


# New primaries


def test_new_primary_asks_for_a_block_once_a_quorum_came_to_its_view() -> None:
    bench = Bench(start(4, 1))
    bench.time_out()

    second = bench.hear(view_change(0, 1))
    third = bench.hear(view_change(2, 1))

    assert not any(isinstance(effect, RequestBlock) for effect in second)
    assert RequestBlock(FIRST_HEIGHT, View(1), 0) in third


def test_view_changes_to_higher_views_give_no_right_to_propose() -> None:
    bench = Bench(start(7, 1))
    bench.time_out()

    effects = bench.hear(view_change(0, 1), view_change(2, 2), view_change(3, 2))
    effects += bench.hear(view_change(4, 1), view_change(5, 1))

    assert bench.at.view == 1
    assert not any(isinstance(effect, RequestBlock) for effect in effects)


def test_new_primary_proposes_its_choice_with_a_quorum_of_view_changes() -> None:
    bench = Bench(start(4, 1))
    bench.time_out()
    bench.hear(view_change(0, 1), view_change(2, 1))

    effects = bench.step(BlockOffered(FIRST_HEIGHT, View(1), APPLE))

    shown = tuple(view_change(signer, 1) for signer in (0, 1, 2))
    assert Broadcast(propose(1, APPLE, view=1, view_changes=shown)) in effects


def test_new_primary_proposes_the_highest_certified_block_again() -> None:
    bench = Bench(start(7, 3))
    bench.hear(*(view_change(signer, 2) for signer in (0, 1, 2)))
    low = certificate(PEAR, (0, 1, 2, 4, 5), view=0)
    high = certificate(APPLE, (0, 1, 2, 4, 5), view=1)

    bench.time_out()
    effects = bench.hear(
        view_change(0, 3, certificate=low),
        view_change(1, 3),
        view_change(2, 3, certificate=high),
        view_change(4, 3),
    )
    effects += bench.time_out()

    if bench.at.view < 3:
        pytest.fail("a weak quorum is in view 3")
    assert [each.block_hash for each in cast_of(effects) if hasattr(each, "block_hash")] == [APPLE]
    assert not any(isinstance(effect, RequestBlock) for effect in effects)


def test_certificate_that_turns_up_late_replaces_the_own_choice() -> None:
    bench = Bench(start(4, 1))
    bench.time_out()
    bench.hear(view_change(2, 1), view_change(3, 1))
    proof = certificate(APPLE, (0, 2, 3))

    effects = bench.hear(view_change(0, 1, certificate=proof))

    shown = (view_change(0, 1, certificate=proof), view_change(1, 1), view_change(2, 1))
    again = propose(1, APPLE, view=1, view_changes=shown, certificate=proof)
    assert Broadcast(again) in effects
    assert bench.step(BlockOffered(FIRST_HEIGHT, View(1), PEAR)) == []


def test_choice_for_a_view_already_left_is_not_proposed() -> None:
    bench = Bench(start(4, 0))
    bench.time_out()

    assert bench.step(BlockOffered(FIRST_HEIGHT, View(0), APPLE)) == []


# Following a new primary


def test_justified_proposal_of_a_higher_view_pulls_us_there() -> None:
    bench = Bench(start(4, 3))
    shown = tuple(view_change(signer, 2) for signer in (0, 1, 2))

    effects = bench.hear(propose(2, APPLE, view=2, view_changes=shown))
    effects += bench.step(checked(APPLE, primary=2, first_view=2))

    assert bench.at.view == 2
    assert cast_of(effects) == [
        view_change(3, 2).statement,
        prepare(3, APPLE, view=2).statement,
    ]


def test_proposal_of_a_lower_view_is_ignored() -> None:
    bench = Bench(start(4, 3))
    bench.hear(view_change(0, 2), view_change(1, 2))
    shown = tuple(view_change(signer, 1) for signer in (0, 1, 2))

    assert bench.hear(propose(1, APPLE, view=1, view_changes=shown)) == []


def test_proposed_again_keeps_its_first_primary_and_is_committed() -> None:
    proof = certificate(APPLE, (0, 1, 2))
    shown = (view_change(0, 1), view_change(1, 1), view_change(2, 1, certificate=proof))
    bench = Bench(start(4, 3))

    effects = bench.hear(propose(1, APPLE, view=1, view_changes=shown, certificate=proof))
    effects += bench.step(checked(APPLE, primary=0, first_view=0, first_proposal=False))
    effects += bench.hear(prepare(0, APPLE, view=1), prepare(1, APPLE, view=1))
    effects += bench.hear(commit(0, APPLE, view=1), commit(1, APPLE, view=1))

    assert CheckBlock(FIRST_HEIGHT, View(1), APPLE, first_proposal=False) in effects
    assert cast_of(effects)[1:] == [
        prepare(3, APPLE, view=1).statement,
        commit(3, APPLE, view=1).statement,
    ]
    assert len(decided_in(effects)) == 1


def test_unproved_view_change_of_a_proposal_is_not_shown_by_us() -> None:
    high = certificate(APPLE, (0, 1, 2, 4, 5), view=1)
    low = certificate(PEAR, (0, 1, 2, 4, 5), view=0)
    bench = Bench(start(7, 6))
    shown = (
        view_change(0, 2, certificate=low),
        view_change(1, 2, certificate=high),
        *(view_change(signer, 2) for signer in (2, 3, 4)),
    )

    bench.hear(propose(2, APPLE, view=2, view_changes=shown, certificate=high))

    proven = {message.statement.signer for message in bench.at.view_changes.exactly(View(2))}
    assert 0 not in proven
    assert {1, 2, 3, 4, 6} <= proven


def test_same_block_is_voted_for_once_per_view() -> None:
    bench = Bench(start(4, 3))
    first = bench.hear(propose(0, APPLE)) + bench.step(checked(APPLE))
    again = bench.hear(propose(0, APPLE)) + bench.step(checked(APPLE))

    assert cast_of(first) == [prepare(3, APPLE).statement]
    assert again == []


def test_timing_of_the_tests_is_that_of_the_design() -> None:
    assert (TIMING.view_timeout, TIMING.view_step, TIMING.view_cap) == (3_000, 2_000, 30_000)
