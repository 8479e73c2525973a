"""What a stranger's model may raise while it is built or run, and how that is put in words."""

from typing import Final

COMPUTATION_ERRORS: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""
What torch and transformers raise over numbers that do not fit each other, their data or a device.

Assertions are theirs as often as ours: a configuration that trips one must not end the process.
"""
MESSAGE_CHARACTERS_MAX: Final = 200
"""Fits every field of a report that takes words."""


def describe(error: BaseException) -> str:
    """Name an error that was not raised for us to read."""
    return printable(f"{type(error).__name__}: {error}")


def printable(text: str) -> str:
    """Return one line of ASCII, so that a message in any script has a byte a character."""
    plain = text.encode("ascii", "backslashreplace").decode()
    kept = "".join(character if character.isprintable() else " " for character in plain)
    return kept[:MESSAGE_CHARACTERS_MAX]
