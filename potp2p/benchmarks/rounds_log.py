"""What a network's own log lines say of its rounds, its training and its replays."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

MOMENT: Final = "%Y-%m-%d %H:%M:%S.%f"
_LINE: Final = re.compile(r"\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3})\] \w+ +(.*)")
_DONE: Final = re.compile(r"[0-9a-f]{8} round (\d+) done, loss ")
_TRAINED: Final = re.compile(r"trained [0-9a-f]{8} round (\d+) shard (\d+) in (\d+) ms")
_LATE: Final = re.compile(r"claim [0-9a-f]{8} round (\d+) shard \d+ came too late")
_REPLAYED: Final = re.compile(r"replayed [0-9a-f]{8} round \d+ shard \d+: .*?, (\d+) ms")
_GAVE_WAY: Final = re.compile(r"worker \S+: a replay gives way to (\w+)")


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, in Unix seconds."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        """Return its length."""
        return self.end - self.start

    def overlap(self, other: "Span") -> float:
        """Return how many seconds two have in common."""
        return max(0.0, min(self.end, other.end) - max(self.start, other.start))


@dataclass(slots=True)
class Happenings:
    """All nodes together."""

    done: dict[int, float] = field(default_factory=dict[int, float])
    """When the first validator had the result of each round."""
    leases: list[Span] = field(default_factory=list[Span])
    """Training of one lease, without the wait for its device."""
    shards: dict[int, set[int]] = field(default_factory=lambda: defaultdict[int, set[int]](set))
    """Those that were trained, by round."""
    late: set[int] = field(default_factory=set[int])
    """Rounds for which a claim came too late."""
    replays: list[Span] = field(default_factory=list[Span])
    """Those that came to their end."""
    gave_way: dict[str, int] = field(default_factory=dict[str, int])
    """How often a replay left the device, by what it left it to."""

    def read(self, lines: Iterable[str]) -> None:
        """Take in the lines of one node."""
        for line in lines:
            split = _LINE.match(line)
            if split is None:
                continue
            stamp, text = split.groups()
            if found := _DONE.match(text):
                round_, moment = int(found[1]), _seconds(stamp)
                self.done[round_] = min(moment, self.done.get(round_, moment))
            elif found := _TRAINED.match(text):
                self.shards[int(found[1])].add(int(found[2]))
                self.leases.append(_span(stamp, found[3]))
            elif found := _LATE.match(text):
                self.late.add(int(found[1]))
            elif found := _REPLAYED.match(text):
                self.replays.append(_span(stamp, found[1]))
            elif found := _GAVE_WAY.match(text):
                self.gave_way[found[1]] = self.gave_way.get(found[1], 0) + 1

    def rounds(self, first: int) -> dict[int, Span]:
        """Return the rounds from a number on, each from the result before it to its own."""
        return {
            each: Span(self.done[each - 1], end)
            for each, end in sorted(self.done.items())
            if each >= first and each - 1 in self.done
        }

    def is_cut_off(self, round_: int, shards: int) -> bool:
        """Tell whether a deadline ended a round before all its shards were there."""
        return round_ in self.late or len(self.shards.get(round_, ())) < shards


def _seconds(stamp: str) -> float:
    return datetime.strptime(stamp, MOMENT).astimezone().timestamp()


def _span(stamp: str, milliseconds: str) -> Span:
    end = _seconds(stamp)
    return Span(end - int(milliseconds) / 1_000, end)
