"""What cheats cost a model: real training of the digits, a few rounds long."""

from typing import cast

import pytest

from potp2p.benchmarks import proof_accuracy
from potp2p.benchmarks.proof_accuracy import Plan, measure, plan_of
from potp2p.simulation.adversaries.kinds import Kind

KIND = Kind.SIGN_FLIP


def test_two_that_flip_signs_ruin_a_plain_mean_and_not_the_clipped_one() -> None:
    document = measure(Plan((KIND,), rounds=3, steps=8, seed=1, repeats=1))

    clipped = cast("dict[str, float]", document["by_kind"])[KIND]
    plain = cast("dict[str, float]", document["plain_averaging"])[KIND]
    assert plain < 0.3
    assert clipped > 0.5


def test_a_figure_is_the_mean_over_its_seeds_each_of_which_stands_beside_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def found(_plan: Plan, seed: int) -> proof_accuracy._Found:
        return proof_accuracy._Found(seed / 10, {KIND: seed / 20}, {KIND: seed / 40})

    monkeypatch.setattr(proof_accuracy, "_measure_seed", found)

    document = measure(Plan((KIND,), rounds=3, steps=8, seed=4, repeats=3))

    assert document["clean"] == 0.5
    assert document["by_kind"] == {"sign-flip": 0.25}
    assert document["plain_averaging"] == {"sign-flip": 0.125}
    seeds = cast("list[dict[str, object]]", document["seeds"])
    assert [each["seed"] for each in seeds] == [4, 5, 6]
    assert [each["clean"] for each in seeds] == [0.4, 0.5, 0.6]


def test_a_plan_is_read_back_from_plain_values() -> None:
    fields: dict[str, object] = {"kinds": [str(KIND)]}
    numbers = {"rounds": 16, "steps": 20, "seed": 1, "repeats": 3}
    assert plan_of({**fields, **numbers}) == Plan((KIND,), **numbers)
