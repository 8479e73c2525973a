"""The emulated line: latency of each message, bandwidth of all connections together."""

import trio
from trio.testing import MockClock

from potp2p.network.emulation import UNDER_WAY_BYTES_MAX, DelayedWriter, Line, LinePlan


class Far:
    """The other end, which notes what comes when."""

    def __init__(self) -> None:
        self.arrived: list[tuple[float, bytes]] = []

    async def write(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self.arrived.append((round(trio.current_time() - self.began, 6), data))

    began = 0.0

    def begin(self) -> None:
        self.began = trio.current_time()


async def test_bytes_arrive_in_order_after_latency_without_waiting_for_each_other(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    far = Far()
    writer = DelayedWriter(Line(LinePlan(0.1, 0.0)), far.write)
    nursery.start_soon(writer.run)
    far.begin()
    await writer.write(b"a")
    await trio.sleep(0.03)
    await writer.write(b"b")
    await trio.sleep(1)

    assert far.arrived == [(0.1, b"a"), (0.13, b"b")]
    nursery.cancel_scope.cancel()


async def test_connections_of_a_node_share_its_bandwidth(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    line, far = Line(LinePlan(0.1, 1_000.0)), Far()
    writers = [DelayedWriter(line, far.write) for _ in range(2)]
    for writer in writers:
        nursery.start_soon(writer.run)
    far.begin()
    nursery.start_soon(writers[0].write, bytes(500))
    await trio.testing.wait_all_tasks_blocked()
    nursery.start_soon(writers[1].write, bytes(250))
    await trio.sleep(2)

    assert [(at, len(data)) for at, data in far.arrived] == [(0.6, 500), (0.85, 250)]
    nursery.cancel_scope.cancel()


async def test_a_sender_waits_for_a_full_line(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    far = Far()
    slow = DelayedWriter(Line(LinePlan(0.0, 1_000.0)), far.write)
    nursery.start_soon(slow.run)
    far.begin()
    await slow.write(bytes(1_000))
    assert round(trio.current_time() - far.began, 6) == 0.95, "a socket's worth ahead"

    long = DelayedWriter(Line(LinePlan(10.0, 0.0)), far.write)
    nursery.start_soon(long.run)
    await long.write(bytes(UNDER_WAY_BYTES_MAX + 1))
    began = trio.current_time()
    await long.write(b"more")
    assert trio.current_time() - began > 9
    nursery.cancel_scope.cancel()
