"""
The Gossip port over GossipSub 1.1, guarded.

Messages are named by their content, so the same message from two publishers is delivered once.
Only small things travel here: ids, transactions and blocks up to GOSSIP_BYTES_MAX.
"""

import hashlib
import logging
from collections import deque
from dataclasses import dataclass, field
from typing import Final

import trio
from libp2p.abc import INetStream
from libp2p.host.basic_host import BasicHost
from libp2p.network.stream.exceptions import StreamEOF
from libp2p.peer.id import ID
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11, GossipSub
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.pubsub import Pubsub
from libp2p.pubsub.utils import maybe_consume_signed_record

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.limits import GOSSIP_BYTES_MAX, GOSSIP_INBOX_MAX, INBOX_BYTES_MAX
from potp2p.foundation.types import ChainId, NodeId
from potp2p.network.guards import BROKEN_EXCHANGE, Contained, OnFault, reset_quietly
from potp2p.network.identity import node_id_of
from potp2p.network.peers import Conduct
from potp2p.network.ports import Heard, Topic, Validate

_log = logging.getLogger(__name__)

MESH_DEGREE: Final = 6
MESH_DEGREE_LOW: Final = 4
MESH_DEGREE_HIGH: Final = 12
"""GossipSub's own recommendation."""
HEARTBEAT_SECONDS: Final = 1
"""The library's default of 120 leaves the mesh unrepaired for minutes."""
RPC_BYTES_MAX: Final = 1 << 20
"""One GossipSub frame: ten of the largest messages."""
RPC_QUEUE_MAX: Final = 256
"""Frames waiting for one peer; the library's 32 overflow in one burst of a round's claims."""
SUBSCRIPTIONS_PER_PEER_MAX: Final = 32
SEEN_SECONDS: Final = 120
VARINT_BYTES_MAX: Final = 5
VARINT_MORE: Final = 0x80


def topic_name(chain_id: ChainId, topic: Topic) -> str:
    """Return the topic as it goes over the wire; networks never mix."""
    return f"/potp2p/{chain_id.hex()}/{topic}/1"


def message_id(message: rpc_pb2.Message) -> bytes:
    """Name a message by topic and content."""
    digest = hashlib.sha256("\n".join(message.topicIDs).encode())
    digest.update(b"\0" + message.data)
    return digest.digest()[:20]


@dataclass(slots=True)
class Inbox:
    """A channel bounded in messages and bytes; the newest is lost when it is full."""

    messages_max: int
    lost: int = 0
    _sizes: deque[int] = field(default_factory=deque[int])
    _bytes: int = 0
    out: trio.MemorySendChannel[Heard] = field(init=False)
    channel: trio.MemoryReceiveChannel[Heard] = field(init=False)

    def __post_init__(self) -> None:
        self.out, self.channel = trio.open_memory_channel[Heard](self.messages_max)

    def put(self, heard: Heard) -> None:
        """Hand a message to the service that reads, or lose it."""
        waiting = self.out.statistics().current_buffer_used
        while len(self._sizes) > waiting:
            self._bytes -= self._sizes.popleft()
        if self._bytes + len(heard.body) > INBOX_BYTES_MAX:
            self.lost += 1
            return
        try:
            self.out.send_nowait(heard)
        except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
            self.lost += 1
            return
        self._sizes.append(len(heard.body))
        self._bytes += len(heard.body)


@dataclass(frozen=True, slots=True)
class _Subscription:
    topic: Topic
    validate: Validate
    inbox: Inbox


class GuardedGossipSub(GossipSub):
    """
    The router, its own tasks guarded like its streams.

    Without the thousand whole messages that it would keep to compare later.
    """

    async def heartbeat(self) -> None:
        """Maintain the mesh for ever; a failed round is the end of that round only."""
        while True:
            with Contained() as contained:
                await super().heartbeat()
            _log.warning("gossip heartbeat failed", exc_info=contained.error)
            await trio.sleep(HEARTBEAT_SECONDS)

    async def on_peer_subscribed(self, peer_id: ID, topic: str) -> None:
        """Take a new subscriber into the mesh, if it is still there."""
        with Contained():
            await super().on_peer_subscribed(peer_id, topic)

    async def flush_pending_messages(self, peer_id: ID) -> None:
        """Send what waited for a peer, if it is still there."""
        with Contained():
            await super().flush_pending_messages(peer_id)

    def _check_equivocation(self, msg: rpc_pb2.Message) -> bool:
        return True


class GuardedPubsub(Pubsub):
    """The library's pubsub with its doors guarded: no message ends the nursery."""

    def __init__(self, host: BasicHost, router: GossipSub, gossip: "LibraryGossip") -> None:
        super().__init__(
            host,
            router,
            strict_signing=True,
            seen_ttl=SEEN_SECONDS,
            msg_id_constructor=message_id,
            max_inbound_rpc_size=RPC_BYTES_MAX,
            max_subscriptions_per_peer=SUBSCRIPTIONS_PER_PEER_MAX,
        )
        self._gossip = gossip
        self._in_flight: dict[bytes, ID] = {}
        self._records: dict[ID, bytes] = {}

    async def push_msg(self, msg_forwarder: ID, msg: rpc_pb2.Message) -> None:
        """Take one message; a copy already in flight is dropped, an error is counted."""
        name = message_id(msg)
        if name in self._in_flight:
            return
        self._in_flight[name] = msg_forwarder
        try:
            with Contained() as contained:
                await super().push_msg(msg_forwarder, msg)
        finally:
            del self._in_flight[name]
        if contained.error is not None and not isinstance(contained.error, BROKEN_EXCHANGE):
            self._gossip.rejected += 1
            _log.debug("gossip message failed", exc_info=contained.error)

    def notify_subscriptions(self, publish_message: rpc_pb2.Message) -> None:
        """Hand a fresh valid message to its subscriber, with the peer that brought it."""
        bearer = self._in_flight[message_id(publish_message)]
        if bearer != self.my_id:
            self._gossip.deliver(node_id_of(bearer), publish_message)

    async def _handle_new_peer(self, peer_id: ID) -> None:
        await super()._handle_new_peer(peer_id)
        queue = self.peer_queues.get(peer_id)
        if queue is not None:
            queue._queue.max_size = RPC_QUEUE_MAX

    def _handle_dead_peer(self, peer_id: ID) -> None:
        self._records.pop(peer_id, None)
        # Called from a task of the service: what fails here must not end it.
        with Contained():
            super()._handle_dead_peer(peer_id)

    async def continuously_read_stream(self, stream: INetStream) -> None:
        """Read frames from a buffer: byte by byte, as shipped, each read sends a window update."""
        peer = stream.muxed_conn.peer_id
        buffer = bytearray()
        try:
            while True:
                frame = _take_frame(buffer)
                if frame is not None:
                    await self._handle_frame(peer, frame)
                    continue
                received = await stream.read(RPC_BYTES_MAX)
                if not received:
                    break
                buffer += received
        except StreamEOF:
            pass
        except PeerError:
            self._handle_dead_peer(peer)
            raise
        except BROKEN_EXCHANGE:
            await reset_quietly(stream)
            self._handle_dead_peer(peer)

    async def _handle_frame(self, peer: ID, frame: bytes) -> None:
        rpc = rpc_pb2.RPC()
        rpc.ParseFromString(frame)
        if rpc.HasField("senderRecord"):
            # The same signed record rides on every frame; verify it when it changes.
            if self._records.get(peer) != rpc.senderRecord:
                if not maybe_consume_signed_record(rpc, self.host, peer):
                    raise PeerError(RejectionReason.BAD_SIGNATURE, "signed peer record is false")
                self._records[peer] = rpc.senderRecord
            rpc.ClearField("senderRecord")
        source = node_id_of(peer)
        for message in rpc.publish:
            if self._is_subscribed_to_msg(message) and self._gossip.admit(source, message):
                await self.push_msg(peer, message)
        if len(rpc.subscriptions) > SUBSCRIPTIONS_PER_PEER_MAX:
            raise PeerError(RejectionReason.OUT_OF_BOUNDS, "too many subscriptions")
        for subscription in rpc.subscriptions:
            self.handle_subscription(peer, subscription)
        if rpc.HasField("control"):
            await self.router.handle_rpc(rpc, peer)


def _take_frame(buffer: bytearray) -> bytes | None:
    """Cut a whole varint-prefixed frame off the front of a buffer, if there is one."""
    length, shift = 0, 0
    for index, byte in enumerate(buffer[:VARINT_BYTES_MAX]):
        length |= (byte & ~VARINT_MORE) << shift
        if not byte & VARINT_MORE:
            if length > RPC_BYTES_MAX:
                raise PeerError(RejectionReason.OUT_OF_BOUNDS, f"gossip frame of {length} bytes")
            end = index + 1 + length
            if len(buffer) < end:
                return None
            frame = bytes(buffer[index + 1 : end])
            del buffer[:end]
            return frame
        shift += 7
    if len(buffer) >= VARINT_BYTES_MAX:
        raise PeerError(RejectionReason.MALFORMED, "gossip frame length is no varint")
    return None


class LibraryGossip:
    """Satisfies Gossip."""

    def __init__(self, chain_id: ChainId, conduct: Conduct, on_fault: OnFault) -> None:
        self._chain_id = chain_id
        self._conduct = conduct
        self._on_fault = on_fault
        self._subscriptions: dict[str, _Subscription] = {}
        self._pubsub: GuardedPubsub | None = None
        self._ready = trio.Event()
        self.rejected = 0
        """Messages on which the library failed."""

    def lost(self) -> int:
        """Return how many messages found their inbox full."""
        return sum(subscription.inbox.lost for subscription in self._subscriptions.values())

    def subscribe(self, topic: Topic, validate: Validate) -> trio.MemoryReceiveChannel[Heard]:
        """Return the bounded inbox of a topic; once per topic, before the network starts."""
        name = topic_name(self._chain_id, topic)
        assert name not in self._subscriptions, f"{topic} has a subscriber already"
        assert self._pubsub is None, "subscribe before the network starts"
        inbox = Inbox(GOSSIP_INBOX_MAX)
        self._subscriptions[name] = _Subscription(topic, validate, inbox)
        return inbox.channel

    async def publish(self, topic: Topic, message: bytes) -> None:
        """Send to the mesh; waits until the network runs. What was said before is said again."""
        assert len(message) <= GOSSIP_BYTES_MAX, "the caller splits its batches"
        await self._ready.wait()
        assert self._pubsub is not None
        name = topic_name(self._chain_id, topic)
        said = message_id(rpc_pb2.Message(data=message, topicIDs=[name]))
        self._pubsub.seen_messages.cache.pop(said, None)
        await self._pubsub.publish(name, message)

    def build(self, host: BasicHost) -> tuple[GossipSub, GuardedPubsub]:
        """Return the router and pubsub services; the caller runs them."""
        router = GuardedGossipSub(
            [PROTOCOL_ID_V11],
            MESH_DEGREE,
            MESH_DEGREE_LOW,
            MESH_DEGREE_HIGH,
            heartbeat_interval=HEARTBEAT_SECONDS,
            adaptive_gossip_enabled=False,
            spam_protection_enabled=False,
            eclipse_protection_enabled=False,
        )
        self._pubsub = GuardedPubsub(host, router, self)
        return router, self._pubsub

    async def start(self) -> None:
        """Join every subscribed topic, once the services run."""
        assert self._pubsub is not None
        await self._pubsub.wait_until_ready()
        for name in self._subscriptions:
            self._pubsub.set_topic_validator(name, self._is_valid, is_async_validator=False)
            await self._pubsub.subscribe(name)
        self._ready.set()

    def admit(self, source: NodeId, message: rpc_pb2.Message) -> bool:
        """Whether a message is within its bearer's allowance and our bounds."""
        if not self._conduct.allows(source, len(message.data)):
            self._on_fault(source, PeerError(RejectionReason.RATE, "gossip beyond the rate"))
            return False
        if len(message.data) > GOSSIP_BYTES_MAX or len(message.topicIDs) != 1:
            self._on_fault(source, PeerError(RejectionReason.OUT_OF_BOUNDS, "gossip message"))
            return False
        return True

    def deliver(self, source: NodeId, message: rpc_pb2.Message) -> None:
        """Put a fresh valid message into its inbox."""
        subscription = self._subscriptions.get(message.topicIDs[0])
        if subscription is not None:
            subscription.inbox.put(Heard(source, message.data))

    def _is_valid(self, bearer: ID, message: rpc_pb2.Message) -> bool:
        assert self._pubsub is not None
        if bearer == self._pubsub.my_id:
            return True
        subscription = self._subscriptions[message.topicIDs[0]]
        try:
            subscription.validate(message.data)
        except PeerError as error:
            self._on_fault(node_id_of(bearer), error)
            return False
        return True
