"""What a contribution is worth: work times one plus its share of the loss reduction (DESIGN 9)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from potp2p.foundation.limits import AMOUNT_BOUND
from potp2p.foundation.types import Amount

PPM: Final = 1_000_000
GAIN_MAX: Final = 2 * PPM
"""A gain is clamped to twice the median: luck with a shard must not buy the lottery."""

SCORE_MEDIAN: Final = 2 * PPM
SCORE_MAX: Final = PPM + GAIN_MAX
"""Scores per work, of the median claim and of one that claims the largest gain there is."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a score looks at in one contribution of a round's set."""

    loss_before: int
    loss_after: int
    diverged: bool


def lower_median(numbers: Sequence[int]) -> int:
    """Return the element at (n - 1) // 2 of the sorted numbers; always one that was given."""
    assert numbers, "median of nothing"
    return sorted(numbers)[(len(numbers) - 1) // 2]


def most_of(pay: int) -> int:
    """
    Return what a lease earns with the largest score, where `pay` is what they earn on average.

    Who trains nothing can claim any gain: nothing but an audit holds it to one.
    """
    return -(-pay * SCORE_MAX // SCORE_MEDIAN)


def is_scorable(parameters: int, samples: int) -> bool:
    """Tell whether the largest score of such a lease is still an amount."""
    return parameters * samples * (PPM + GAIN_MAX) // PPM < AMOUNT_BOUND


def round_gains(claims: Sequence[Claimed]) -> tuple[int, ...]:
    """Return each claim's gain in ppm; zero for all when the median claim gained nothing."""
    gained = [each.loss_before - each.loss_after for each in claims if not each.diverged]
    median = lower_median(gained) if gained else 0
    if median <= 0:
        return (0,) * len(claims)
    return tuple(
        0
        if each.diverged
        else max(0, min(GAIN_MAX, (each.loss_before - each.loss_after) * PPM // median))
        for each in claims
    )


def round_scores(claims: Sequence[Claimed], *, parameters: int, samples: int) -> tuple[Amount, ...]:
    """Return the score of each contribution of a set: parameters x samples x (1 + gain)."""
    work = parameters * samples
    return tuple(Amount(work + work * gain // PPM) for gain in round_gains(claims))


def scaled_weights(scores: Sequence[int], burned: int) -> tuple[Amount, ...]:
    """Scale scores to weights that sum to at most what the round burned."""
    total = sum(scores)
    if total == 0:
        return (Amount(0),) * len(scores)
    return tuple(Amount(burned * score // total) for score in scores)
