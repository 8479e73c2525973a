"""
What the payloads of one round say about each other: whom to audit for sure (DESIGN 8.6).

Screens reject nothing: a flag raises the audit probability of a contribution to one, and only equal
payloads for different shards leave the round, all but the first claim. All of them are audited, the
first too: who computes another's shard before its holder does is as little honest as who copies.
Input are the exact inner products of all decoded payloads, so every validator comes to the same
places.

- Near-duplicates, both flagged. Two payloads are twins when what of one cannot be explained by the
  other is at most 5.5 % of it (sine squared 0.003, whatever scale or sign); or, at up to 14 %
  (0.02), when they also share what sets them apart from the rest: the cosine of their remainders,
  after the mean of all others is taken from both, is 0.71 or more. Whoever opposes the sum of all
  is turned around first, or one turned sign would shift that mean. Honest pairs come near in the
  first rounds of gradient mode, where every shard has nearly the same gradient (sine squared down
  to 0.009 on a small GPT-2), but their remainders have little in common: at most 0.65, where a copy
  with a tenth of noise has 0.73 and more. With fewer than four payloads there is no rest to compare
  with: then 14 % alone decides.
- Alignment. A payload is flagged when its cosine with the sum of all others, each scaled to one
  length, is below a sixteenth of the round's lower median, provided the round has a direction at
  all (a median of 0.1): late rounds of small models have none, honest payloads then oppose each
  other and none is flagged.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from math import isqrt
from typing import Final

ONE: Final = 1 << 30
"""A cosine of 1."""
PPM: Final = 1_000_000
TWIN_PPM: Final = 3_000
"""Sine squared up to which two payloads are twins whatever the rest does."""
NEAR_PPM: Final = 20_000
"""Sine squared up to which two payloads may be twins."""
OTHERS_MIN: Final = 2
"""Payloads beside a pair whose mean tells what a whole round has in common."""
DIRECTION_MIN: Final = ONE // 10
"""Median alignment from which a round has a direction."""
ALIGNMENT_SHARE: Final = 16
"""An alignment below the median's share of this stands out."""


def repeated(contents: Sequence[bytes], heights: Sequence[int]) -> tuple[int, ...]:
    """
    Return the places of payloads whose content an earlier claim has; of one height the first stays.

    Contents are digests of decoded values, empty for a payload that is all zero: how a lease that
    diverged is written, and no copy of another one.
    """
    first: dict[bytes, int] = {}
    for place in sorted(range(len(contents)), key=lambda each: (heights[each], each)):
        if contents[place]:
            first.setdefault(contents[place], place)
    kept = set(first.values())
    return tuple(p for p, content in enumerate(contents) if content and p not in kept)


def copied(contents: Sequence[bytes], dropped: Sequence[int]) -> tuple[int, ...]:
    """Return the places of the first claims whose content the dropped ones repeat."""
    again = {contents[place] for place in dropped}
    return tuple(p for p, each in enumerate(contents) if each in again and p not in dropped)


def flagged(products: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Return the places that stand out, given all inner products in one unit, none of norm zero."""
    cosines = _cosines(products)
    found = {place for pair in _twins(_aligned(cosines)) for place in pair}
    return tuple(sorted(found | set(_opposed(cosines))))


def _cosines(products: Sequence[Sequence[int]]) -> list[list[int]]:
    count = len(products)
    cosines = [[ONE] * count for _ in range(count)]
    for i, j in combinations(range(count), 2):
        lengths = isqrt(products[i][i] * products[j][j])
        cosines[i][j] = cosines[j][i] = products[i][j] * ONE // lengths
    return cosines


def _aligned(cosines: list[list[int]]) -> list[list[int]]:
    """
    Return the cosines with every payload turned around that opposes the sum of all.

    Else one turned sign would shift the mean that remainders are taken after, and honest payloads
    that are near anyway would all be twins of each other.
    """
    signs = [-1 if sum(row) < 0 else 1 for row in cosines]
    return [
        [signs[i] * signs[j] * cosine for j, cosine in enumerate(row)]
        for i, row in enumerate(cosines)
    ]


def _twins(cosines: list[list[int]]) -> Iterator[tuple[int, int]]:
    others = len(cosines) - 2
    sums = [sum(row) for row in cosines]
    for i, j in combinations(range(len(cosines)), 2):
        cosine = cosines[i][j]
        sine_squared_ppm = (ONE * ONE - cosine * cosine) * PPM // (ONE * ONE)
        if sine_squared_ppm > NEAR_PPM:
            continue
        if (
            sine_squared_ppm <= TWIN_PPM
            or others < OTHERS_MIN
            or _remainders_agree(cosines, sums, i, j)
        ):
            yield i, j


def _remainders_agree(cosines: list[list[int]], sums: list[int], i: int, j: int) -> bool:
    """
    Tell whether the cosine of two remainders is 0.71 or more.

    With u of length one, S the others and m their mean: <u_i - m, u_j - m> times |S| squared, from
    row sums alone.
    """
    cosine, others = cosines[i][j], len(cosines) - 2
    square = others * others
    with_i = sums[i] - ONE - cosine
    with_j = sums[j] - ONE - cosine
    among = sum(sums) - 2 * (sums[i] + sums[j]) + 2 * ONE + 2 * cosine
    if cosine < 0:
        # A copy turned around is one all the same: turn it back.
        with_j = -with_j
    between = square * abs(cosine) - others * (with_i + with_j) + among
    length_i = square * ONE - 2 * others * with_i + among
    length_j = square * ONE - 2 * others * with_j + among
    return between > 0 and 2 * between * between >= length_i * length_j


def _opposed(cosines: list[list[int]]) -> Iterator[int]:
    if not cosines:
        return
    sums = [sum(row) for row in cosines]
    total = sum(sums)
    alignments = [_alignment(row, total) for row in sums]
    median = sorted(alignments)[(len(alignments) - 1) // 2]
    if median < DIRECTION_MIN:
        return
    for place, alignment in enumerate(alignments):
        if alignment * ALIGNMENT_SHARE < median:
            yield place


def _alignment(row: int, total: int) -> int:
    """Return the cosine of a payload, given its row's sum, with the sum of all others."""
    with_others = row - ONE
    among_others = total - 2 * with_others - ONE
    return with_others * ONE // max(1, isqrt(max(0, among_others) * ONE))
