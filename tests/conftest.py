"""What every test may rely on: no deadline that a busy machine misses, no state between runs."""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import pytest
import trio
from hypothesis import settings
from trio.abc import Clock, Instrument

from potp2p.simulation.scheduling import loaded_dice

CLOCK = "autojump_clock"

# Derandomised: a failure in a clean clone is the same failure here. New seeds are a nightly's job.
settings.register_profile("house", deadline=None, derandomize=True, database=None)
settings.load_profile("house")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run every asynchronous test in the same order each time, and on the clock it asked for."""
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            # In front of the marker of the plugin, which takes the first it finds.
            item.add_marker(pytest.mark.trio(run=partial(_run, item)), append=False)


def _run(
    item: pytest.Function,
    work: Callable[[], Awaitable[None]],
    *,
    clock: Clock | None,
    instruments: Sequence[Instrument],
) -> None:
    """The plugin looks for a clock only among the test's own arguments, not its fixtures'."""
    asked = item.funcargs.get(CLOCK)
    if isinstance(asked, Clock):
        clock = asked
    with loaded_dice(0):
        trio.run(work, clock=clock, instruments=instruments)
