"""trio with its dice loaded: the same seed runs the same tasks in the same order."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import TypeVar

import trio
import trio._core._run as scheduler
from trio.testing import MockClock

Result = TypeVar("Result")


@contextmanager
def loaded_dice(seed: int) -> Iterator[None]:
    """
    Have every choice of the scheduler drawn from a seed.

    Both names are trio's own and private; Hypothesis' trio plugin sets the same two. They are put
    back, so that nothing else in this process loses trio's usual shuffling.
    """
    names = vars(scheduler)
    kept = {name: names[name] for name in ("_ALLOW_DETERMINISTIC_SCHEDULING", "_r")}
    names["_ALLOW_DETERMINISTIC_SCHEDULING"] = True
    names["_r"] = Random(f"potp2p/scheduling/{seed}")
    try:
        yield
    finally:
        names.update(kept)


def run_seeded(work: Callable[[], Awaitable[Result]], seed: int) -> Result:
    """Run work in virtual time, in the order that a seed gives."""
    with loaded_dice(seed):
        return trio.run(work, clock=MockClock(autojump_threshold=0))
