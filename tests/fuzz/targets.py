"""One decoder under test: how it is called, what it may raise, what goes in, what comes back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from tests.fuzz.mutations import ANY, Mutate

MEMORY_FREE = 512 * 1024
"""Bytes that a decoder may take whatever its input: twice CBOR_DENSITY_FREE_BYTES."""


@dataclass(frozen=True)
class Target:
    """
    A decoder and what is promised of it.

    `decode` returns a value or raises one of `rejections`. `seed` makes a valid input. `encode`
    turns a decoded value back into the bytes that it came from; None where several spellings are
    legal, and `encode` then must not be promised.
    """

    name: str
    decode: Callable[[bytes], object]
    rejections: tuple[type[Exception], ...]
    seed: Callable[[Random], bytes]
    encode: Callable[[object], bytes] | None = None
    mutators: Sequence[Mutate] = field(default=ANY)
    heavy: Callable[[Random], bytes] | None = None
    memory_free: int = MEMORY_FREE
    memory_reason: str = ""
    """Why the allowance is another."""
