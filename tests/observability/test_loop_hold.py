"""The meter of the loop's holds: what it keeps, and that it reaches the status."""

from dataclasses import dataclass, replace

import trio

from potp2p.observability.loop_hold import SLICES_KEPT, LoopHoldMeter
from potp2p.observability.representation import status_document
from potp2p.observability.status import LoopStatus
from tests.doubles.status import validator_status


@dataclass
class Clock:
    """A clock that tasks move."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


async def test_nothing_is_told_before_a_slice_has_ended() -> None:
    assert LoopHoldMeter(Clock()).read() is None


async def test_short_steps_do_not_hide_a_long_one() -> None:
    clock = Clock()
    meter = LoopHoldMeter(clock)
    trio.lowlevel.add_instrument(meter)
    await trio.lowlevel.checkpoint()
    for _ in range(50):
        clock.now += 0.0001
        await trio.lowlevel.checkpoint()
    clock.now += 0.09
    await trio.lowlevel.checkpoint()
    clock.now += 0.02
    await trio.lowlevel.checkpoint()
    trio.lowlevel.remove_instrument(meter)

    read = meter.read()
    assert read is not None
    assert 0.089 < read.hold_max < 0.091


async def test_step_in_which_the_meter_was_added_is_not_counted() -> None:
    clock = Clock()
    meter = LoopHoldMeter(clock)
    trio.lowlevel.add_instrument(meter)
    clock.now += 5.0
    await trio.lowlevel.checkpoint()
    clock.now += 0.2
    await trio.lowlevel.checkpoint()
    clock.now += 0.2
    await trio.lowlevel.checkpoint()
    trio.lowlevel.remove_instrument(meter)

    read = meter.read()
    assert read is not None
    assert read.hold_max < 1.0


async def test_memory_is_bounded_and_a_new_window_forgets() -> None:
    clock = Clock()
    meter = LoopHoldMeter(clock)
    trio.lowlevel.add_instrument(meter)
    for _ in range(2 * SLICES_KEPT):
        clock.now += 0.15
        await trio.lowlevel.checkpoint()
    trio.lowlevel.remove_instrument(meter)

    assert len(meter._slices) == SLICES_KEPT
    meter.forget()
    assert meter.read() is None


def test_status_tells_the_hold_in_milliseconds() -> None:
    status = replace(validator_status(), loop=LoopStatus(0.0011, 0.0202, 0.25))

    assert status_document(status)["loop"] == {
        "hold_p50_ms": 1.1,
        "hold_p99_ms": 20.2,
        "hold_max_ms": 250.0,
    }
    assert status_document(validator_status())["loop"] is None
