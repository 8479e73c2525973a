"""The base fee: bounded steps, a floor, a ceiling, and a quote that outlasts full blocks."""

from potp2p.foundation.limits import BASE_FEE_MAX
from potp2p.foundation.types import AccountId, Amount
from potp2p.protocol.incentives.fees import (
    HEADROOM_BLOCKS,
    PPM,
    TARGET,
    base_fee_of,
    next_base_fee,
    quoted_fee,
)
from potp2p.protocol.wire.transactions import Transfer, Unbond

TRANSFER = Transfer(AccountId(bytes(20)), Amount(1))


def test_the_base_fee_moves_by_an_eighth_at_most_and_stands_still_at_half_full() -> None:
    assert next_base_fee(8_000, PPM, 1) == 9_000
    assert next_base_fee(8_000, 0, 1) == 7_000
    assert next_base_fee(8_000, TARGET, 1) == 8_000
    assert next_base_fee(8_000, TARGET + TARGET // 2, 1) == 8_500


def test_no_base_fee_is_too_small_to_move() -> None:
    assert [next_base_fee(price, PPM, 1) for price in (1, 2, 7)] == [2, 3, 8]
    assert [next_base_fee(price, 0, 1) for price in (2, 7)] == [1, 6]
    assert next_base_fee(3, TARGET + 1, 1) == 4


def test_the_base_fee_stays_between_floor_and_ceiling() -> None:
    assert next_base_fee(100, 0, 95) == 95
    assert next_base_fee(BASE_FEE_MAX - 1, PPM, 1) == BASE_FEE_MAX
    assert next_base_fee(BASE_FEE_MAX, PPM, 1) == BASE_FEE_MAX


def test_a_network_without_a_floor_has_no_base_fee() -> None:
    assert next_base_fee(0, PPM, 0) == 0


def test_full_blocks_double_the_price_within_six() -> None:
    price = Amount(1_000_000)
    for _ in range(6):
        price = next_base_fee(price, PPM, 1)
    assert price > 2_000_000


def test_a_quote_is_enough_after_as_many_full_blocks_as_it_says_and_no_more() -> None:
    size, price = 180, Amount(1_000)
    quote = quoted_fee(price, size)
    for _ in range(HEADROOM_BLOCKS):
        price = next_base_fee(price, PPM, 1_000)
        assert base_fee_of(TRANSFER, price, size) < quote
    assert base_fee_of(TRANSFER, next_base_fee(price, PPM, 1_000), size) > quote


def test_only_a_way_out_has_no_base_fee() -> None:
    assert base_fee_of(TRANSFER, 7, 100) == 700
    assert base_fee_of(Unbond(Amount(1)), 7, 100) == 0
