"""Of timers that are due at once, what the first one brings about may stop the others."""

import pytest
import trio
from trio.testing import MockClock

from potp2p.foundation.types import Height, View
from potp2p.protocol.consensus.effects import SetTimer
from potp2p.protocol.consensus.events import Timer, TimerFired
from potp2p.services.consensus_timers import TimerTable

FIRST, SECOND = list(Timer)[:2]
AT = Height(3)


def due_in(timer: Timer, milliseconds: int) -> SetTimer:
    return SetTimer(timer, AT, View(0), milliseconds)


@pytest.mark.parametrize("clears", [True, False])
async def test_timers_that_are_stopped_while_another_fires_do_not_fire(
    clears: bool, autojump_clock: MockClock
) -> None:
    table = TimerTable()
    fired_out, fired = trio.open_memory_channel[TimerFired](0)
    async with trio.open_nursery() as nursery:
        table.set(due_in(FIRST, 100))
        table.set(due_in(SECOND, 100))
        nursery.start_soon(table.run, fired_out)
        await trio.sleep(1)
        if clears:
            table.clear()
        else:
            table.cancel(SECOND)
        assert (await fired.receive()).timer is FIRST
        with trio.move_on_after(60) as scope:
            await fired.receive()
        assert scope.cancelled_caught
        nursery.cancel_scope.cancel()


async def test_a_timer_that_is_set_anew_while_another_fires_fires_once_and_later(
    autojump_clock: MockClock,
) -> None:
    table = TimerTable()
    fired_out, fired = trio.open_memory_channel[TimerFired](0)
    async with trio.open_nursery() as nursery:
        table.set(due_in(FIRST, 100))
        table.set(due_in(SECOND, 100))
        nursery.start_soon(table.run, fired_out)
        await trio.sleep(1)
        table.set(due_in(SECOND, 5_000))
        assert (await fired.receive()).timer is FIRST
        assert (await fired.receive()).timer is SECOND
        assert trio.current_time() >= 5, "not at the time that was given up"
        with trio.move_on_after(60) as scope:
            await fired.receive()
        assert scope.cancelled_caught
        nursery.cancel_scope.cancel()
