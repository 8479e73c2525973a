"""Copies stand out and honest payloads do not, in integers alone."""

from itertools import permutations
from random import Random

import pytest

from potp2p.protocol.verification.screens import flagged, repeated

Vector = list[int]
SIZE = 400


def vectors(count: int, *, common: float, seed: int = 1) -> list[Vector]:
    """Return vectors of equal length that share a direction to so many percent of their square."""
    generator = Random(seed)
    shared = [generator.gauss(0, 1) for _ in range(SIZE)]
    made: list[Vector] = []
    for _ in range(count):
        own = [generator.gauss(0, 1) for _ in range(SIZE)]
        mix = [
            (common / 100) ** 0.5 * left + (1 - common / 100) ** 0.5 * right
            for left, right in zip(shared, own, strict=True)
        ]
        made.append([round(10_000 * each) for each in mix])
    return made


def noisy(vector: Vector, percent: int, seed: int = 7) -> Vector:
    generator = Random(seed)
    length = (sum(each * each for each in vector) / len(vector)) ** 0.5
    return [round(each + percent / 100 * length * generator.gauss(0, 1)) for each in vector]


def found(held: list[Vector]) -> tuple[int, ...]:
    return flagged([[sum(map(int.__mul__, left, right)) for right in held] for left in held])


@pytest.mark.parametrize("common", [0, 10, 50, 90, 97])
@pytest.mark.parametrize("count", [4, 6, 12])
def test_honest_payloads_are_not_flagged(count: int, common: int) -> None:
    for seed in range(5):
        assert found(vectors(count, common=common, seed=seed)) == ()


@pytest.mark.parametrize("common", [10, 50, 90, 97])
@pytest.mark.parametrize("count", [2, 3, 4, 8])
@pytest.mark.parametrize("scale", [(1, 1), (1, 2), (2, 1), (101, 100), (-1, 1)])
def test_a_rescaled_copy_is_flagged_with_its_model(
    count: int, common: int, scale: tuple[int, int]
) -> None:
    held = vectors(count, common=common)
    held[1] = [each * scale[0] // scale[1] for each in held[0]]
    assert set(found(held)) >= {0, 1}


@pytest.mark.parametrize("common", [10, 50, 90, 97])
@pytest.mark.parametrize("percent", [1, 2, 5, 10])
@pytest.mark.parametrize("count", [2, 3, 4, 8])
def test_a_perturbed_copy_is_flagged_with_its_model(count: int, common: int, percent: int) -> None:
    held = vectors(count, common=common)
    held[1] = noisy(held[0], percent)
    assert set(found(held)) >= {0, 1}


@pytest.mark.parametrize("common", [97, 98.8, 99, 99.5])
@pytest.mark.parametrize("count", [4, 8, 12])
def test_a_turned_sign_makes_no_twins_of_honest_payloads_that_are_near_anyway(
    count: int, common: float
) -> None:
    held = vectors(count, common=common)
    held[1] = [-each for each in held[1]]
    assert found(held) == (1,)


def test_one_payload_slightly_changed_for_most_shards_is_flagged_on_all_of_them() -> None:
    held = vectors(8, common=50)
    for place in range(2, 8):
        held[place] = noisy(held[1], 3, seed=place)
    assert set(found(held)) >= set(range(1, 8))


def test_one_payload_slightly_changed_for_every_shard_is_flagged_though_nothing_else_is_left() -> (
    None
):
    base = vectors(1, common=50)[0]
    assert found([noisy(base, 3, seed=place) for place in range(8)]) == tuple(range(8))


def test_two_that_are_near_but_no_nearer_than_all_others_are_not_flagged() -> None:
    # The first rounds of gradient mode: every pair is within 14 %, no two share more than others.
    assert found(vectors(6, common=99)) == ()


@pytest.mark.parametrize("flips", [1, 2])
def test_a_turned_sign_is_flagged_where_the_round_has_a_direction(flips: int) -> None:
    held = vectors(8, common=30)
    for place in range(flips):
        held[place] = [-10 * each for each in held[place]]
    assert found(held) == tuple(range(flips))


def test_no_direction_is_no_ground_for_a_flag() -> None:
    held = vectors(8, common=0)
    held[0] = [-each for each in held[0]]
    assert found(held) == ()


def test_noise_of_the_right_norm_is_flagged_where_the_round_has_a_direction() -> None:
    held = vectors(8, common=40)
    # Orthogonal to what all share, up to chance that this seed decides.
    held[3] = vectors(1, common=0, seed=4)[0]
    assert found(held) == (3,)


@pytest.mark.parametrize(("percent", "expected"), [(-1, (3,)), (1, (3,)), (30, ())])
def test_what_has_next_to_nothing_of_the_direction_is_flagged(
    percent: int, expected: tuple[int, ...]
) -> None:
    held = vectors(8, common=40)
    rest = [sum(values) for values in zip(*held[:3], *held[4:], strict=True)]
    square = sum(each * each for each in rest)
    noise = vectors(1, common=0, seed=4)[0]
    shared = sum(map(int.__mul__, noise, rest)) / square
    length = (sum(each * each for each in noise) / square) ** 0.5
    held[3] = [
        round(each + (percent / 100 * length - shared) * along)
        for each, along in zip(noise, rest, strict=True)
    ]
    assert found(held) == expected


def test_scale_of_the_round_does_not_show() -> None:
    held = vectors(6, common=40)
    held[2] = noisy(held[5], 5)
    huge = [[each << 40 for each in vector] for vector in held]
    assert found(held) == found(huge) == (2, 5)


def test_the_order_of_payloads_decides_nothing() -> None:
    held = vectors(5, common=40)
    held[4] = noisy(held[1], 5)
    for order in permutations(range(5)):
        assert {order[place] for place in found([held[each] for each in order])} == {1, 4}


def test_one_payload_or_none_cannot_stand_out() -> None:
    assert flagged([]) == ()
    assert flagged([[5]]) == ()


def test_of_equal_payloads_the_first_claim_stays() -> None:
    assert repeated([b"a", b"b", b"a", b"a"], [9, 5, 7, 8]) == (0, 3)


def test_of_equal_payloads_claimed_at_one_height_the_first_shard_stays() -> None:
    assert repeated([b"a", b"b", b"a"], [7, 7, 7]) == (2,)


def test_payloads_that_are_all_zero_repeat_nobody() -> None:
    assert repeated([b"", b"", b"a"], [1, 2, 3]) == ()
