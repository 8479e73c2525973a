"""
The Streams port: requests with deadlines and posts on long-lived streams, framed and bounded.

Request streams are kept open and used again, since opening one costs five round trips' work. A
server that closed a kept stream meanwhile is asked once more on a fresh one, and only then.
"""

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.host.basic_host import BasicHost
from libp2p.host.exceptions import StreamFailure

from potp2p.foundation.errors import OperatingError, PeerError, RejectionReason, UnreachableError
from potp2p.foundation.limits import (
    MESSAGE_BYTES_MAX,
    POST_INBOX_MAX,
    POST_QUEUE_BYTES_MAX,
    POST_QUEUE_MAX,
    REQUEST_BYTES_MAX,
)
from potp2p.foundation.types import NodeId
from potp2p.network.frames import (
    REPLY_BYTES_MAX,
    STATUS_OK,
    EndOfStream,
    FrameReader,
    encode_frame,
    encode_refusal,
    encode_reply,
)
from potp2p.network.gossip import Inbox
from potp2p.network.guards import BROKEN_EXCHANGE, Contained, OnFault, reset_quietly
from potp2p.network.identity import node_id_of, peer_id_of
from potp2p.network.peers import Conduct
from potp2p.network.ports import Answer, Heard, StreamProtocol

_log = logging.getLogger(__name__)

IDLE_SECONDS: Final = 60.0
"""A stream without traffic this long is closed by whoever notices first."""
KEPT_STREAMS_MAX: Final = 4
"""Idle request streams kept per peer and protocol."""
ANSWER_SECONDS: Final = 60.0
"""Longest a handler may take, the writing of its answer included."""
SERVED_STREAMS_MAX: Final = 16
"""Request streams of one peer and protocol served at a time."""
REQUESTS_AT_ONCE: Final = 8
"""Requests to one peer on one protocol at a time; more wait for their turn."""
POST_STREAMS_MAX: Final = 2
"""Post streams of one peer and protocol: the one in use, and one that replaces it."""
POST_RETRIES_MAX: Final = 4
POST_RETRY_SECONDS: Final = 0.25
"""First pause after a failed post, doubled per failure: what a restart of the peer takes."""
WRITE_SECONDS: Final = 10.0
"""A peer that does not read for this long is slow; its stream is reset."""

UNRATED: Final = frozenset({StreamProtocol.BLOBS})
"""Protocols without an allowance of requests: a fast network moves hundreds of chunks a second."""

Reach = Callable[[NodeId], Awaitable[None]]
StreamHandler = Callable[[INetStream], Awaitable[None]]


def protocol_id(protocol: StreamProtocol) -> TProtocol:
    """Return the libp2p protocol id of a stream protocol."""
    return TProtocol(f"/potp2p/{protocol}/1")


@dataclass(slots=True)
class _Lane:
    """Posts that wait for one peer on one protocol."""

    peer: NodeId
    protocol: StreamProtocol
    waiting: deque[bytes] = field(default_factory=deque[bytes])
    waiting_bytes: int = 0
    lost: int = 0
    filled: trio.Event = field(default_factory=trio.Event)

    def put(self, body: bytes) -> None:
        """Queue a post; the oldest go when there are too many."""
        self.waiting.append(body)
        self.waiting_bytes += len(body)
        while len(self.waiting) > POST_QUEUE_MAX or self.waiting_bytes > POST_QUEUE_BYTES_MAX:
            self.waiting_bytes -= len(self.waiting.popleft())
            self.lost += 1
        self.filled.set()

    def clear(self) -> None:
        """Give up on everything that waits."""
        self.lost += len(self.waiting)
        self.waiting.clear()
        self.waiting_bytes = 0


@dataclass(slots=True)
class _Kept:
    """An open request stream between two requests."""

    stream: INetStream
    reader: FrameReader
    since: float


class LibraryStreams:
    """Satisfies Streams."""

    def __init__(self, conduct: Conduct, penalise: OnFault, expel: OnFault) -> None:
        self._conduct = conduct
        self._penalise = penalise
        self._expel = expel
        self._answers: dict[StreamProtocol, Answer] = {}
        self._inboxes: dict[StreamProtocol, Inbox] = {}
        self._lanes: dict[tuple[NodeId, StreamProtocol], _Lane] = {}
        self._new_lanes: deque[_Lane] = deque()
        self._lane_opened = trio.Event()
        self._kept: dict[tuple[NodeId, StreamProtocol], list[_Kept]] = {}
        self._asking: dict[tuple[NodeId, StreamProtocol], trio.CapacityLimiter] = {}
        self._serving: dict[tuple[NodeId, StreamProtocol], int] = {}
        self._host: BasicHost | None = None
        self._reach: Reach | None = None
        self._running = trio.Event()
        self._lost_with_lanes = 0

    def lost(self) -> int:
        """Return how many posts were dropped, on their way out and in."""
        waiting = sum(lane.lost for lane in self._lanes.values())
        return self._lost_with_lanes + waiting + sum(box.lost for box in self._inboxes.values())

    # The port.

    def serve(self, protocol: StreamProtocol, answer: Answer) -> None:
        """Answer requests of a protocol; before the network starts."""
        assert self._host is None, "serve before the network starts"
        assert protocol not in self._answers, f"{protocol} is served already"
        self._answers[protocol] = answer

    def listen(self, protocol: StreamProtocol) -> trio.MemoryReceiveChannel[Heard]:
        """Return the bounded inbox of posts; before the network starts."""
        assert self._host is None, "listen before the network starts"
        assert protocol not in self._inboxes, f"{protocol} has a listener already"
        self._inboxes[protocol] = Inbox(POST_INBOX_MAX)
        return self._inboxes[protocol].channel

    def post(self, peer: NodeId, protocol: StreamProtocol, body: bytes) -> None:
        """Queue a message on the long-lived stream to a peer."""
        assert len(body) <= MESSAGE_BYTES_MAX, "the caller bounds its posts"
        lane = self._lanes.get((peer, protocol))
        if lane is None:
            lane = self._lanes[peer, protocol] = _Lane(peer, protocol)
            self._new_lanes.append(lane)
            self._lane_opened.set()
        lane.put(body)

    async def request(
        self, peer: NodeId, protocol: StreamProtocol, body: bytes, *, deadline_seconds: float
    ) -> bytes:
        """Ask one peer and return its answer."""
        assert len(body) <= REQUEST_BYTES_MAX, "the caller bounds its requests"
        with trio.move_on_after(deadline_seconds):
            await self._running.wait()
            turn = self._asking.setdefault((peer, protocol), trio.CapacityLimiter(REQUESTS_AT_ONCE))
            try:
                async with turn:
                    return await self._ask(peer, protocol, body)
            except PeerError as error:
                self._expel(peer, error)
                raise UnreachableError(f"peer {peer.hex()[:12]} answered badly: {error}") from error
            except BROKEN_EXCHANGE as error:
                raise UnreachableError(
                    f"peer {peer.hex()[:12]} broke off {protocol}: {type(error).__name__}"
                ) from error
        raise UnreachableError(f"peer {peer.hex()[:12]} did not answer {protocol} in time")

    # The inside of requests.

    async def _ask(self, peer: NodeId, protocol: StreamProtocol, body: bytes) -> bytes:
        kept = self._take_kept(peer, protocol)
        if kept is not None:
            try:
                return await self._exchange(kept, peer, protocol, body)
            except (EndOfStream, *BROKEN_EXCHANGE):
                _log.debug("kept stream of %s was closed", protocol)
        fresh = await self._open(peer, protocol)
        reader = FrameReader(fresh, REPLY_BYTES_MAX)
        try:
            return await self._exchange(_Kept(fresh, reader, 0.0), peer, protocol, body)
        except EndOfStream as error:
            raise UnreachableError(
                f"peer {peer.hex()[:12]} ended {protocol} without an answer"
            ) from error

    async def _exchange(
        self, kept: _Kept, peer: NodeId, protocol: StreamProtocol, body: bytes
    ) -> bytes:
        whole = False
        try:
            await kept.stream.write(encode_frame(body))
            reply = await kept.reader.read()
            if not reply:
                raise PeerError(RejectionReason.MALFORMED, "reply without a status byte")
            whole = True
        finally:
            if not whole:
                await reset_quietly(kept.stream)
        await self._keep(kept, peer, protocol)
        if reply[0] != STATUS_OK:
            reason = reply[1:].decode(errors="replace")[:200]
            raise UnreachableError(f"peer {peer.hex()[:12]} refused {protocol}: {reason}")
        return reply[1:]

    def _take_kept(self, peer: NodeId, protocol: StreamProtocol) -> _Kept | None:
        kept = self._kept.get((peer, protocol), [])
        while kept:
            latest = kept.pop()
            # Half the server's patience: below it the stream is almost surely still open.
            if trio.current_time() - latest.since < IDLE_SECONDS / 2:
                return latest
        self._kept.pop((peer, protocol), None)
        return None

    async def _keep(self, kept: _Kept, peer: NodeId, protocol: StreamProtocol) -> None:
        idle = self._kept.setdefault((peer, protocol), [])
        if len(idle) >= KEPT_STREAMS_MAX:
            await kept.stream.close()
            return
        kept.since = trio.current_time()
        idle.append(kept)

    async def _open(self, peer: NodeId, protocol: StreamProtocol) -> INetStream:
        assert self._host is not None
        assert self._reach is not None
        await self._reach(peer)
        try:
            return await self._host.new_stream(peer_id_of(peer), [protocol_id(protocol)])
        except StreamFailure as error:
            raise UnreachableError(f"peer {peer.hex()[:12]} does not serve {protocol}") from error

    # The inside of posts.

    async def run(self, host: BasicHost, reach: Reach) -> None:
        """Register every handler, then carry posts until cancelled."""
        self._host, self._reach = host, reach
        for protocol, answer in self._answers.items():
            host.set_stream_handler(protocol_id(protocol), self._server(protocol, answer))
        for protocol, inbox in self._inboxes.items():
            host.set_stream_handler(protocol_id(protocol), self._receiver(protocol, inbox))
        self._running.set()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._sweep)
            while True:
                while self._new_lanes:
                    nursery.start_soon(self._carry, self._new_lanes.popleft())
                self._lane_opened = trio.Event()
                await self._lane_opened.wait()

    async def _carry(self, lane: _Lane) -> None:
        """Write a lane's posts until it falls idle or its peer is gone for good."""
        stream: INetStream | None = None
        failures = 0
        while failures < POST_RETRIES_MAX:
            if not lane.waiting:
                lane.filled = trio.Event()
                with trio.move_on_after(IDLE_SECONDS):
                    await lane.filled.wait()
                if not lane.waiting:
                    break
            try:
                if stream is None:
                    stream = await self._open(lane.peer, lane.protocol)
                body = lane.waiting[0]
                with trio.fail_after(WRITE_SECONDS):
                    await stream.write(encode_frame(body))
            except (OperatingError, *BROKEN_EXCHANGE):
                if stream is not None:
                    await reset_quietly(stream)
                stream = None
                await trio.sleep(POST_RETRY_SECONDS * 2**failures)
                failures += 1
                continue
            failures = 0
            # A full queue may have dropped it while it was on its way.
            if lane.waiting and lane.waiting[0] is body:
                lane.waiting.popleft()
                lane.waiting_bytes -= len(body)
        lane.clear()
        self._lost_with_lanes += lane.lost
        del self._lanes[lane.peer, lane.protocol]
        if stream is not None:
            await reset_quietly(stream)

    async def _sweep(self) -> None:
        """Close kept streams before the server does."""
        while True:
            await trio.sleep(IDLE_SECONDS / 2)
            for key, kept in list(self._kept.items()):
                while kept and trio.current_time() - kept[0].since > IDLE_SECONDS / 2:
                    await reset_quietly(kept.pop(0).stream)
                if not kept:
                    self._kept.pop(key, None)
            for key, turn in list(self._asking.items()):
                statistics = turn.statistics()
                if not statistics.borrowed_tokens and not statistics.tasks_waiting:
                    del self._asking[key]

    # Serving.

    def _server(self, protocol: StreamProtocol, answer: Answer) -> StreamHandler:
        async def serve(stream: INetStream, peer: NodeId) -> None:
            reader = FrameReader(stream, REQUEST_BYTES_MAX)
            while True:
                with trio.fail_after(IDLE_SECONDS):
                    body = await reader.read()
                with trio.fail_after(ANSWER_SECONDS):
                    reply = await self._answer(peer, protocol, body, answer)
                    await stream.write(reply)

        return self._bounded(protocol, SERVED_STREAMS_MAX, serve)

    def _receiver(self, protocol: StreamProtocol, inbox: Inbox) -> StreamHandler:
        async def receive(stream: INetStream, peer: NodeId) -> None:
            reader = FrameReader(stream)
            while True:
                with trio.fail_after(2 * IDLE_SECONDS):
                    body = await reader.read()
                if self._conduct.allows(peer, len(body)):
                    inbox.put(Heard(peer, body))
                else:
                    self._penalise(peer, PeerError(RejectionReason.RATE, f"{protocol} posts"))

        return self._bounded(protocol, POST_STREAMS_MAX, receive)

    def _bounded(
        self,
        protocol: StreamProtocol,
        streams_max: int,
        handle: Callable[[INetStream, NodeId], Awaitable[None]],
    ) -> StreamHandler:
        """Wrap a handler with the bound on a peer's streams; the end of a stream ends it well."""

        async def bounded(stream: INetStream) -> None:
            peer = node_id_of(stream.muxed_conn.peer_id)
            key = (peer, protocol)
            if self._serving.get(key, 0) >= streams_max:
                self._penalise(peer, PeerError(RejectionReason.RATE, f"{protocol} streams"))
                await reset_quietly(stream)
                return
            self._serving[key] = self._serving.get(key, 0) + 1
            try:
                await handle(stream, peer)
            except EndOfStream:
                await stream.close()
            finally:
                self._serving[key] -= 1
                if not self._serving[key]:
                    del self._serving[key]

        return bounded

    async def _answer(
        self, peer: NodeId, protocol: StreamProtocol, body: bytes, answer: Answer
    ) -> bytes:
        """Return the framed answer of the service; its own failures cost the asker nothing."""
        if protocol not in UNRATED and not self._conduct.allows(peer, len(body)):
            error = PeerError(RejectionReason.RATE, "requests beyond the rate")
            self._penalise(peer, error)
            return encode_refusal(str(error))
        with Contained() as contained:
            reply = await answer(peer, body)
            assert len(reply) <= MESSAGE_BYTES_MAX, "the handler bounds its answers"
            return encode_reply(reply)
        failure = contained.error
        if isinstance(failure, PeerError):
            self._penalise(peer, failure)
            return encode_refusal(str(failure))
        if isinstance(failure, OperatingError):
            return encode_refusal(str(failure))
        _log.error("a handler failed on a request", exc_info=failure)
        return encode_refusal("the node failed on this request")
