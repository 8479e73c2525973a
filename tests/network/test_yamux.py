"""The multiplexer alone, over an in-memory pipe: ours against ours, and against liars."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from libp2p.abc import ConnectionType
from libp2p.peer.id import ID
from libp2p.stream_muxer.exceptions import (
    MuxedConnUnavailable,
    MuxedStreamEOF,
    MuxedStreamError,
    MuxedStreamReset,
)

from potp2p.network.yamux import (
    OUTGOING_BYTES_MAX,
    SILENCE_SECONDS,
    STREAMS_INBOUND_MAX,
    YamuxConnection,
)
from potp2p.network.yamux_stream import (
    DATA,
    FIN,
    GO_AWAY,
    HEADER,
    SYN,
    WINDOW_BYTES,
    WINDOW_UPDATE,
    YamuxStream,
)

PEER = ID(b"peer")


class Pipe:
    """One end of an in-memory secured connection."""

    def __init__(self, stream: trio.abc.Stream, *, is_initiator: bool) -> None:
        self.stream = stream
        self.is_initiator = is_initiator

    async def read(self, n: int | None = None) -> bytes:
        """Return what arrived."""
        return bytes(await self.stream.receive_some(n))  # type: ignore[attr-defined]

    async def write(self, data: bytes) -> None:
        """Send."""
        await self.stream.send_all(data)

    async def close(self) -> None:
        """Close."""
        await self.stream.aclose()

    def get_remote_address(self) -> tuple[str, int] | None:
        """No address in memory."""
        return None

    def get_transport_addresses(self) -> list[object]:
        """No address in memory."""
        return []

    def get_connection_type(self) -> ConnectionType:
        """As good as direct."""
        return ConnectionType.DIRECT


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[YamuxConnection, YamuxConnection]]:
    """Two running connections that face each other."""
    left, right = trio.testing.memory_stream_pair()
    dialler = YamuxConnection(Pipe(left, is_initiator=True), PEER)
    listener = YamuxConnection(Pipe(right, is_initiator=False), PEER)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(dialler.start)
        nursery.start_soon(listener.start)
        yield dialler, listener
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def facing_a_liar() -> AsyncIterator[tuple[YamuxConnection, trio.abc.Stream]]:
    """A running listener and the raw other end."""
    left, right = trio.testing.memory_stream_pair()
    connection = YamuxConnection(Pipe(right, is_initiator=False), PEER)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.start)
        await connection.event_started.wait()
        yield connection, left
        nursery.cancel_scope.cancel()


async def read_all(stream: YamuxStream) -> bytes:
    """Read to the end."""
    received = bytearray()
    while True:
        try:
            received += await stream.read(10_000)
        except MuxedStreamEOF:
            return bytes(received)


async def test_large_messages_cross_in_both_directions_at_once() -> None:
    sent = bytes(range(256)) * 20_000
    async with connected() as (dialler, listener):
        ours = await dialler.open_stream()
        results: list[bytes] = []

        async def talk(stream: YamuxStream) -> None:
            async with trio.open_nursery() as nursery:

                async def say() -> None:
                    await stream.write(sent)
                    await stream.close()

                nursery.start_soon(say)
                results.append(await read_all(stream))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk, ours)
            nursery.start_soon(talk, await listener.accept_stream())
        assert results == [sent, sent]
        await trio.testing.wait_all_tasks_blocked()
        assert dialler._streams == listener._streams == {}
        assert dialler.buffered == listener.buffered == 0


async def test_small_reads_send_no_update_each() -> None:
    async with connected() as (dialler, listener):
        stream = await dialler.open_stream()
        await stream.write(b"x" * 1_000)
        other = await listener.accept_stream()
        for _ in range(1_000):
            await other.read(1)
        await trio.testing.wait_all_tasks_blocked()
        assert stream.credit == WINDOW_BYTES - 1_000


async def test_cancelled_writer_leaves_the_connection_whole() -> None:
    async with connected() as (dialler, listener):
        stream = await dialler.open_stream()
        with trio.move_on_after(0.01) as scope:
            await stream.write(b"x" * 10_000_000)
        assert scope.cancelled_caught
        await stream.reset()
        healthy = await dialler.open_stream()
        await healthy.write(b"still in frame")
        await listener.accept_stream()
        assert await (await listener.accept_stream()).read() == b"still in frame"


async def test_writer_waits_for_a_reader_and_gives_up_in_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with connected() as (dialler, _):
        stream = await dialler.open_stream()
        start = trio.current_time()
        with pytest.raises(MuxedStreamError, match="peer does not read"):
            await stream.write(b"x" * (WINDOW_BYTES + 1))
        assert trio.current_time() - start == pytest.approx(10)


async def test_reset_and_end_are_different_and_buffered_bytes_precede_an_end() -> None:
    async with connected() as (dialler, listener):
        ended, dropped = await dialler.open_stream(), await dialler.open_stream()
        await ended.write(b"last words")
        await ended.close()
        await dropped.reset()
        first, second = await listener.accept_stream(), await listener.accept_stream()
        assert await first.read() == b"last words"
        with pytest.raises(MuxedStreamEOF):
            await first.read()
        with pytest.raises(MuxedStreamReset):
            await second.read()


async def test_close_ends_every_wait() -> None:
    async with connected() as (dialler, listener):
        stream = await dialler.open_stream()
        await stream.write(b"x")
        other = await listener.accept_stream()
        await other.read()
        ends: list[str] = []

        async def wait(what: str, exchange: object) -> None:
            try:
                await exchange  # type: ignore[misc]
            except (MuxedStreamError, MuxedConnUnavailable):
                ends.append(what)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait, "read", other.read())
            nursery.start_soon(wait, "accept", listener.accept_stream())
            await trio.testing.wait_all_tasks_blocked()
            await dialler.close()
        assert sorted(ends) == ["accept", "read"]
        await listener.event_closed.wait()
        with pytest.raises(MuxedStreamError):
            await listener.open_stream()


def frame(kind: int, flags: int, stream_id: int, length: int, data: bytes = b"") -> bytes:
    """Return raw bytes on the wire."""
    return HEADER.pack(0, kind, flags, stream_id, length) + data


VIOLATIONS = {
    "beyond the window": frame(DATA, SYN, 1, WINDOW_BYTES, bytes(WINDOW_BYTES))
    + frame(DATA, 0, 1, 1, b"x"),
    "gigantic frame": frame(DATA, SYN, 1, 1 << 31),
    "our stream id": frame(WINDOW_UPDATE, SYN, 2, 0),
    "stream zero": frame(WINDOW_UPDATE, SYN, 0, 0),
    "stream opened twice": frame(WINDOW_UPDATE, SYN, 1, 0) * 2,
    "unknown type": frame(9, 0, 0, 0),
    "farewell": frame(GO_AWAY, 0, 0, 0),
}


@pytest.mark.parametrize("message", VIOLATIONS.values(), ids=VIOLATIONS.keys())
async def test_violation_ends_the_connection_and_nothing_else(message: bytes) -> None:
    async with facing_a_liar() as (connection, wire):
        with trio.fail_after(60):
            await wire.send_all(message)
            await connection.event_closed.wait()


async def test_frames_of_unknown_streams_are_ignored() -> None:
    async with facing_a_liar() as (connection, wire):
        await wire.send_all(frame(DATA, 0, 77, 3, b"abc") + frame(WINDOW_UPDATE, FIN, 99, 5))
        await wire.send_all(frame(DATA, SYN, 1, 5, b"hello"))
        assert await (await connection.accept_stream()).read() == b"hello"


async def test_streams_beyond_the_bound_are_reset() -> None:
    async with facing_a_liar() as (connection, wire):
        for index in range(STREAMS_INBOUND_MAX + 50):
            await wire.send_all(frame(WINDOW_UPDATE, SYN, 2 * index + 1, 0))
        await trio.testing.wait_all_tasks_blocked()
        assert len(connection._streams) == STREAMS_INBOUND_MAX


async def test_peer_that_makes_us_answer_and_never_reads_loses_the_connection() -> None:
    left, right = trio.testing.memory_stream_pair()
    plugged = Pipe(right, is_initiator=False)

    async def never(data: bytes) -> None:
        await trio.sleep_forever()

    plugged.write = never  # type: ignore[method-assign]
    connection = YamuxConnection(plugged, PEER)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.start)
        with trio.fail_after(60):
            while not connection.event_shutting_down.is_set():
                await left.send_all(frame(2, SYN, 0, 7) * 1_000)
                await trio.testing.wait_all_tasks_blocked()
        assert len(connection._control) < OUTGOING_BYTES_MAX
        nursery.cancel_scope.cancel()


async def test_frozen_peer_is_given_up(autojump_clock: trio.testing.MockClock) -> None:
    async with facing_a_liar() as (connection, _):
        start = trio.current_time()
        await connection.event_closed.wait()
        assert SILENCE_SECONDS <= trio.current_time() - start <= SILENCE_SECONDS + 6


async def test_idle_peers_keep_each_other_alive(autojump_clock: trio.testing.MockClock) -> None:
    async with connected() as (dialler, listener):
        await trio.sleep(10 * SILENCE_SECONDS)
        assert dialler.is_established
        assert listener.is_established
        assert dialler.rtt() >= 0
