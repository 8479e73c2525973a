"""From what went wrong to one line and an exit code; the codes are documented and stay."""

from enum import IntEnum, unique
from typing import Final

from potp2p.foundation.errors import (
    ConfigurationError,
    FundsError,
    LockedError,
    MissingError,
    PeerError,
    Potp2pError,
    UnreachableError,
    UnsafeError,
)

LINE_CHARACTERS_MAX: Final = 400
"""A peer may have written part of a message; a line stays a line."""


@unique
class ExitCode(IntEnum):
    """What the shell is told."""

    DONE = 0
    ERROR = 1
    USAGE = 2
    CONFIGURATION = 3
    UNREACHABLE = 4
    MISSING = 5
    UNSAFE = 6
    FUNDS = 7
    LOCKED = 8
    INTERRUPTED = 130
    TERMINATED = 143


class UsageError(Potp2pError):
    """The command line lacks something that only the caller can say; exit code 2."""


class Declined(Potp2pError):
    """The caller answered no; exit code 1."""


class Stopped(Potp2pError):
    """A signal asked for the end before the work was done."""

    def __init__(self, code: ExitCode) -> None:
        super().__init__("stopped")
        self.code = code


_CODES: Final[tuple[tuple[type[BaseException], ExitCode], ...]] = (
    (UsageError, ExitCode.USAGE),
    (ConfigurationError, ExitCode.CONFIGURATION),
    (UnreachableError, ExitCode.UNREACHABLE),
    (MissingError, ExitCode.MISSING),
    (UnsafeError, ExitCode.UNSAFE),
    (FundsError, ExitCode.FUNDS),
    (LockedError, ExitCode.LOCKED),
    (Potp2pError, ExitCode.ERROR),
    (OSError, ExitCode.ERROR),
)


def exit_code_of(error: BaseException) -> ExitCode | None:
    """Return the code of an expected error, None for a bug of ours."""
    if isinstance(error, Stopped):
        return error.code
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    return None


def line_of(error: BaseException) -> str:
    """Return the one line that is shown for an expected error."""
    if isinstance(error, PeerError):
        text = f"refused ({error.reason}): {error.detail}"
    elif isinstance(error, OSError):
        text = f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")
    else:
        text = str(error)
    words = " ".join(text.split()) or type(error).__name__
    printable = "".join(letter if letter.isprintable() else "?" for letter in words)
    return printable[:LINE_CHARACTERS_MAX]


def root_cause(error: BaseException) -> BaseException:
    """
    Return the one error to tell: nurseries wrap whatever ended them.

    Of several, a bug of ours comes first, then an interruption, then the first expected error.
    """
    leaves = _leaves(error)
    for leaf in leaves:
        if not isinstance(leaf, KeyboardInterrupt) and exit_code_of(leaf) is None:
            return leaf
    for leaf in leaves:
        if isinstance(leaf, KeyboardInterrupt):
            return leaf
    return leaves[0]


def _leaves(error: BaseException) -> list[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
