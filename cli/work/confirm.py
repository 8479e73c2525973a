"""Asking before money moves; without a person, only `--yes` answers."""

import sys

from cli.exits import Declined, UsageError
from cli.output import is_person_there


def expect_answer(*, yes: bool) -> None:
    """Refuse at once where nobody could answer what will be asked."""
    if not yes and not is_person_there():
        raise UsageError("nobody is here to confirm spending: give --yes")


def confirm(question: str, *, yes: bool) -> None:
    """Return when the answer is yes."""
    if yes:
        return
    expect_answer(yes=yes)
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise Declined("not confirmed; nothing was sent")
