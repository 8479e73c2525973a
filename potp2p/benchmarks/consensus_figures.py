"""What validators noted, turned into figures."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from potp2p.foundation.committee import quorum
from potp2p.processes.documents import Document


@dataclass(slots=True)
class HeightNotes:
    """One height as all validators saw it; nanoseconds of the machine's clock, by seat."""

    transactions: int = 0
    view: int = 0
    proposed: dict[int, int] = field(default_factory=dict[int, int])
    decided: dict[int, int] = field(default_factory=dict[int, int])
    stored: dict[int, int] = field(default_factory=dict[int, int])
    signers: set[int] = field(default_factory=set[int])
    """Seats whose commit is in a seal that another validator stored."""

    def final(self, seats: int) -> int | None:
        """Return when a quorum of all seats had stored the block."""
        times = sorted(self.stored.values())
        needed = quorum(seats)
        return times[needed - 1] if len(times) >= needed else None


@dataclass(slots=True)
class Notes:
    """Everything that all validators noted."""

    seats: int
    heights: dict[int, HeightNotes] = field(default_factory=dict[int, HeightNotes])
    hold: dict[int, list[float]] = field(default_factory=dict[int, list[float]])
    """The last word on each loop's longest steps: p50, p99, longest, in seconds."""

    def add(self, seat: int, path: Path) -> None:
        """Read one process's notes; a line that a kill cut off is left out."""
        for line in path.read_bytes().splitlines():
            if line.endswith(b"}"):
                self._take(seat, json.loads(line))

    def _take(self, seat: int, note: Document) -> None:
        stage = note["stage"]
        if stage == "hold":
            self.hold[seat] = [_number(each) for each in _items(note["seconds"])]
            return
        height = self.heights.setdefault(_whole(note["height"]), HeightNotes())
        times = {"proposed": height.proposed, "decided": height.decided, "stored": height.stored}
        times[str(stage)].setdefault(seat, _whole(note["at"]))
        if stage == "stored":
            height.transactions = _whole(note["transactions"])
            height.view = _whole(note["view"])
            height.signers |= {_whole(each) for each in _items(note["signers"])} - {seat}

    def finals(self) -> dict[int, int]:
        """Return when each height was final on a quorum, ascending."""
        found = {height: each.final(self.seats) for height, each in sorted(self.heights.items())}
        return {height: at for height, at in found.items() if at is not None}


def percentile(values: Iterable[float], share: float) -> float | None:
    """Return the value below which that share of all lies; None of none."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else None


def finality_seconds(notes: Notes, first: int, last: int) -> list[float]:
    """
    Return, of each height final within a window, the time from proposal to finality.

    The first proposal of the height counts, whichever view it was for.
    """
    return [
        (at - min(notes.heights[height].proposed.values())) / 1e9
        for height, at in notes.finals().items()
        if first <= at < last and notes.heights[height].proposed
    ]


def throughput(notes: Notes, first: int, last: int) -> tuple[int, int]:
    """Return blocks and transactions that became final within a window."""
    within = [height for height, at in notes.finals().items() if first <= at < last]
    return len(within), sum(notes.heights[height].transactions for height in within)


def longest_gap(notes: Notes, after: int, last: int) -> float | None:
    """Return the longest wait in seconds between finalities, from a moment on."""
    times = [after, *(at for at in notes.finals().values() if after < at < last)]
    gaps = [(late - early) / 1e9 for early, late in pairwise(times)]
    return max(gaps, default=None)


def first_stored(notes: Notes, seat: int, after: int) -> int | None:
    """Return when a validator stored its first block after a moment."""
    times = (each.stored.get(seat, 0) for each in notes.heights.values())
    return min((at for at in times if at > after), default=None)


def first_counted(notes: Notes, seat: int, after: int) -> int | None:
    """Return when a seat's vote was first in a seal that another validator stored."""
    times = [
        at
        for each in notes.heights.values()
        if seat in each.signers
        for other, at in each.stored.items()
        if other != seat and at > after
    ]
    return min(times, default=None)


def submission_seconds(
    samples: Sequence[tuple[int, int]], notes: Notes, first: int, last: int
) -> list[float]:
    """Return the waits of sampled transactions: (handed over at, height) to finality there."""
    finals = notes.finals()
    return [
        (finals[height] - at) / 1e9
        for at, height in samples
        if height in finals and first <= at < last
    ]


def _items(value: object) -> list[object]:
    assert isinstance(value, list)
    return list(value)


def _whole(value: object) -> int:
    assert isinstance(value, int)
    return value


def _number(value: object) -> float:
    assert isinstance(value, int | float)
    return float(value)
