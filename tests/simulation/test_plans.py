"""What is drawn for a seed stays within what a network must withstand."""

import pytest

from potp2p.foundation.committee import faulty_max
from potp2p.simulation.plans import Choices, Fault, Lie, draw_plan

SEEDS = range(400)


@pytest.mark.parametrize("validators", [4, 5, 7, 10])
def test_no_plan_makes_more_than_f_validators_bad(validators: int) -> None:
    choices = Choices(validators=validators)
    sizes = {len(draw_plan(seed, choices).suspects) for seed in SEEDS}
    assert sizes == set(range(faulty_max(validators) + 1))


def test_every_fault_is_over_when_calm_comes() -> None:
    for seed in SEEDS:
        plan = draw_plan(seed, Choices())
        for each in plan.happenings:
            assert 0 <= each.at < plan.calm_at, each
            assert each.at <= each.until <= plan.calm_at, each


def test_seeds_draw_different_subsets_and_all_kinds_of_lies() -> None:
    plans = [draw_plan(seed, Choices()) for seed in SEEDS]
    assert {fault for plan in plans for fault in plan.faults} == set(Fault)
    assert {lie for plan in plans for _, lie in plan.liars} == set(Lie)
    assert len({plan.faults for plan in plans}) > 300


def test_only_chosen_faults_are_drawn() -> None:
    for seed in SEEDS:
        plan = draw_plan(seed, Choices(faults=(Fault.CRASHES,)))
        assert set(plan.faults) <= {Fault.CRASHES}
        assert {each.fault for each in plan.happenings} <= {Fault.CRASHES}
        assert (plan.loss_percent, plan.duplication_percent, plan.latency) == (0, 0, (1, 5))
        assert not plan.suspects
        assert not plan.idlers
        assert set(plan.skews) == {0}


def test_one_seed_has_one_plan_and_another_seed_another() -> None:
    assert draw_plan(7, Choices()) == draw_plan(7, Choices())
    assert draw_plan(7, Choices()) != draw_plan(8, Choices())
