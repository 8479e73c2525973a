"""What a connected peer sends below our messages: frames, gossip, multiplexer, identities."""

from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

import trio
from google.protobuf.message import DecodeError
from libp2p.abc import ConnectionType
from libp2p.network.stream.exceptions import StreamEOF
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2

from potp2p.foundation.errors import OperatingError, PeerError
from potp2p.foundation.limits import FRAME_BYTES_MAX, MESSAGE_BYTES_MAX
from potp2p.network.frames import EndOfStream, FrameReader, encode_frame
from potp2p.network.gossip import _take_frame, message_id
from potp2p.network.identity import node_id_of, peer_id_of
from potp2p.network.yamux import (
    BUFFERED_BYTES_MAX,
    CONTROL_BYTES_MAX,
    OUTGOING_BYTES_MAX,
    STREAMS_INBOUND_MAX,
    ProtocolViolation,
    YamuxConnection,
)
from potp2p.network.yamux_stream import CHUNK_BYTES, HEADER
from potp2p.training.frames import FrameBuffer
from potp2p.training.frames import encode_frame as encode_worker_frame
from tests.fuzz.targets import Target

TOPIC: Final = "/potp2p/x/1"
FLAGS: Final = (0, 0, 0, 1, 1, 2, 4, 5, 8, 3, 0xFFFF)


def network_targets() -> Iterator[Target]:
    """Yield the targets; what the library itself parses lies behind `StreamGuard`."""
    yield Target("stream frames", _frames, (PeerError,), _frames_seed)
    yield Target("worker frames", _worker_frames, (OperatingError,), _worker_frames_seed)
    # The guard around every stream turns the library's own error into a fault of the peer.
    yield Target("gossip frames", _gossip, (PeerError, DecodeError), _gossip_seed)
    yield Target("yamux", _yamux, (ProtocolViolation,), _yamux_seed)
    yield Target("peer id", _peer_id, (PeerError,), lambda r: bytes(peer_id_of_random(r)))


@dataclass(slots=True)
class Pieces:
    """A stream, or connection, that yields its bytes in pieces and then ends."""

    left: bytes
    size: int
    is_initiator: bool = True

    async def read(self, n: int | None = None) -> bytes:
        """Return the next piece."""
        if not self.left and n is not None:
            raise StreamEOF
        piece, self.left = self.left[: self.size], self.left[self.size :]
        return piece

    async def write(self, data: bytes) -> None:
        """Take what is said."""

    def get_remote_address(self) -> tuple[str, int] | None:
        """No address in memory."""
        return None

    def get_transport_addresses(self) -> list[object]:
        """No address in memory."""
        return []

    def get_connection_type(self) -> ConnectionType:
        """As good as direct."""
        return ConnectionType.DIRECT


def _size_of_pieces(encoded: bytes) -> int:
    return 1 + sum(encoded) % 97


def _at_once(coroutine: Coroutine[object, object, object]) -> object:
    """Run what waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waited")


def _frames(encoded: bytes) -> list[bytes]:
    reader = FrameReader(Pieces(encoded, _size_of_pieces(encoded)))
    bodies: list[bytes] = []

    async def read_all() -> None:
        while True:
            bodies.append(await reader.read())

    try:
        _at_once(read_all())
    except EndOfStream:
        assert b"".join(map(encode_frame, bodies)) == encoded
    return bodies


def _frames_seed(random: Random) -> bytes:
    return b"".join(
        encode_frame(random.randbytes(random.choice((0, 1, 50))))
        for _ in range(random.randrange(5))
    )


def _worker_frames(encoded: bytes) -> list[bytes]:
    buffer, bodies, size = FrameBuffer(), list[bytes](), _size_of_pieces(encoded)
    for start in range(0, len(encoded), size):
        bodies += buffer.feed(encoded[start : start + size])
        assert len(buffer._pending) <= FRAME_BYTES_MAX + 4
    assert encoded.startswith(b"".join(map(encode_worker_frame, bodies)))
    return bodies


def _worker_frames_seed(random: Random) -> bytes:
    return b"".join(
        encode_worker_frame(random.randbytes(random.choice((0, 1, 50))))
        for _ in range(random.randrange(5))
    )


def _gossip(encoded: bytes) -> list[rpc_pb2.RPC]:
    buffer, found = bytearray(), list[rpc_pb2.RPC]()
    size = _size_of_pieces(encoded)
    for start in range(0, len(encoded), size):
        buffer += encoded[start : start + size]
        while (frame := _take_frame(buffer)) is not None:
            rpc = rpc_pb2.RPC()
            rpc.ParseFromString(frame)
            for message in rpc.publish:
                # As `GuardedPubsub` does: only what is for a topic of ours goes on.
                if list(message.topicIDs) == [TOPIC]:
                    assert len(message_id(message)) == 20
            found.append(rpc)
        assert len(buffer) <= MESSAGE_BYTES_MAX
    return found


def _gossip_seed(random: Random) -> bytes:
    frames = b""
    for _ in range(random.randrange(1, 4)):
        message = rpc_pb2.Message(data=random.randbytes(30), topicIDs=[TOPIC])
        subscription = rpc_pb2.RPC.SubOpts(subscribe=True, topicid=TOPIC)
        control = rpc_pb2.ControlMessage(graft=[rpc_pb2.ControlGraft(topicID="a")])
        body = rpc_pb2.RPC(publish=[message], subscriptions=[subscription], control=control)
        encoded = body.SerializeToString()
        frames += _varint(len(encoded)) + encoded
    return frames


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*encoded, number))


def _yamux(encoded: bytes) -> YamuxConnection:
    connection = YamuxConnection(
        Pieces(encoded, _size_of_pieces(encoded), is_initiator=True),
        ID(b"peer"),
    )

    async def read() -> None:
        await connection._read()

    try:
        trio.run(read)
    finally:
        assert connection.buffered <= BUFFERED_BYTES_MAX + CHUNK_BYTES
        assert len(connection._streams) <= STREAMS_INBOUND_MAX
        assert len(connection._control) <= CONTROL_BYTES_MAX + HEADER.size
        assert (
            connection._outgoing_bytes <= OUTGOING_BYTES_MAX + CONTROL_BYTES_MAX + 2 * CHUNK_BYTES
        )
    return connection


def _yamux_seed(random: Random) -> bytes:
    frames = b""
    for _ in range(random.choice((1, 3, 10, 400))):
        data = random.randbytes(random.choice((0, 1, 40)))
        kind = random.choice((0, 0, 1, 1, 2, 3))
        stream = random.choice((0, 2, 4, 6, random.randrange(0, 1 << 10, 2)))
        length = len(data) if kind == 0 else random.choice((0, 1, 1 << 18, (1 << 32) - 1))
        frames += HEADER.pack(0, kind, random.choice(FLAGS), stream, length)
        frames += data if kind == 0 else b""
    return frames


def _peer_id(encoded: bytes) -> bytes:
    node = node_id_of(ID(encoded))
    assert peer_id_of(node).to_bytes() == encoded
    return node


def peer_id_of_random(random: Random) -> bytes:
    """Return the bytes of a peer id with some key in it."""
    return b"\x00\x25\x08\x02\x12\x21" + random.randbytes(33)
