"""What withheld reveals gain: real draws and turns, and the bound that audits are priced by."""

from dataclasses import replace

import pytest

from potp2p.simulation.withholding.figures import measure, measure_all, table_of
from potp2p.simulation.withholding.league import League
from potp2p.simulation.withholding.plan import Seats, Target, Timing, WithholdingPlan

PLAN = WithholdingPlan(validators=4, draws=400)
EVERY_THIRD = 333_333


def test_a_seed_gives_the_same_figures_again_and_another_seed_others() -> None:
    first, again, other = (League(PLAN, seed).run() for seed in (1, 1, 2))
    assert first == again != other


def test_without_withholding_the_draws_follow_the_audit_rate() -> None:
    for window in (0, 1):
        plan = replace(PLAN, draws=2_000, rate=EVERY_THIRD, window=window, withholds=False)
        report = League(plan, 0).run()
        # A league of one has no audit with two auditors to itself.
        assert report.share == pytest.approx(1 - EVERY_THIRD / 1e6, abs=0.04)
        assert report.withheld == 0


def test_a_chosen_moment_breaks_the_bound_where_one_beacon_decides() -> None:
    row = measure(replace(PLAN, window=1, timing=Timing.CHOSEN), range(2))
    assert row["is_within_bound"] is False
    assert row["detection_left"] < 0.4  # type: ignore[operator]


@pytest.mark.parametrize("timing", Timing)
@pytest.mark.parametrize("seats", Seats)
def test_the_bound_holds_where_a_turn_of_every_primary_decides(
    seats: Seats, timing: Timing
) -> None:
    row = measure(replace(PLAN, seats=seats, timing=timing), range(3))
    assert row["is_within_bound"] is True
    assert row["detection_left"] > 0.45  # type: ignore[operator]


def test_who_withholds_for_every_block_loses_its_turns_and_wins_no_more_blocks() -> None:
    row = measure(replace(PLAN, target=Target.AUTHOR, draws=1_500), range(2))
    assert row["league"] < row["honest"] + 0.05  # type: ignore[operator]
    assert row["blocks_of_fair_share"] < 0.2  # type: ignore[operator]


def test_the_document_has_a_row_for_every_league_and_says_whether_the_bound_holds() -> None:
    document = measure_all(4, range(1), draws=40)
    rows = document["rows"]
    assert isinstance(rows, list)
    assert len(rows) == 10
    assert len(table_of(document)) == 12
