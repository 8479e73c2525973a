"""Scores and pay in integers: nothing is created, nothing is lost, luck is capped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potp2p.protocol.incentives.rewards import (
    LeasePrice,
    audit_pay,
    author_tips,
    block_subsidy,
    lease_price,
    split,
)
from potp2p.protocol.incentives.scores import (
    Claimed,
    is_scorable,
    lower_median,
    round_gains,
    round_scores,
    scaled_weights,
)
from potp2p.protocol.ledger.genesis import DEVNET_CONSENSUS, DEVNET_MONEY


@given(st.integers(0, 1 << 60), st.integers(1, 1 << 20))
def test_lease_price_is_cut_whole(budget: int, leases: int) -> None:
    price = lease_price(budget, leases, DEVNET_MONEY)
    assert price.whole == budget // leases
    assert price.whole * leases <= budget
    assert min(price.miner, price.auditors, price.burned, price.tip) >= 0
    miners = price.miner + price.tip
    assert miners >= price.whole * 75 // 100
    assert price.tip == miners * 2 // 100, "rounded down: a miner is paid before its block"


@given(st.integers(0, 1 << 60), st.lists(st.integers(0, 1 << 50), max_size=12))
def test_split_gives_all_of_the_pool_or_nothing(pool: int, scores: list[int]) -> None:
    parts = split(pool, scores)
    assert len(parts) == len(scores)
    assert sum(parts) == (pool if sum(scores) else 0)
    assert all(part >= 0 for part in parts)
    for part, score in list(zip(parts, scores, strict=True))[1:]:
        assert part * sum(scores) <= pool * score


def test_remainder_goes_to_the_first_in_order() -> None:
    assert split(10, [1, 1, 1]) == (4, 3, 3)
    assert split(0, [1, 1]) == (0, 0)
    assert split(5, []) == ()


PRICE = LeasePrice(150, 24, 5, 6)


@pytest.mark.parametrize(
    ("pool", "audits", "pay"),
    [(1_000, 0, 0), (1_000, 1, 100), (1_000, 10, 100), (1_000, 11, 90), (0, 3, 0)],
)
def test_audit_is_worth_its_price_or_a_part_of_a_short_pool(
    pool: int, audits: int, pay: int
) -> None:
    assert audit_pay(PRICE, pool, audits, rate=120_000, committee=2) == pay


def test_audit_is_worth_no_more_than_the_lease_that_it_repeats() -> None:
    assert audit_pay(PRICE, 1_000, 1, rate=1, committee=2) == 150


@given(st.lists(st.integers(0, 1 << 50), max_size=10))
def test_subsidy_of_a_window_stays_within_what_it_burned(burned: list[int]) -> None:
    blocks = DEVNET_CONSENSUS.cycle_blocks * DEVNET_CONSENSUS.lottery_cycles
    subsidy = block_subsidy(burned, DEVNET_CONSENSUS, DEVNET_MONEY) - DEVNET_MONEY.subsidy_floor
    assert subsidy * blocks <= sum(burned)


def test_author_gets_the_smaller_half_and_only_with_a_rank() -> None:
    assert [author_tips(tips, ranked=True) for tips in (0, 1, 2, 7)] == [0, 0, 1, 3]
    assert author_tips(7, ranked=False) == 0


def claimed(*gains: int | None) -> list[Claimed]:
    return [
        Claimed(1_000, 0, diverged=True) if gain is None else Claimed(1_000, 1_000 - gain, False)
        for gain in gains
    ]


@pytest.mark.parametrize(
    ("gains", "ppm"),
    [
        ((10, 10, 10), (1_000_000,) * 3),
        ((10, 20, 100), (500_000, 1_000_000, 2_000_000)),
        ((-5, 10, 10), (0, 1_000_000, 1_000_000)),
        ((-5, -5, 100), (0, 0, 0)),
        ((0, 0, 9), (0, 0, 0)),
        ((10, None, 30), (1_000_000, 0, 2_000_000)),
        ((None, None), (0, 0)),
        ((), ()),
        ((10, 30), (1_000_000, 2_000_000)),
    ],
)
def test_gain_is_measured_by_the_lower_median_and_clamped(
    gains: tuple[int | None, ...], ppm: tuple[int, ...]
) -> None:
    assert round_gains(claimed(*gains)) == ppm


@given(st.lists(st.integers(-1_000, 1_000), min_size=1, max_size=12))
def test_score_lies_between_one_and_three_times_the_work(gains: list[int]) -> None:
    scores = round_scores(claimed(*gains), parameters=10, samples=7)
    assert all(70 <= score <= 210 for score in scores)


@given(st.lists(st.integers(0, 1 << 50), max_size=12), st.integers(0, 1 << 60))
def test_weights_never_exceed_what_was_burned(scores: list[int], burned: int) -> None:
    weights = scaled_weights(scores, burned)
    assert sum(weights) <= burned
    assert sum(weights) >= burned - len(scores) or not sum(scores)


def test_lower_median_is_one_that_was_given() -> None:
    assert [lower_median(each) for each in ([1], [2, 1], [3, 1, 2], [4, 1, 2, 3])] == [1, 1, 2, 2]


def test_largest_score_must_be_an_amount() -> None:
    assert is_scorable(1 << 30, 1 << 20)
    assert not is_scorable(1 << 40, 1 << 24)
