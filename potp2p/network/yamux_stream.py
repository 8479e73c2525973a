"""
One Yamux stream: its buffer, its window, its credit and its two ends.

Credit is an event to wait for, and a window update leaves when half the window is used.
"""

import struct
from types import TracebackType
from typing import Final, Protocol

import trio
from libp2p.abc import IMuxedStream
from libp2p.stream_muxer.exceptions import (
    MuxedStreamClosed,
    MuxedStreamEOF,
    MuxedStreamError,
    MuxedStreamReset,
)

HEADER: Final = struct.Struct("!BBHII")
"""Version, type, flags, stream id, length."""
DATA, WINDOW_UPDATE, PING, GO_AWAY = range(4)
SYN, ACK, FIN, RST = 1, 2, 4, 8

WINDOW_BYTES: Final = 256 * 1024
"""Initial receive window of both sides, fixed by the specification."""
WINDOW_BYTES_MAX: Final = 1 << 20
"""A window doubles up to here while its reader keeps up: 10 MB/s per stream at 100 ms."""
WINDOW_GROWTH_SECONDS: Final = 0.1
CHUNK_BYTES: Final = 65_519 - HEADER.size
"""Data of one frame, so that header and data fill one Noise message."""
CREDIT_SECONDS: Final = 10.0
"""A reader that grants nothing for this long is slow; its stream is given up."""


class Carrier(Protocol):
    """What a stream needs of its connection."""

    buffered: int
    """Unread bytes of all its streams."""

    async def send(self, frame: bytes) -> None:
        """Queue a data frame, waiting for room."""

    def send_control(self, kind: int, flags: int, stream_id: int, value: int) -> None:
        """Queue a frame without data."""

    def forget_if_done(self, stream: "YamuxStream") -> None:
        """Drop a stream once neither side can add to it."""

    def get_remote_address(self) -> tuple[str, int] | None:
        """Return the peer's address."""


class YamuxStream(IMuxedStream):
    """One stream of a connection."""

    def __init__(self, stream_id: int, connection: Carrier) -> None:
        self.stream_id = stream_id
        self.muxed_conn = connection
        self.buffer = bytearray()
        self.window = WINDOW_BYTES
        """What the peer may still send."""
        self.credit = WINDOW_BYTES
        """What we may still send."""
        self.ended = False
        """The peer will send no more."""
        self.closed = False
        """We will send no more."""
        self.was_reset = False
        self.closed_at = 0.0
        self._window_size = WINDOW_BYTES
        self._consumed = 0
        self._updated_at = 0.0
        self.readable = trio.Event()
        self.granted = trio.Event()

    async def read(self, n: int | None = None) -> bytes:
        """Return what has arrived, at most n bytes; wait for the first of them."""
        if n == 0:
            return b""
        while not self.buffer:
            if self.was_reset:
                raise MuxedStreamReset("stream was reset")
            if self.ended:
                raise MuxedStreamEOF("stream has ended")
            self.readable = trio.Event()
            await self.readable.wait()
        if n is None or n < 0 or n >= len(self.buffer):
            data = bytes(self.buffer)
            self.buffer.clear()
        else:
            data = bytes(self.buffer[:n])
            del self.buffer[:n]
        self.muxed_conn.buffered -= len(data)
        self._release(len(data))
        return data

    def _release(self, size: int) -> None:
        """Grant the peer what was read, once half the window is used."""
        self._consumed += size
        if self.ended or self._consumed < self._window_size // 2:
            return
        grant = self._consumed
        now = trio.current_time()
        if now - self._updated_at < WINDOW_GROWTH_SECONDS and self._window_size < WINDOW_BYTES_MAX:
            grant += self._window_size
            self._window_size *= 2
        self._updated_at = now
        self._consumed = 0
        self.window += grant
        self.muxed_conn.send_control(WINDOW_UPDATE, 0, self.stream_id, grant)

    async def write(self, data: bytes) -> None:
        """Hand all bytes to the writer as the peer grants them."""
        view = memoryview(data)
        while view:
            if self.was_reset:
                raise MuxedStreamReset("stream was reset")
            if self.closed:
                raise MuxedStreamClosed("stream is closed")
            if not self.credit:
                await self._wait_for_credit()
                continue
            size = min(self.credit, CHUNK_BYTES, len(view))
            self.credit -= size
            header = HEADER.pack(0, DATA, 0, self.stream_id, size)
            await self.muxed_conn.send(header + view[:size])
            view = view[size:]

    async def _wait_for_credit(self) -> None:
        self.granted = trio.Event()
        with trio.move_on_after(CREDIT_SECONDS):
            await self.granted.wait()
            return
        raise MuxedStreamError("peer does not read")

    async def close(self) -> None:
        """End our side; what the peer still sends can be read."""
        if not self.closed:
            self.closed = True
            self.closed_at = trio.current_time()
            self.muxed_conn.send_control(WINDOW_UPDATE, FIN, self.stream_id, 0)
            self.muxed_conn.forget_if_done(self)
        await trio.lowlevel.checkpoint()

    async def reset(self) -> None:
        """End both sides at once."""
        if not self.was_reset and not (self.closed and self.ended):
            self.muxed_conn.send_control(WINDOW_UPDATE, RST, self.stream_id, 0)
            self.abandon()
        await trio.lowlevel.checkpoint()

    def abandon(self) -> None:
        """Take note that the stream is no more, and wake who waits on it."""
        self.was_reset = self.ended = self.closed = True
        self.muxed_conn.buffered -= len(self.buffer)
        self.buffer.clear()
        self.muxed_conn.forget_if_done(self)
        self.readable.set()
        self.granted.set()

    def set_deadline(self, ttl: int) -> bool:
        """Deadlines are the caller's cancel scopes."""
        return False

    def get_remote_address(self) -> tuple[str, int] | None:
        """Return the peer's address."""
        return self.muxed_conn.get_remote_address()

    async def __aenter__(self) -> "YamuxStream":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
