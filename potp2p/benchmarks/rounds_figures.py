"""Sets rounds with a replay under way beside rounds without."""

import random
from collections.abc import Sequence
from statistics import fmean, median, quantiles
from typing import Final

from potp2p.benchmarks.rounds_log import Happenings, Span
from potp2p.benchmarks.rounds_processors import Processors
from potp2p.processes.documents import Document

FIRST_ROUND: Final = 2
"""The first to count: its replays are of a round whose miners had their bond."""
ROUNDS_EACH_MIN: Final = 5
"""Of each kind: fewer say nothing."""
REPLAY_SHARE_MIN: Final = 0.02
"""Part of a round that a replay must take: what only touches its edge is neither kind."""
LEASE_SHARE_MIN: Final = 0.5
"""The same of a lease, which is as long as a replay."""
RATIO_MAX: Final = 1.05
RESAMPLES: Final = 2_000


def rounds_figures(
    happenings: Happenings, processors: Processors, cores: int, shards: int
) -> Document:
    """
    Return all figures; without rounds of both kinds there is no ratio and no success.

    A round that its deadline ended would hide what held it up: with one of those there is none.
    """
    numbered = happenings.rounds(FIRST_ROUND)
    rounds = list(numbered.values())
    cut_off = sum(happenings.is_cut_off(each, shards) for each in numbered)
    beside, alone = parted(rounds, happenings.replays, REPLAY_SHARE_MIN)
    counted = [each for each in happenings.leases if rounds and each.start >= rounds[0].start]
    busy, quiet = parted(counted, happenings.replays, LEASE_SHARE_MIN)
    seconds_with, seconds_without = _seconds(beside), _seconds(alone)
    ratio = _ratio(seconds_with, seconds_without)
    idle_with, idle_without = _idle(processors, beside), _idle(processors, alone)
    under_way = sum(each.overlap(replay) for each in beside for replay in happenings.replays)
    replay_cores = under_way / sum(seconds_with) if beside else 0.0
    had_spare = idle_without is not None and idle_without >= replay_cores
    enough = min(len(beside), len(alone)) >= ROUNDS_EACH_MIN
    return {
        "rounds": {
            "with": _row(seconds_with),
            "without": _row(seconds_without),
            "neither": len(rounds) - len(beside) - len(alone),
            "cut_off": cut_off,
        },
        "leases": {"with": _row(_seconds(busy)), "without": _row(_seconds(quiet))},
        "round_delay_ratio": ratio,
        "ratio_of_means": _ratio_of_means(seconds_with, seconds_without),
        "ratio_interval": interval(seconds_with, seconds_without),
        "lease_ratio": _ratio(_seconds(busy), _seconds(quiet)),
        "replays": len(happenings.replays),
        "replay_seconds": round(sum(_seconds(happenings.replays)), 1),
        "training_seconds": round(sum(_seconds(happenings.leases)), 1),
        "gave_way": dict(sorted(happenings.gave_way.items())),
        "replay_cores": round(replay_cores, 3),
        "idle_cores": {"with": _round(idle_with), "without": _round(idle_without), "cores": cores},
        "had_spare_cores": had_spare,
        "targets": {"round_delay_ratio": RATIO_MAX, "rounds_each": ROUNDS_EACH_MIN},
        "is_within_targets": enough
        and had_spare
        and not cut_off
        and ratio is not None
        and ratio <= RATIO_MAX,
    }


def parted(
    spans: Sequence[Span], replays: Sequence[Span], share_min: float
) -> tuple[list[Span], list[Span]]:
    """Return those with at least a share of their time beside a replay, and those with none."""
    shares = [sum(map(span.overlap, replays)) / span.seconds for span in spans]
    return (
        [span for span, share in zip(spans, shares, strict=True) if share >= share_min],
        [span for span, share in zip(spans, shares, strict=True) if not share],
    )


def interval(some: Sequence[float], others: Sequence[float]) -> list[float] | None:
    """Return between what 95 % of the ratios of medians lie when both are drawn again."""
    if not some or not others:
        return None
    chance = random.Random(1)  # noqa: S311  # resampling, and the same figures for the same run
    ratios = sorted(
        median(chance.choices(some, k=len(some))) / median(chance.choices(others, k=len(others)))
        for _ in range(RESAMPLES)
    )
    cut = RESAMPLES // 40
    return [round(ratios[cut], 4), round(ratios[-cut - 1], 4)]


def _seconds(spans: Sequence[Span]) -> list[float]:
    return [span.seconds for span in spans]


def _row(seconds: Sequence[float]) -> Document:
    if len(seconds) < 2:  # noqa: PLR2004  # what quantiles need
        only = round(seconds[0], 3) if seconds else None
        return {"number": len(seconds), "median": only, "p10": only, "p90": only, "mean": only}
    tenths = quantiles(seconds, n=10, method="inclusive")
    return {
        "number": len(seconds),
        "median": round(median(seconds), 3),
        "p10": round(tenths[0], 3),
        "p90": round(tenths[-1], 3),
        "mean": round(fmean(seconds), 3),
    }


def _ratio(some: Sequence[float], others: Sequence[float]) -> float | None:
    return round(median(some) / median(others), 4) if some and others else None


def _idle(processors: Processors, spans: Sequence[Span]) -> float | None:
    """Return the cores that idled on average, longer stretches counting for more."""
    found = [(span.seconds, processors.idle_cores(span)) for span in spans]
    known = [(seconds, idle) for seconds, idle in found if idle is not None]
    total = sum(seconds for seconds, _ in known)
    return sum(seconds * idle for seconds, idle in known) / total if known else None


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _ratio_of_means(some: Sequence[float], others: Sequence[float]) -> float | None:
    return round(fmean(some) / fmean(others), 4) if some and others else None
