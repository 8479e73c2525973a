"""Amounts in and out of text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potp2p.foundation.amounts import format_amount, parse_amount
from potp2p.foundation.errors import ConfigurationError
from potp2p.foundation.limits import AMOUNT_BOUND


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("1.25", 1_250_000_000),
        ("0", 0),
        ("7", 7_000_000_000),
        ("0.000000001", 1),
        ("007.10", 7_100_000_000),
    ],
)
def test_amount_is_read_exactly(text: str, units: int) -> None:
    assert parse_amount(text) == units


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "+1",
        "1,5",
        "1e3",
        ".5",
        "1.",
        "0.0000000001",
        "nan",
        "\uff11",
        " 1",
        "1 POT",
        "9" * 13,
    ],
)
def test_anything_but_a_plain_decimal_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_amount(text)


def test_amount_beyond_the_bound_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        parse_amount("9223372037")


@given(st.integers(min_value=0, max_value=AMOUNT_BOUND - 1))
def test_text_of_an_amount_reads_back_as_the_same_amount(units: int) -> None:
    assert parse_amount(format_amount(units)) == units


def test_negative_difference_is_shown_with_its_sign() -> None:
    assert format_amount(-1_250_000_000) == "-1.25"
