"""
The three network ports that services see: gossip, streams, directory.

Adapters satisfy them by shape: `network/` over libp2p, `simulation/` in memory. Nothing here ever
raises a peer's fault into a service: a bad peer is scored inside the adapter, a failed exchange is
an `UnreachableError`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Protocol

import trio

from potp2p.foundation.errors import PeerError
from potp2p.foundation.types import BlobId, NodeId


@unique
class Topic(StrEnum):
    """A gossip topic; the adapter adds the chain id, so networks never mix."""

    TRANSACTIONS = "transactions"
    BLOCKS = "blocks"


@unique
class StreamProtocol(StrEnum):
    """What a stream is for; each has its own libp2p protocol id `/potp2p/NAME/1`."""

    HELLO = "hello"
    """Request: who are you, which chain, how high."""
    GENESIS = "genesis"
    """Request: the genesis document."""
    BLOCKS = "blocks"
    """Request: sealed blocks of a range."""
    BLOBS = "blobs"
    """Request: a manifest or one chunk."""
    QUERY = "query"
    """Request: a state record with its proof under a sealed header."""
    CERTIFICATES = "certificates"
    """Request: the certificate of a height with its proofs."""
    EPOCHS = "epochs"
    """Request: the headers that end epochs, with the seats that they announce."""
    RECEIPTS = "receipts"
    """Request: the receipt of a settled lease with its proof, or which ones a miner has."""
    SUBMIT = "submit"
    """Request: take this transaction."""
    SUBMIT_MANY = "submit-many"
    """Request: take these transactions; answered by those that were refused."""
    SNAPSHOTS = "snapshots"
    """Request: the state at a checkpoint, in parts, and the headers that lead to it."""
    CONSENSUS = "consensus"
    """Posts: votes and proposals between validators."""
    BODIES = "bodies"
    """Posts: blocks that ranked authors hand to validators."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One gossip message or one post, with the peer that handed it to us."""

    source: NodeId
    body: bytes


Validate = Callable[[bytes], None]
"""Checks a gossip message without waiting; raises PeerError to refuse it and score its bearer."""

Answer = Callable[[NodeId, bytes], Awaitable[bytes]]
"""Serves one request; raises PeerError to refuse it and score the asker."""


class Gossip(Protocol):
    """Small messages to everyone; delivery is likely, never certain, and at most once."""

    async def publish(self, topic: Topic, message: bytes) -> None:
        """Send to the mesh; at most GOSSIP_BYTES_MAX bytes. Does not echo to ourselves."""

    def subscribe(self, topic: Topic, validate: Validate) -> trio.MemoryReceiveChannel[Heard]:
        """Return the bounded inbox of a topic; when it is full the newest message is lost."""


class Streams(Protocol):
    """Direct exchanges with one peer, length-prefixed, with deadlines."""

    def serve(self, protocol: StreamProtocol, answer: Answer) -> None:
        """Answer requests of a protocol; call before the network starts."""

    async def request(
        self, peer: NodeId, protocol: StreamProtocol, body: bytes, *, deadline_seconds: float
    ) -> bytes:
        """Ask one peer; UnreachableError when it cannot be dialled, refuses, or is late."""

    def post(self, peer: NodeId, protocol: StreamProtocol, body: bytes) -> None:
        """Queue a message on the long-lived stream to a peer; drops the oldest when full."""

    def listen(self, protocol: StreamProtocol) -> trio.MemoryReceiveChannel[Heard]:
        """Return the bounded inbox of posts; call before the network starts."""


class Directory(Protocol):
    """Who is there, and who has what."""

    async def provide(self, blob: BlobId) -> None:
        """Announce in the background that we serve a blob; few keys only."""

    async def find_providers(self, blob: BlobId, *, count: int) -> tuple[NodeId, ...]:
        """Ask the DHT who announced a blob; may be empty, never contains ourselves."""

    def peers(self) -> tuple[NodeId, ...]:
        """Return the peers connected now."""

    async def reach(self, peer: NodeId) -> None:
        """Make sure a connection exists, through the DHT if need be; else UnreachableError."""

    def penalise(self, peer: NodeId, error: PeerError) -> None:
        """Score a peer for a fault a service found; enough of them disconnect and ban it."""


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """What the adapter knows about itself, for status: frozen, read at any time."""

    listen: tuple[str, ...]
    """Multiaddresses with our peer id."""
    peers: int
    inbound: int
    bytes_in: int
    bytes_out: int
    lost_messages: int
    """Messages dropped because a bounded queue was full."""
    banned: int
