"""Numbers as a person reads them."""

import math

from potp2p.ui import format as show


def test_unknown_is_two_dashes_everywhere() -> None:
    functions = (show.count, show.size, show.duration, show.ago, show.amount, show.loss, show.rate)

    assert [function(None) for function in functions] == ["--"] * len(functions)


def test_durations_grow_from_clock_to_days() -> None:
    assert [show.duration(value) for value in (0, 59.9, 336, 15_112, 187_912)] == [
        "00:00",
        "00:59",
        "05:36",
        "04:11:52",
        "2d 04:11",
    ]


def test_sizes_are_binary_and_traffic_is_decimal() -> None:
    assert [show.size(value) for value in (0, 1_023, 1_024, 24 << 30)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "24.0 GiB",
    ]
    assert [show.traffic(value) for value in (999, 1_000, 8_700_000_000)] == [
        "999 B",
        "1.0 kB",
        "8.7 GB",
    ]


def test_amount_is_cut_and_never_rounded_up() -> None:
    assert show.amount(1_999_999_999) == "1.999"
    assert show.amount(-1_500_000_000) == "-1.500"


def test_loss_that_is_no_number_is_unknown() -> None:
    assert [show.loss(value) for value in (math.nan, math.inf, 1.2844, 12_345.0)] == [
        "--",
        "--",
        "1.284",
        "1.23e+04",
    ]


def test_abbreviation_keeps_both_ends() -> None:
    short = show.abbreviated("pot1q7m4aaaaaaaaaaaaaaaaaa9sd2", 14)

    assert short == "pot1q7m4..9sd2"
