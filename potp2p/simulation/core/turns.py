"""
Whose turn it is to propose, and who may author: the chain's record of missed turns, as a model.

Written from the rule and not from the ledger, so that the two can be compared. A primary whose
view failed is left out of the order for 2^k heights, never more than f at once, the oldest absence
back first. k is at most 6; a miss raises it by one, a turn kept lowers it by a half (DESIGN section
4 counts misses in a row: a league that fails every other turn is then hardly skipped). An author
passed over by f+1 different primaries has no rank for the rest of the cycle.
"""

from dataclasses import dataclass
from hashlib import sha256

MISSES_COUNTED_MAX = 6
CYCLE_BLOCKS = 20
AUTHORS = 5
"""Miners with weight in a simulated lottery."""
RANKS = 3


@dataclass(frozen=True, slots=True)
class Turns:
    """What the chain knows about its primaries and authors after some block."""

    misses: tuple[int, ...]
    """Half misses of each seat."""
    back_at: tuple[int, ...]
    """First height at which each seat is in the order again."""
    passed_over: tuple[frozenset[int], ...] = (frozenset(),) * AUTHORS
    """Primaries that proposed while an author ranked better, by author, in this cycle."""

    @classmethod
    def first(cls, size: int) -> "Turns":
        """Return the record before the first block."""
        return cls((0,) * size, (0,) * size)

    def order(self, height: int) -> tuple[int, ...]:
        """Return the seats that lead the views of a height."""
        size = len(self.misses)
        order = [(height + view) % size for view in range(size)]
        absent = sorted(
            (seat for seat in order if self.back_at[seat] > height),
            key=lambda seat: (-self.back_at[seat], seat),
        )
        left_out = absent[: (size - 1) // 3]
        return tuple(seat for seat in order if seat not in left_out)

    def ranking(self, height: int, beacon: bytes) -> tuple[int, ...]:
        """Return the ranked authors of a height, best first."""
        enough = (len(self.misses) - 1) // 3 + 1
        free = [each for each in range(AUTHORS) if len(self.passed_over[each]) < enough]

        def draw(author: int) -> bytes:
            return sha256(beacon + bytes([height % 256, author])).digest()

        return tuple(sorted(free, key=draw)[:RANKS])

    def after(self, height: int, view: int, primary: int, skipped: tuple[int, ...]) -> "Turns":
        """Return the record after a block that was first proposed in a view."""
        order = self.order(height)
        misses, back_at = list(self.misses), list(self.back_at)
        for failed in order[:view]:
            misses[failed] = min(misses[failed] + 2, 2 * MISSES_COUNTED_MAX)
            back_at[failed] = height + 1 + 2 ** ((misses[failed] + 1) // 2)
        misses[primary], back_at[primary] = max(0, misses[primary] - 1), 0
        passed = list(self.passed_over)
        for author in skipped:
            passed[author] |= {primary}
        if height % CYCLE_BLOCKS == 0:
            passed = [frozenset()] * AUTHORS
        return Turns(tuple(misses), tuple(back_at), tuple(passed))
