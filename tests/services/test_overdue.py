"""Statements that blocks leave out: pressed first, then due for us, then a reason to refuse."""

import pytest

from potp2p.foundation.limits import (
    OWN_REFUSAL_SECONDS_MIN,
    PRESS_SECONDS_MIN,
    REFUSAL_SECONDS_MIN,
)
from potp2p.foundation.types import Height
from potp2p.services.overdue import Overdue

ONE, TWO = b"one", b"two"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def stages(overdue: Overdue) -> tuple[bool, bool, bool]:
    return ONE in overdue.pressing, ONE in overdue.due, ONE in overdue.refusing


def after(blocks: int, *, interval: float) -> tuple[bool, bool, bool]:
    """Return what is done about a statement that so many blocks in a row left out."""
    clock = Clock()
    overdue = Overdue(4, clock)
    for height in range(blocks + 1):
        clock.now = height * interval
        overdue.turn(Height(height), [ONE])
    return stages(overdue)


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        (0, (False, False, False)),
        (1, (False, False, False)),
        (2, (True, False, False)),
        (3, (True, True, False)),
        (4, (True, True, True)),
    ],
)
def test_authors_are_told_before_a_primary_insists_and_that_before_anyone_refuses(
    blocks: int, expected: tuple[bool, bool, bool]
) -> None:
    assert after(blocks, interval=10.0) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.0, (False, False, False)),
        (PRESS_SECONDS_MIN, (True, False, False)),
        (OWN_REFUSAL_SECONDS_MIN, (True, True, False)),
        (REFUSAL_SECONDS_MIN, (True, True, True)),
    ],
)
def test_however_fast_blocks_are_the_network_has_its_time(
    seconds: float, expected: tuple[bool, bool, bool]
) -> None:
    assert after(128, interval=seconds / 128) == expected


def test_what_did_not_apply_in_between_begins_anew() -> None:
    clock = Clock()
    overdue = Overdue(4, clock)
    for height in range(4):
        overdue.turn(Height(height), [ONE])
    overdue.turn(Height(4), [TWO])
    clock.now = 100.0
    overdue.turn(Height(5), [ONE, TWO])
    assert stages(overdue) == (False, False, False)


def test_what_was_included_is_forgotten() -> None:
    clock = Clock()
    overdue = Overdue(4, clock)
    for height in range(9):
        clock.now = float(height)
        overdue.turn(Height(height), [ONE])
    overdue.turn(Height(9), [])
    assert (overdue.pressing, overdue.due, overdue.refusing) == ((), (), frozenset())
