"""Tasks as people name them: by how their id begins."""

from typing import Final

from potp2p.client.history import tasks_in_blocks
from potp2p.client.session import Client
from potp2p.foundation.errors import ConfigurationError, MissingError, PeerError, UnreachableError
from potp2p.foundation.limits import TASK_SEARCH_HEIGHTS_MAX
from potp2p.foundation.types import Digest, Height, TaskId

TASK_HEX_DIGITS: Final = 64
HEX_DIGITS: Final = frozenset("0123456789abcdef")


def read_digits(text: str) -> str:
    """Read the id of a task, or how it begins."""
    digits = text.lower()
    if not 0 < len(digits) <= TASK_HEX_DIGITS or not set(digits) <= HEX_DIGITS:
        raise ConfigurationError(f"task {text!r} is not made of 1 to {TASK_HEX_DIGITS} hex digits")
    return digits


async def task_of(client: Client, digits: str) -> TaskId:
    """
    Return the task whose id begins with these digits.

    The state lists open tasks; of those that are over it knows the records and no names, so the
    newest blocks are searched for the order. What a peer shows there is a name only: whatever is
    asked about the task afterwards is proved by itself.
    """
    if len(digits) == TASK_HEX_DIGITS:
        return TaskId(Digest(int(digits, 16).to_bytes(TASK_HEX_DIGITS // 2, "big")))
    chain = await client.chain()
    known = dict.fromkeys((*chain.tasks, *chain.unsettled))
    found = [TaskId(Digest(task)) for task in known if task.hex().startswith(digits)]
    if not found:
        found = await _of_the_past(client, digits)
    if len(found) > 1:
        raise ConfigurationError(f"{len(found)} tasks begin with {digits}: give more digits")
    return found[0]


async def _of_the_past(client: Client, digits: str) -> list[TaskId]:
    """Return what was ordered lately under such an id; MissingError where nothing was."""
    last = await client.height()
    first = Height(max(1, last - TASK_SEARCH_HEIGHTS_MAX + 1))
    try:
        ordered = await tasks_in_blocks(client, first, last)
    except (PeerError, UnreachableError) as error:
        raise MissingError(
            f"no open task begins with {digits}, and the blocks with older orders cannot be "
            f"searched ({error}): give all {TASK_HEX_DIGITS} digits"
        ) from error
    found = [task for task in ordered if task.hex().startswith(digits)]
    if not found:
        raise MissingError(
            f"no open task begins with {digits}, nor one that was ordered from height {first:,} "
            f"on; an older one needs all {TASK_HEX_DIGITS} digits"
        )
    return found
