"""
Where each tensor lies in the one flat vector that the arithmetic works on.

Suffixes: P = all parameters, in the order of sorted names; B = all float buffers, likewise;
C = chunks of at most 4096 values that never span two tensors.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import prod
from typing import Final

import numpy as np

from potp2p.training.tensors import Int64

CHUNK_VALUES: Final = 4096
"""Values that share one exponent (`reference/exchange.md` 3.3, D8)."""


@dataclass(frozen=True)
class Layout:
    """Names and shapes of parameters and float buffers, each sorted by name."""

    parameters: tuple[tuple[str, tuple[int, ...]], ...]
    buffers: tuple[tuple[str, tuple[int, ...]], ...]

    def __post_init__(self) -> None:
        for table in (self.parameters, self.buffers):
            names = [name for name, _ in table]
            assert names == sorted(set(names)), "names sorted and once each"

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """Start of each parameter tensor in P, and the end of the last."""
        return _offsets(self.parameters)

    @cached_property
    def buffer_offsets(self) -> tuple[int, ...]:
        """Start of each buffer in B, and the end of the last."""
        return _offsets(self.buffers)

    @property
    def parameter_count(self) -> int:
        """Length of P."""
        return self.offsets[-1]

    @property
    def buffer_count(self) -> int:
        """Length of B."""
        return self.buffer_offsets[-1]

    @cached_property
    def chunk_starts_C(self) -> Int64:
        """First value of each chunk in P."""
        starts = [
            np.arange(start, end, CHUNK_VALUES, dtype=np.int64)
            for start, end in pairwise(self.offsets)
        ]
        return np.concatenate(starts) if starts else np.empty(0, np.int64)

    @cached_property
    def chunk_lengths_C(self) -> Int64:
        """Values in each chunk: full, or what is left of the tensor."""
        return np.diff(self.chunk_starts_C, append=self.parameter_count)

    def span(self, chunks: range) -> tuple[int, int]:
        """Return first and end place in P of neighbouring chunks."""
        starts_C = self.chunk_starts_C
        end = self.parameter_count if chunks.stop == starts_C.size else int(starts_C[chunks.stop])
        return int(starts_C[chunks.start]), end

    def blocks(self, values_max: int) -> Iterator[range]:
        """Cut all chunks into neighbouring ones of about so many values, at least one each."""
        first, start = 0, 0
        for chunk, length in enumerate(self.chunk_lengths_C.tolist()):
            if chunk > first and start + length > values_max:
                yield range(first, chunk)
                first, start = chunk, 0
            start += length
        if self.chunk_starts_C.size:
            yield range(first, self.chunk_starts_C.size)

    @cached_property
    def tensor_first_chunks(self) -> tuple[int, ...]:
        """Index of each tensor's first chunk; a tensor without values has none of its own."""
        return tuple(int(i) for i in np.searchsorted(self.chunk_starts_C, self.offsets[:-1]))


def _offsets(table: tuple[tuple[str, tuple[int, ...]], ...]) -> tuple[int, ...]:
    offsets = [0]
    for _, shape in table:
        offsets.append(offsets[-1] + prod(shape))
    return tuple(offsets)
