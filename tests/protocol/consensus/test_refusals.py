"""Who may build a block: local refusals, frames, and their limits (DESIGN section 4)."""

import pytest

from potp2p.foundation.types import Height, Rank
from potp2p.protocol.consensus.events import BetterBodyHeard
from potp2p.protocol.wire.blocks import RANK_NONE
from potp2p.simulation.core.messages import (
    certificate,
    checked,
    commit,
    prepare,
    propose,
    view_change,
)
from potp2p.simulation.core.stubs import FIRST_HEIGHT, start
from tests.doubles.committee import APPLE, Bench, cast_of


def offered_in(view: int, *, rank: int, heard: int | None, size: int = 7) -> Bench:
    """Return a replica that judges a free choice of some rank in some view."""
    bench = Bench(start(size, 6))
    if heard is not None:
        bench.step(BetterBodyHeard(FIRST_HEIGHT, Rank(heard)))
    shown = tuple(view_change(signer, view) for signer in range(5)) if view else ()
    bench.hear(propose(view % size, APPLE, view=view, view_changes=shown))
    bench.step(checked(APPLE, rank=rank, primary=view % size, first_view=view))
    return bench


def has_prepared(bench: Bench) -> bool:
    """Tell whether the proposal got our vote."""
    return any(
        message.statement == prepare(6, APPLE, view=bench.at.view).statement
        for message in bench.at.own.values()
    )


@pytest.mark.parametrize("view", [0, 1, 2])
@pytest.mark.parametrize(("rank", "heard"), [(1, 0), (2, 1), (RANK_NONE, 2)])
def test_worse_body_than_one_heard_in_time_is_refused_early(
    view: int, rank: int, heard: int
) -> None:
    assert not has_prepared(offered_in(view, rank=rank, heard=heard))


@pytest.mark.parametrize("view", [3, 4, 11])
def test_refusal_ends_after_view_2(view: int) -> None:
    assert has_prepared(offered_in(view, rank=RANK_NONE, heard=0))


@pytest.mark.parametrize(("rank", "heard"), [(0, 0), (0, 1), (1, 1), (2, RANK_NONE)])
def test_body_as_good_as_any_heard_is_prepared(rank: int, heard: int) -> None:
    assert has_prepared(offered_in(0, rank=rank, heard=heard))


@pytest.mark.parametrize("rank", [0, 1, 2, RANK_NONE])
@pytest.mark.parametrize("view", [0, 1, 5])
def test_any_rank_may_come_in_any_view(rank: int, view: int) -> None:
    assert has_prepared(offered_in(view, rank=rank, heard=None))


def test_body_heard_for_another_height_refuses_nothing() -> None:
    bench = Bench(start(4, 3))
    bench.step(BetterBodyHeard(Height(FIRST_HEIGHT + 1), Rank(0)))
    bench.hear(propose(0, APPLE))

    assert cast_of(bench.step(checked(APPLE, rank=1))) == [prepare(3, APPLE).statement]


def test_best_of_several_bodies_is_the_measure() -> None:
    bench = Bench(start(4, 3))
    for rank in (2, 0, 1):
        bench.step(BetterBodyHeard(FIRST_HEIGHT, Rank(rank)))
    bench.hear(propose(0, APPLE))

    assert cast_of(bench.step(checked(APPLE, rank=1))) == []


def test_refused_block_that_a_quorum_prepared_is_committed() -> None:
    bench = offered_in(0, rank=RANK_NONE, heard=0)

    effects = bench.hear(*(prepare(signer, APPLE) for signer in range(5)))

    assert cast_of(effects) == [commit(6, APPLE).statement]


def test_block_with_a_certificate_is_never_refused() -> None:
    proof = certificate(APPLE, (0, 1, 2, 3, 4))
    shown = tuple(
        view_change(signer, 1, certificate=proof if signer == 0 else None) for signer in range(5)
    )
    bench = Bench(start(7, 6))
    bench.step(BetterBodyHeard(FIRST_HEIGHT, Rank(0)))

    bench.hear(propose(1, APPLE, view=1, view_changes=shown, certificate=proof))
    effects = bench.step(checked(APPLE, first_proposal=False))

    assert cast_of(effects) == [prepare(6, APPLE, view=1).statement]


def test_certified_block_is_executed_again_after_a_refusal_by_rules_of_the_first_view() -> None:
    proof = certificate(APPLE, (0, 1, 2, 3, 4))
    shown = tuple(
        view_change(signer, 1, certificate=proof if signer == 0 else None) for signer in range(5)
    )
    bench = Bench(start(7, 6))
    bench.hear(propose(0, APPLE))
    bench.step(checked(APPLE, valid=False))

    bench.hear(propose(1, APPLE, view=1, view_changes=shown, certificate=proof))
    effects = bench.step(checked(APPLE, first_proposal=False))

    assert cast_of(effects) == [prepare(6, APPLE, view=1).statement]


def withholding_in(view: int) -> Bench:
    """Return a replica that judges a choice without a better body, but without what is due."""
    bench = Bench(start(7, 6))
    shown = tuple(view_change(signer, view) for signer in range(5)) if view else ()
    bench.hear(propose(view % 7, APPLE, view=view, view_changes=shown))
    bench.step(checked(APPLE, rank=0, primary=view % 7, first_view=view, withholds=True))
    return bench


@pytest.mark.parametrize("view", [0, 1, 2])
def test_block_that_withholds_what_is_due_is_refused_early_whatever_its_rank(view: int) -> None:
    assert not has_prepared(withholding_in(view))


@pytest.mark.parametrize("view", [3, 4, 11])
def test_block_that_withholds_is_prepared_after_view_2(view: int) -> None:
    assert has_prepared(withholding_in(view))


def test_withholding_block_that_a_quorum_prepared_is_committed() -> None:
    bench = withholding_in(0)

    effects = bench.hear(*(prepare(signer, APPLE) for signer in range(5)))

    assert cast_of(effects) == [commit(6, APPLE).statement]


def test_withholding_block_with_a_certificate_is_prepared() -> None:
    proof = certificate(APPLE, (0, 1, 2, 3, 4))
    shown = tuple(
        view_change(signer, 1, certificate=proof if signer == 0 else None) for signer in range(5)
    )
    bench = Bench(start(7, 6))
    bench.hear(propose(0, APPLE))
    bench.step(checked(APPLE, withholds=True))

    bench.hear(propose(1, APPLE, view=1, view_changes=shown, certificate=proof))

    assert has_prepared(bench)


@pytest.mark.parametrize(("primary", "first_view"), [(1, 0), (0, 1), (1, 1)])
def test_free_choice_in_the_frame_of_another_turn_is_refused(primary: int, first_view: int) -> None:
    bench = Bench(start(4, 3))
    bench.hear(propose(0, APPLE))

    assert cast_of(bench.step(checked(APPLE, primary=primary, first_view=first_view))) == []


@pytest.mark.parametrize(("primary", "first_view"), [(1, 1), (1, 0), (2, 1), (0, 2)])
def test_block_proposed_again_must_keep_the_frame_of_its_first_primary(
    primary: int, first_view: int
) -> None:
    proof = certificate(APPLE, (0, 1, 2), view=0)
    shown = (view_change(0, 1), view_change(1, 1), view_change(2, 1, certificate=proof))
    bench = Bench(start(4, 3))
    bench.hear(propose(1, APPLE, view=1, view_changes=shown, certificate=proof))

    answer = checked(APPLE, primary=primary, first_view=first_view, first_proposal=False)

    assert cast_of(bench.step(answer)) == []
