"""
Exact inner products of a round's decoded payloads, for the screens of the protocol.

A chunk's products are int8 times int8, at most 127 * 127 * 4096 in sum: far below 2^53, so a double
holds every partial sum exactly and the matrix product has one result, in whatever order a library
adds. What chunks weigh, powers of two by their exponents, is applied in integers. Suffixes as in
`layout.py`, and N for the payloads of the round.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import numpy as np

from potp2p.protocol.verification.screens import copied, flagged, repeated
from potp2p.training.compression import d8
from potp2p.training.data import permutation
from potp2p.training.held import Held, PayloadFile
from potp2p.training.layout import Layout
from potp2p.training.step import StepDone

SAMPLE_DOMAIN: Final = b"potp2p/training/screen/1"
BLOCK_VALUES: Final = 1 << 22
"""Values of all payloads together that are held as doubles: 32 MiB."""
MULTIPLICATIONS_MAX: Final = 1 << 37
"""Beyond, chunks are sampled: 64 payloads of 23 million values fit, some ten seconds of a core."""
EXPONENT_SUMS: Final = 2 * (d8.EXPONENT_MAX - d8.EXPONENT_MIN) + 1


@dataclass(frozen=True, slots=True)
class Screened:
    """Places in the round's set: to be audited for sure, and to be left out."""

    flagged: tuple[int, ...]
    dropped: tuple[int, ...]


def screen(
    layout: Layout, held: Sequence[PayloadFile], heights: Sequence[int], step_done: StepDone
) -> Screened:
    """Look at all payloads of a round; those that diverged stand out by their claim already."""
    contents = [payload.content for payload in held]
    dropped = repeated(contents, heights)
    first = copied(contents, dropped)
    places = [p for p in range(len(held)) if p not in dropped and not held[p].is_zero]
    if len(places) <= 1:
        return Screened(first, dropped)
    chunks = chosen_chunks(layout, [contents[place] for place in places])
    found = flagged(products(layout, [held[place] for place in places], chunks, step_done))
    return Screened(tuple(sorted({*first, *(places[each] for each in found)})), dropped)


def chosen_chunks(layout: Layout, contents: Sequence[bytes]) -> range | frozenset[int]:
    """
    Return all chunks, or as many as the work allows, drawn by what every payload contains.

    Nobody knows the draw while its own payload can still change without changing it.
    """
    count = layout.chunk_starts_C.size
    work = len(contents) ** 2 * layout.parameter_count
    if work <= MULTIPLICATIONS_MAX:
        return range(count)
    kept = max(1, count * MULTIPLICATIONS_MAX // work)
    key = sha256(SAMPLE_DOMAIN + b"".join(contents)).digest()
    return frozenset(permutation(key, 0, count)[:kept].tolist())


def products(
    layout: Layout,
    held: Sequence[Held],
    chunks: range | frozenset[int],
    step_done: StepDone,
) -> list[list[int]]:
    """Return all inner products over some chunks, in units of 2^-64."""
    count = len(held)
    rows_NN, columns_NN = np.indices((count, count))
    by_sum = np.zeros((EXPONENT_SUMS, count, count), np.int64)
    blocks = list(layout.blocks(BLOCK_VALUES // count))
    for number, block in enumerate(blocks):
        taken = [chunk for chunk in block if chunk in chunks]
        if not taken:
            continue
        parts = [payload.block(layout, block) for payload in held]
        values_NP = np.stack([values for values, _ in parts]).astype(np.float64)
        exponents_NC = np.stack([exponents for _, exponents in parts]).astype(np.int64)
        shifts_NC = exponents_NC - d8.EXPONENT_MIN
        start, _ = layout.span(block)
        for chunk in taken:
            first, end = (place - start for place in layout.span(range(chunk, chunk + 1)))
            part_NP = values_NP[:, first:end]
            shifts_N = shifts_NC[:, chunk - block.start]
            sums_NN = shifts_N[:, None] + shifts_N[None, :]
            by_sum[sums_NN, rows_NN, columns_NN] += (part_NP @ part_NP.T).astype(np.int64)
        step_done(number + 1, len(blocks), None)
    # Python integers from here: 2^60 times a chunk's product does not fit 64 bits.
    return [
        [
            sum(int(by_sum[each, i, j]) << each for each in range(EXPONENT_SUMS))
            for j in range(count)
        ]
        for i in range(count)
    ]
