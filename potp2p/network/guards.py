"""
The guards between the library and the nursery: no peer's input ends this process.

As shipped, one malformed message from any connected peer does (reference network.md, traps 1 and
2): an exception in a stream handler travels through the connection's nursery to the top.
"""

import logging
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final

import trio
from libp2p.abc import INetStream
from libp2p.host.exceptions import HostException
from libp2p.io.exceptions import IOException
from libp2p.network.connection.exceptions import RawConnError
from libp2p.network.exceptions import SwarmException
from libp2p.network.stream.exceptions import StreamError
from libp2p.stream_muxer.exceptions import MuxedConnError, MuxedStreamError

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.types import NodeId
from potp2p.network.identity import node_id_of

_log = logging.getLogger(__name__)

STREAMS_PER_PEER_MAX: Final = 128
"""Inbound streams of one peer at a time: a request stream for each of our protocols, 16 deep."""
RESET_SECONDS: Final = 1.0
"""Longest wait for a reset to leave; the peer may not be reading."""

BROKEN_EXCHANGE: Final = (
    StreamError,
    MuxedStreamError,
    MuxedConnError,
    IOException,
    RawConnError,
    SwarmException,
    HostException,
    OSError,
    trio.TooSlowError,
    trio.ClosedResourceError,
    trio.BrokenResourceError,
)
"""What a connection that breaks in mid-exchange raises: nobody's fault."""

OnFault = Callable[[NodeId, PeerError], None]


class Contained:
    """
    A block whose errors end here, kept in `error`; cancellation and exits pass through.

    A nursery that is cancelled while a task of it fails raises both in one group: the errors
    of the group end here too, and only the rest goes on. Left in the group they would outlive
    the cancellation and end the process on its way out.

    This is the only place that takes every `Exception`: the library raises all kinds on a
    peer's bytes, and the alternative is that the peer chooses when we stop.
    """

    def __init__(self) -> None:
        self.error: Exception | None = None

    def __enter__(self) -> "Contained":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if isinstance(error, Exception):
            self.error = error
            return True
        if isinstance(error, BaseExceptionGroup):
            self.error, rest = error.split(Exception)
            if rest is not None and self.error is not None:
                raise rest from None
        return False


async def reset_quietly(stream: INetStream) -> None:
    """Reset a stream, whatever state it is in, without waiting for long."""
    with trio.move_on_after(RESET_SECONDS) as scope, Contained():
        scope.shield = True
        await stream.reset()


class StreamGuard:
    """
    Wraps the one handler through which the library passes every inbound stream.

    An error ends in a reset stream; unless the connection just broke, also in a fault of the
    peer. The number of a peer's open inbound streams is bounded here, negotiation included.
    """

    def __init__(self, handler: Callable[[INetStream], Awaitable[None]], on_fault: OnFault) -> None:
        self._handler = handler
        self._on_fault = on_fault
        self._open: dict[NodeId, int] = {}

    async def handle(self, stream: INetStream) -> None:
        """Serve one inbound stream to its end."""
        peer = node_id_of(stream.muxed_conn.peer_id)
        if self._open.get(peer, 0) >= STREAMS_PER_PEER_MAX:
            self._on_fault(peer, PeerError(RejectionReason.RATE, "too many open streams"))
            await reset_quietly(stream)
            return
        self._open[peer] = self._open.get(peer, 0) + 1
        try:
            with Contained() as contained:
                await self._handler(stream)
        finally:
            self._open[peer] -= 1
            if not self._open[peer]:
                del self._open[peer]
        if contained.error is not None:
            self._judge(peer, contained.error)
            await reset_quietly(stream)
        else:
            # Not every handler of the library closes what it has served.
            with Contained():
                await stream.close()

    def _judge(self, peer: NodeId, error: Exception) -> None:
        if isinstance(error, BROKEN_EXCHANGE):
            return
        if isinstance(error, PeerError):
            self._on_fault(peer, error)
            return
        _log.debug("library failed on a peer's stream", exc_info=error)
        self._on_fault(
            peer, PeerError(RejectionReason.MALFORMED, f"library could not read: {error!r}"[:200])
        )
