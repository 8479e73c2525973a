"""The model of missed turns agrees with the ledger, and holds what DESIGN section 4 promises."""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from potp2p.simulation.core.turns import AUTHORS, CYCLE_BLOCKS, Turns
from tests.doubles.ledger_world import build_world

SIZES = st.sampled_from([4, 5, 7, 10])


@pytest.mark.parametrize("size", [1, 4, 5, 7])
def test_model_orders_primaries_as_the_ledger_does(size: int) -> None:
    world = build_world(validators=size, miners=0)
    world.run(1)
    random, turns = Random(size), Turns.first(size)
    for _ in range(60):
        assert world.parent is not None
        height, frame = world.parent.body.height, world.parent.frame
        turns = turns.after(height, frame.view, frame.primary, ())
        order = turns.order(height + 1)
        assert world.ledger.prospects(world.parent).primaries == order
        world.block(view=random.choice((0, 0, 0, 1, 1, 2, len(order) - 1)) % len(order))


@settings(max_examples=50, deadline=None)
@given(SIZES, st.lists(st.integers(0, 12), max_size=80))
def test_never_more_than_a_third_is_skipped_whatever_fails(size: int, views: list[int]) -> None:
    turns = Turns.first(size)
    for height, view in enumerate(views, start=1):
        order = turns.order(height)
        turns = turns.after(height, view, order[view % len(order)], ())
        order = turns.order(height + 1)
        assert len(order) >= size - (size - 1) // 3
        assert len(set(order)) == len(order)


@settings(max_examples=50, deadline=None)
@given(SIZES, st.lists(st.integers(0, 12), max_size=80))
def test_skipped_primary_comes_back_within_64_heights(size: int, views: list[int]) -> None:
    turns, absent = Turns.first(size), [0] * size
    for height, view in enumerate(views, start=1):
        order = turns.order(height)
        for seat in range(size):
            absent[seat] = 0 if seat in order else absent[seat] + 1
        assert max(absent) <= 64
        turns = turns.after(height, view, order[view % len(order)], ())


def test_dead_primary_costs_fewer_and_fewer_views() -> None:
    turns, missed = Turns.first(4), []
    for height in range(1, 400):
        order = turns.order(height)
        view = int(order[0] == 2)
        if view:
            missed.append(height)
        turns = turns.after(height, view, order[view], ())

    gaps = [later - earlier for earlier, later in pairwise(missed)]
    assert gaps == sorted(gaps)
    assert gaps[-1] >= 64


def test_oldest_absence_comes_back_first() -> None:
    turns = Turns((1, 3, 0, 0, 0, 0, 2), (9, 14, 0, 0, 0, 0, 11))

    assert set(range(7)) - set(turns.order(8)) == {1, 6}


def test_author_is_barred_by_f_plus_1_primaries_and_not_by_f() -> None:
    turns = Turns.first(4)
    author = turns.ranking(1, b"beacon")[0]
    once = turns.after(1, 0, 1, (author,)).after(2, 0, 1, (author,))
    twice = once.after(3, 0, 2, (author,))

    assert author in once.ranking(1, b"beacon")
    assert author not in twice.ranking(1, b"beacon")


def test_barred_author_is_free_again_in_the_next_cycle() -> None:
    turns = Turns.first(4)
    for author in range(AUTHORS):
        turns = turns.after(1, 0, 1, (author,)).after(2, 0, 2, (author,))
    assert turns.ranking(3, b"beacon") == ()

    assert len(turns.after(CYCLE_BLOCKS, 0, 0, ()).ranking(CYCLE_BLOCKS + 1, b"beacon")) == 3
