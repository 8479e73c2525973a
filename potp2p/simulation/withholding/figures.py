"""What withholding gains over keeping every turn: rows of figures, and a table of them."""

import time
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from enum import StrEnum
from typing import Final

from potp2p.foundation.committee import faulty_max
from potp2p.protocol.verification.sampling import PPM
from potp2p.simulation.withholding.league import League
from potp2p.simulation.withholding.plan import (
    Seats,
    Target,
    Timing,
    WithholdingPlan,
    WithholdingReport,
)

DETECTION_LEFT_MIN: Final = 0.5
"""DESIGN section 8 counts on half of the audit rate being left of the chance to be caught."""
DRAWS: Final = 1_000
"""Of each seed."""


def measure(plan: WithholdingPlan, seeds: range) -> dict[str, object]:
    """Return what withholding gains over keeping every turn, as one row of figures."""
    started = time.perf_counter()
    honest = _total(replace(plan, withholds=False), seeds)
    league = _total(plan, seeds)
    row: dict[str, object] = {
        name: str(value) if isinstance(value, StrEnum) else value
        for name, value in asdict(plan).items()
        if name not in ("draws", "withholds")
    }
    row |= {
        "draws": league.draws,
        "honest": round(honest.share, 4),
        "league": round(league.share, 4),
        "withheld_per_draw": round(league.withheld / league.draws, 4),
        "blocks_of_fair_share": round(
            league.own_blocks * honest.blocks / max(1, honest.own_blocks * league.blocks), 4
        ),
        "draws_per_second": round(2 * league.draws / (time.perf_counter() - started)),
    }
    if plan.target is Target.UNDETECTED:
        left = (1 - league.share) * PPM / plan.rate
        error = (league.share * (1 - league.share) / league.draws) ** 0.5 * PPM / plan.rate
        row |= {
            "detection_left": round(left, 4),
            "standard_error": round(error, 4),
            "is_within_bound": left + 2 * error >= DETECTION_LEFT_MIN,
        }
    return row


def measure_all(validators: int, seeds: range, draws: int = DRAWS) -> dict[str, object]:
    """
    Return every league against the protocol's draw, and against one that a single beacon decides.

    The second shows why the first is spread over a turn of every primary.
    """
    plan = WithholdingPlan(validators, draws)
    rows = [
        measure(replace(plan, seats=seats, timing=timing, window=window), seeds)
        for window in (0, 1)
        for timing in Timing
        for seats in Seats
    ]
    rows += [measure(replace(plan, seats=seats, target=Target.AUTHOR), seeds) for seats in Seats]
    return {
        "level": "withholding",
        "validators": validators,
        "league": faulty_max(validators),
        "seeds": len(seeds),
        "detection_left_min": DETECTION_LEFT_MIN,
        "is_within_bound": all(
            row.get("is_within_bound", True) for row in rows if not row["window"]
        ),
        "rows": rows,
    }


def _total(plan: WithholdingPlan, seeds: range) -> WithholdingReport:
    reports = [League(plan, seed).run() for seed in seeds]
    return WithholdingReport(
        *(sum(getattr(each, part.name) for each in reports) for part in fields(WithholdingReport))
    )


def table_of(document: Mapping[str, object]) -> list[str]:
    """Return the rows as lines."""
    rows = document["rows"]
    assert isinstance(rows, list)
    head = f"{'wants':<11} {'seats':<9} {'timing':<7} {'beacons':<8} {'honest':>7} {'league':>7}"
    lines = [f"{head} {'caught':>7} {'blocks':>7}"]
    for row in rows:
        beacons = "one" if row["window"] == 1 or row["target"] == "author" else "a turn"
        left = f"{row['detection_left']:.3f}" if "detection_left" in row else "--"
        lines.append(
            f"{row['target']:<11} {row['seats']:<9} {row['timing']:<7} {beacons:<8} "
            f"{row['honest']:7.3f} {row['league']:7.3f} {left:>7} "
            f"{row['blocks_of_fair_share']:7.3f}"
        )
    bound = "holds" if document["is_within_bound"] else "is broken"
    least = document["detection_left_min"]
    return [
        *lines,
        f"at least {least} of the audit rate is left of the chance to be caught: {bound}",
    ]
