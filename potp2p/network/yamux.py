"""
Yamux 1.0 over a secured connection, in place of the library's.

The library's sends a window update for every read, polls for credit every 10 ms, writes from the
caller's task (a cancelled caller then leaves half a Noise message behind and breaks the whole
connection) and only warns when a peer ignores the receive window. Here one task writes, control
frames ride along with data, credit is an event, and a peer beyond its window or our bounds loses
the connection. Wire format: https://github.com/hashicorp/yamux/blob/master/spec.md
"""

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import trio
from libp2p.abc import ConnectionType, IMuxedConn, IMuxedStream, ISecureConn
from libp2p.peer.id import ID
from libp2p.stream_muxer.exceptions import (
    MuxedConnUnavailable,
    MuxedStreamError,
)
from multiaddr import Multiaddr

from potp2p.network.emulation import DelayedWriter, Line
from potp2p.network.guards import Contained
from potp2p.network.yamux_stream import (
    ACK,
    CHUNK_BYTES,
    DATA,
    FIN,
    GO_AWAY,
    HEADER,
    PING,
    RST,
    SYN,
    WINDOW_BYTES_MAX,
    WINDOW_UPDATE,
    YamuxStream,
)

_log = logging.getLogger(__name__)

CREDIT_MAX: Final = 1 << 30
OUTGOING_BYTES_MAX: Final = 256 * 1024
"""Frames that wait for the writer; senders wait above it."""
CONTROL_BYTES_MAX: Final = 64 * 1024
"""Answers that a peer made us owe it and does not take: beyond, it is flooding."""
BUFFERED_BYTES_MAX: Final = 16 << 20
"""Unread bytes of all streams of one connection."""
STREAMS_INBOUND_MAX: Final = 256
"""Streams a peer may hold open; the guard above allows fewer and punishes more."""
WRITE_SECONDS: Final = 15.0
"""A peer that takes no byte for this long is gone."""
PING_SECONDS: Final = 5.0
SILENCE_SECONDS: Final = 15.0
"""A peer silent for this long, pings included, is frozen."""
LINGER_SECONDS: Final = 30.0
"""After our end of a stream closed, the peer has this long to close its own."""


class ProtocolViolation(Exception):
    """The peer broke the rules of the multiplexer; the connection ends."""


class YamuxConnection(IMuxedConn):
    """Streams over one secured connection; runs as one task of the swarm."""

    def __init__(self, secured_conn: ISecureConn, peer_id: ID, line: Line | None = None) -> None:
        self.secured_conn = secured_conn
        self._delayed = None if line is None else DelayedWriter(line, secured_conn.write)
        self.peer_id = peer_id
        self.on_close: Callable[[], Awaitable[None]] | None = None
        self.event_started = trio.Event()
        self.event_closed = trio.Event()
        self.event_shutting_down = trio.Event()
        self.buffered = 0
        self._streams: dict[int, YamuxStream] = {}
        self._next_id = 1 if secured_conn.is_initiator else 2
        self._accepted: deque[YamuxStream] = deque()
        self._arrived = trio.Event()
        self._control = bytearray()
        self._outgoing: deque[bytes] = deque()
        self._outgoing_bytes = 0
        self._to_write = trio.Event()
        self._room = trio.Event()
        self._heard_at = 0.0
        self._pinged_at = 0.0
        self._rtt = 0.0

    # What the library's swarm asks of a connection.

    @property
    def is_initiator(self) -> bool:
        """Whether we dialled."""
        return bool(self.secured_conn.is_initiator)

    @property
    def is_established(self) -> bool:
        """Whether streams can be opened."""
        return self.event_started.is_set() and not self.event_shutting_down.is_set()

    @property
    def is_closed(self) -> bool:
        """Whether the connection is gone."""
        return self.event_closed.is_set()

    def rtt(self) -> float:
        """Return the latest round trip in seconds; zero before the first."""
        return self._rtt

    def get_transport_addresses(self) -> list[Multiaddr]:
        """Return the peer's transport addresses."""
        return list(self.secured_conn.get_transport_addresses())

    def get_connection_type(self) -> ConnectionType:
        """Return how the peer is connected."""
        return self.secured_conn.get_connection_type()

    def get_remote_address(self) -> tuple[str, int] | None:
        """Return the peer's address."""
        return self.secured_conn.get_remote_address()

    async def start(self) -> None:
        """Carry frames both ways until the connection ends; raises nothing but cancellation."""
        self._heard_at = trio.current_time()
        try:
            with Contained() as contained:
                async with trio.open_nursery() as nursery:
                    if self._delayed is not None:
                        nursery.start_soon(self._delayed.run)
                    nursery.start_soon(self._write)
                    nursery.start_soon(self._keep_alive)
                    self.event_started.set()
                    await self._read()
                    nursery.cancel_scope.cancel()
            if contained.error is not None:
                _log.debug("connection to %s ended: %r", self.peer_id, contained.error)
        finally:
            self._shut_down()
            with trio.move_on_after(1) as scope, Contained():
                scope.shield = True
                await self.secured_conn.close()
            self.event_closed.set()
        if self.on_close is not None:
            with Contained():
                await self.on_close()

    async def close(self, error_code: int = 0) -> None:
        """Say farewell if the peer listens, and end the connection."""
        if not self.event_shutting_down.is_set():
            self.send_control(GO_AWAY, 0, 0, error_code)
            # The writer gets its turn before the socket closes under it.
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()
            self._shut_down()
        with Contained():
            await self.secured_conn.close()
        self.event_closed.set()

    async def open_stream(self) -> IMuxedStream:
        """Open a stream; the peer learns of it with the first bytes."""
        await trio.lowlevel.checkpoint()
        if self.event_shutting_down.is_set():
            raise MuxedStreamError("connection is closed")
        stream = YamuxStream(self._next_id, self)
        self._next_id += 2
        self._streams[stream.stream_id] = stream
        self.send_control(WINDOW_UPDATE, SYN, stream.stream_id, 0)
        return stream

    async def accept_stream(self) -> IMuxedStream:
        """Return the next stream the peer opened."""
        while not self._accepted:
            if self.event_shutting_down.is_set():
                raise MuxedConnUnavailable("connection is closed")
            self._arrived = trio.Event()
            await self._arrived.wait()
        return self._accepted.popleft()

    # Sending.

    async def send(self, frame: bytes) -> None:
        """Queue a data frame, waiting for room; a cancelled sender leaves it whole or unsent."""
        await trio.lowlevel.checkpoint_if_cancelled()
        while self._outgoing_bytes > OUTGOING_BYTES_MAX:
            self._raise_if_shut()
            if self._room.is_set():
                self._room = trio.Event()
            await self._room.wait()
        self._raise_if_shut()
        self._outgoing.append(frame)
        self._outgoing_bytes += len(frame)
        self._to_write.set()
        await trio.lowlevel.cancel_shielded_checkpoint()

    def send_control(self, kind: int, flags: int, stream_id: int, value: int) -> None:
        """Queue a frame without data; never waits. Stream frames keep their order with data."""
        if self.event_shutting_down.is_set():
            return
        frame = HEADER.pack(0, kind, flags, stream_id, value)
        if flags & (SYN | FIN | RST) and not flags & ACK:
            self._outgoing.append(frame)
            self._outgoing_bytes += len(frame)
        else:
            self._control += frame
        if (
            len(self._control) > CONTROL_BYTES_MAX
            or self._outgoing_bytes > OUTGOING_BYTES_MAX + CONTROL_BYTES_MAX + CHUNK_BYTES
        ):
            self._shut_down()
        self._to_write.set()

    def _raise_if_shut(self) -> None:
        if self.event_shutting_down.is_set():
            raise MuxedStreamError("connection is closed")

    async def _write(self) -> None:
        """Write what is queued, several frames in one message where they fit."""
        while not self.event_shutting_down.is_set():
            if not self._control and not self._outgoing:
                self._to_write = trio.Event()
                await self._to_write.wait()
                continue
            message = self._control
            self._control = bytearray()
            while self._outgoing:
                if message and len(message) + len(self._outgoing[0]) > CHUNK_BYTES + HEADER.size:
                    break
                frame = self._outgoing.popleft()
                self._outgoing_bytes -= len(frame)
                message += frame
            self._room.set()
            with trio.fail_after(WRITE_SECONDS):
                if self._delayed is None:
                    await self.secured_conn.write(bytes(message))
                else:
                    await self._delayed.write(bytes(message))

    async def _keep_alive(self) -> None:
        """Ping a silent peer and give up a frozen one; forget streams that linger."""
        while True:
            await trio.sleep(PING_SECONDS)
            now = trio.current_time()
            silence = now - self._heard_at
            if silence > SILENCE_SECONDS:
                raise ProtocolViolation("peer is silent")
            if silence > PING_SECONDS / 2:
                self._pinged_at = now
                self.send_control(PING, SYN, 0, 0)
            for stream in list(self._streams.values()):
                if stream.closed and now - stream.closed_at > LINGER_SECONDS:
                    await stream.reset()

    # Receiving.

    async def _read(self) -> None:
        buffer = bytearray()
        while not self.event_shutting_down.is_set():
            received = await self.secured_conn.read(None)
            if not received:
                return
            self._heard_at = trio.current_time()
            buffer += received
            offset = 0
            while len(buffer) - offset >= HEADER.size:
                _, kind, flags, stream_id, length = HEADER.unpack_from(buffer, offset)
                end = offset + HEADER.size
                if kind == DATA:
                    if length > WINDOW_BYTES_MAX:
                        raise ProtocolViolation("frame is larger than any window")
                    if len(buffer) < end + length:
                        break
                    end += length
                self._handle(kind, flags, stream_id, length, buffer[offset + HEADER.size : end])
                offset = end
            del buffer[:offset]

    def _handle(self, kind: int, flags: int, stream_id: int, length: int, data: bytearray) -> None:
        if kind == PING:
            if flags & SYN:
                self.send_control(PING, ACK, 0, length)
            elif self._pinged_at:
                self._rtt = trio.current_time() - self._pinged_at
        elif kind == GO_AWAY:
            self._shut_down()
        elif kind in (DATA, WINDOW_UPDATE):
            self._handle_stream(kind, flags, stream_id, length, data)
        else:
            raise ProtocolViolation("unknown frame type")

    def _handle_stream(
        self, kind: int, flags: int, stream_id: int, length: int, data: bytearray
    ) -> None:
        if flags & SYN:
            self._accept(stream_id)
        stream = self._streams.get(stream_id)
        if stream is None:
            return  # it was closed meanwhile
        if kind == DATA:
            if length > stream.window:
                raise ProtocolViolation("peer sent beyond its window")
            stream.window -= length
            if not stream.ended:
                stream.buffer += data
                self.buffered += length
            if self.buffered > BUFFERED_BYTES_MAX:
                raise ProtocolViolation("peer sent more than we read")
        else:
            stream.credit = min(CREDIT_MAX, stream.credit + length)
            stream.granted.set()
        if flags & FIN:
            stream.ended = True
        if flags & RST:
            stream.abandon()
        stream.readable.set()
        self.forget_if_done(stream)

    def _accept(self, stream_id: int) -> None:
        if stream_id % 2 == self._next_id % 2 or stream_id == 0 or stream_id in self._streams:
            raise ProtocolViolation("stream id is not the peer's to open")
        if len(self._streams) >= STREAMS_INBOUND_MAX:
            self.send_control(WINDOW_UPDATE, RST, stream_id, 0)
            return
        stream = YamuxStream(stream_id, self)
        self._streams[stream_id] = stream
        self._accepted.append(stream)
        self._arrived.set()
        self.send_control(WINDOW_UPDATE, ACK, stream_id, 0)

    def forget_if_done(self, stream: YamuxStream) -> None:
        """Drop a stream from the table once neither side can add to it."""
        if stream.closed and stream.ended:
            self._streams.pop(stream.stream_id, None)

    def _shut_down(self) -> None:
        """End every stream and wake everyone who waits on this connection."""
        if self.event_shutting_down.is_set():
            return
        self.event_shutting_down.set()
        for stream in list(self._streams.values()):
            stream.abandon()
        self._streams.clear()
        self._arrived.set()
        self._room.set()
        self._to_write.set()
