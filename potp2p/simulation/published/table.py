"""The whole table: every published cell, several seeds, in more than one network."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from potp2p.simulation.published.costs import Costs
from potp2p.simulation.published.run import Cell, Run, run_cell
from potp2p.simulation.published.setting import Setting

PUBLISHED: Final[tuple[tuple[Cell, float], ...]] = (
    (Cell(10, 100, 30), 1.5),
    (Cell(10, 100, 125), 1.5),
    (Cell(30, 1_000, 30), 1.7),
    (Cell(30, 1_000, 125), 1.7),
    (Cell(50, 5_000, 30), 1.8),
    (Cell(50, 5_000, 125), 1.7),
    (Cell(50, 10_000, 30), 7.2),
    (Cell(50, 10_000, 125), 2.1),
)
"""Seconds from submission to finality of the original code; of the first two sizes one is known."""

Document = dict[str, object]


@dataclass(frozen=True, slots=True)
class Figure:
    """One cell in one network, over all seeds."""

    cell: Cell
    theirs: float
    runs: tuple[Run, ...]

    @property
    def seconds(self) -> tuple[float, ...]:
        """Return the times of those that ended, ascending."""
        return tuple(sorted(run.seconds for run in self.runs if run.seconds is not None))

    @property
    def unfinished(self) -> int:
        """Return how many did not end in time."""
        return len(self.runs) - len(self.seconds)

    @property
    def p50(self) -> float | None:
        """Return the median time; None when a run did not end."""
        return median(self.seconds) if not self.unfinished else None

    @property
    def is_faster(self) -> bool:
        """Tell whether ours is below theirs, at the median."""
        return self.p50 is not None and self.p50 < self.theirs

    def document(self) -> Document:
        """Return everything as JSON values."""
        return {
            "validators": self.cell.validators,
            "transactions": self.cell.transactions,
            "megabits": self.cell.megabits,
            "theirs_seconds": self.theirs,
            "p50_seconds": None if self.p50 is None else round(self.p50, 3),
            "max_seconds": None if self.unfinished else round(max(self.seconds), 3),
            "seeds": len(self.runs),
            "unfinished": self.unfinished,
            "is_faster": self.is_faster,
            "heights_max": max(run.heights for run in self.runs),
            "views_max": max(run.views for run in self.runs),
            "busiest_processor_seconds": round(max(run.busiest_seconds for run in self.runs), 3),
            "sent_megabytes_max": round(max(run.sent_bytes for run in self.runs) / 1e6, 1),
        }


@dataclass(frozen=True, slots=True)
class Table:
    """Every cell in one network."""

    setting: Setting
    figures: tuple[Figure, ...]

    def document(self) -> Document:
        """Return everything as JSON values."""
        return {
            "setting": self.setting.document(),
            "cells": [figure.document() for figure in self.figures],
        }


def run_table(
    setting: Setting,
    costs: Costs,
    seeds: Sequence[int],
    told: Callable[[Figure], None] = lambda _: None,
    published: Sequence[tuple[Cell, float]] = PUBLISHED,
) -> Table:
    """Run every cell with every seed; `told` hears of each cell as it is done."""
    figures: list[Figure] = []
    for cell, theirs in published:
        runs = tuple(run_cell(cell, setting, costs, seed) for seed in seeds)
        figures.append(Figure(cell, theirs, runs))
        told(figures[-1])
    return Table(setting, tuple(figures))


def markdown(tables: Sequence[Table]) -> list[str]:
    """Return the figures of several networks beside the published ones."""
    names = [table.setting.name for table in tables]
    lines = [
        "| validators | transactions | Mbit/s | theirs | "
        + " | ".join(f"{name}: p50 (max)" for name in names)
        + " |",
        "|---" * (4 + len(names)) + "|",
    ]
    for row in zip(*(table.figures for table in tables), strict=True):
        cell = row[0].cell
        ours = " | ".join(_shown(figure) for figure in row)
        lines.append(
            f"| {cell.validators} | {cell.transactions:,} | {cell.megabits:g} "
            f"| {row[0].theirs} s | {ours} |"
        )
    return lines


def _shown(figure: Figure) -> str:
    if figure.p50 is None:
        return f"{figure.unfinished} of {len(figure.runs)} not final"
    shown = f"{figure.p50:.2f} s ({figure.seconds[-1]:.2f})"
    return f"**{shown}**" if figure.is_faster else shown
