"""
The libp2p host as we allow it: TCP, Noise and Yamux only, every door guarded.

Built by hand instead of by the library's `new_host`, which accepts plaintext peers, keeps every
inbound connection's slot until the process ends, and starts an auto-connector of its own.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import trio
from libp2p.abc import IMuxedConn, INetConn, IRawConnection, ISecureConn
from libp2p.crypto.keys import KeyPair
from libp2p.crypto.x25519 import create_new_key_pair as create_noise_key_pair
from libp2p.custom_types import TProtocol
from libp2p.host.basic_host import BasicHost
from libp2p.io.abc import ReadWriteCloser
from libp2p.network.auto_connector import AutoConnector
from libp2p.network.config import ConnectionConfig, RetryConfig
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.network.connection.swarm_connection import SwarmConn
from libp2p.network.exceptions import SwarmException
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID
from libp2p.peer.peerstore import PeerStore
from libp2p.rcmgr import Direction
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE_PROTOCOL
from libp2p.security.noise.transport import Transport as Noise
from libp2p.stream_muxer.muxer_multistream import MuxerMultistream
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX_PROTOCOL
from libp2p.tools.anyio_service import background_trio_service
from libp2p.transport.tcp.tcp import TCP
from libp2p.transport.upgrader import TransportUpgrader
from multiaddr import Multiaddr

from potp2p.foundation.errors import PeerError
from potp2p.network.emulation import Line
from potp2p.network.guards import Contained, OnFault, StreamGuard
from potp2p.network.identity import node_id_of
from potp2p.network.yamux import YamuxConnection

CONNECTIONS_MAX: Final = 128
"""Connections in both directions; a handshake costs 20 ms of CPU, a connection 100 KB."""
CONNECTIONS_INBOUND_MAX: Final = 96
"""So that strangers who dial us leave room for the peers we choose."""
CONNECTIONS_PER_PEER_MAX: Final = 2
"""One would do; both sides may dial at once."""
HANDSHAKES_MAX: Final = 256
"""Inbound handshakes at a time; more are closed unread. A stalled one waits, it costs no CPU."""
HANDSHAKE_SECONDS: Final = 5.0
CLOSE_SECONDS: Final = 0.8
"""For closing everything at the end; the library's own way takes about 4 s."""
NEGOTIATION_SECONDS: Final = 10
SOCKET_READ_BYTES: Final = 64 * 1024
PEERS_STORED_MAX: Final = 2_048
ADDRESSES_STORED_MAX: Final = 16


@dataclass(slots=True)
class Traffic:
    """Bytes over all sockets since the start, encryption included."""

    bytes_in: int = 0
    bytes_out: int = 0


class _BufferedConnection(RawConnection):
    """Reads the socket in large pieces: Noise asks for two bytes and then for a message."""

    def __init__(self, stream: ReadWriteCloser, traffic: Traffic, *, initiator: bool) -> None:
        super().__init__(stream, initiator)
        self._traffic = traffic
        self._buffer = b""

    async def write(self, data: bytes) -> None:
        """Send all bytes."""
        self._traffic.bytes_out += len(data)
        await super().write(data)

    async def read(self, n: int | None = None) -> bytes:
        """Return at most n bytes."""
        if not self._buffer:
            self._buffer = await super().read(SOCKET_READ_BYTES)
            self._traffic.bytes_in += len(self._buffer)
        taken, self._buffer = self._buffer[:n], self._buffer[n:] if n is not None else b""
        return taken


class _BufferedTcp(TCP):
    def __init__(self, traffic: Traffic) -> None:
        super().__init__()
        self._traffic = traffic

    async def dial(self, maddr: Multiaddr) -> IRawConnection:
        connection = await super().dial(maddr)
        assert isinstance(connection, RawConnection)
        return _BufferedConnection(connection.stream, self._traffic, initiator=True)


class _Multiplexer(MuxerMultistream):
    """Negotiates like the library, which builds its own Yamux whatever class it was given."""

    line: Line | None = None

    async def new_conn(self, conn: ISecureConn, peer_id: ID) -> IMuxedConn:
        protocol, _ = await self._selector.select(conn, conn.is_initiator, self.negotiate_timeout)
        return self._annotate_connection(YamuxConnection(conn, peer_id, self.line), conn, protocol)


class _BoundedPeerStore(PeerStore):
    """Addresses of peers, the latest few of each: a peer may announce any number."""

    def add_addrs(self, peer_id: ID, addrs: Sequence[Multiaddr], ttl: int = 0) -> None:
        """Add addresses, forgetting the oldest."""
        super().add_addrs(peer_id, addrs[:ADDRESSES_STORED_MAX], ttl)
        data = self.peer_data_map.get(peer_id)
        if data is not None and len(data.addrs) > ADDRESSES_STORED_MAX:
            data.addrs = data.addrs[-ADDRESSES_STORED_MAX:]


class _NoConnector(AutoConnector):
    """In place of the library's own dialler, which has its own idea of enough peers."""

    async def start(self) -> None:
        """Stay idle."""


class GuardedSwarm(Swarm):
    """The library's connection table, with admission by us."""

    def __init__(
        self, keys: KeyPair, admits: Callable[[ID], bool], line: Line | None = None
    ) -> None:
        self.traffic = Traffic()
        noise = Noise(keys, noise_privkey=create_noise_key_pair().private_key)
        peerstore = _BoundedPeerStore(max_peers=PEERS_STORED_MAX)
        own_id = ID.from_pubkey(keys.public_key)
        peerstore.add_key_pair(own_id, keys)
        muxers = {TProtocol(YAMUX_PROTOCOL): YamuxConnection}
        upgrader = TransportUpgrader({NOISE_PROTOCOL: noise}, muxers)
        multiplexer = _Multiplexer(muxers, NEGOTIATION_SECONDS)
        multiplexer.line = line
        upgrader.muxer_multistream = multiplexer
        super().__init__(
            own_id,
            peerstore,
            upgrader,
            transports=[_BufferedTcp(self.traffic)],
            retry_config=RetryConfig(max_retries=0),
            connection_config=ConnectionConfig(
                max_connections=CONNECTIONS_MAX,
                min_connections=0,
                low_watermark=0,
                high_watermark=CONNECTIONS_MAX,
                max_connections_per_peer=CONNECTIONS_PER_PEER_MAX,
                inbound_upgrade_timeout=HANDSHAKE_SECONDS,
                outbound_upgrade_timeout=HANDSHAKE_SECONDS,
            ),
        )
        self.auto_connector = _NoConnector(self)
        self._admits = admits
        self._handshakes = 0

    async def add_conn(self, muxed_conn: IMuxedConn, direction: str = "unknown") -> SwarmConn:
        """Register a connection unless we do not admit its peer."""
        is_inbound = direction == "inbound"
        if not self._admits(muxed_conn.peer_id) or (
            is_inbound and self._inbound_connections() >= CONNECTIONS_INBOUND_MAX
        ):
            with Contained():
                await muxed_conn.close()
            raise SwarmException("peer is not admitted")
        return await super().add_conn(muxed_conn, direction)

    def _inbound_connections(self) -> int:
        return sum(
            1
            for connection in self.get_connections()
            if isinstance(connection, SwarmConn) and connection.direction is Direction.INBOUND
        )

    async def _handle_inbound_connection(
        self, read_write_closer: ReadWriteCloser, maddr: Multiaddr
    ) -> None:
        # Returning closes the socket, so wait for the end of this very connection; the library
        # waits for the end of the process and runs out of slots after a few hundred visitors.
        if self._handshakes >= HANDSHAKES_MAX:
            return
        self._handshakes += 1
        muxed: IMuxedConn | None = None
        try:
            with Contained():
                raw = _BufferedConnection(read_write_closer, self.traffic, initiator=False)
                muxed = await self.upgrade_inbound_raw_conn(raw, maddr)
        finally:
            self._handshakes -= 1
        if isinstance(muxed, YamuxConnection):
            await muxed.event_closed.wait()


class GuardedHost(BasicHost):
    """The library's host; tells us when it has learned a peer's addresses and protocols."""

    def __init__(
        self,
        swarm: GuardedSwarm,
        *,
        mdns: bool,
        announce: Sequence[Multiaddr],
        on_fault: OnFault,
        on_identified: Callable[[ID], None],
    ) -> None:
        self._addresses: tuple[Multiaddr, ...] | None = None
        super().__init__(
            swarm,
            enable_mDNS=mdns,
            negotiate_timeout=NEGOTIATION_SECONDS,
            announce_addrs=list(announce) or None,
            disable_identify_address_discovery=True,
        )
        self.swarm = swarm
        self._on_identified = on_identified
        self._guard = StreamGuard(self._swarm_stream_handler, on_fault)
        swarm.set_stream_handler(self._guard.handle)

    def get_addrs(self) -> list[Multiaddr]:
        """Return our full addresses; asked for with every gossip frame, so kept once they stand."""
        if self._addresses is not None:
            return list(self._addresses)
        return list(super().get_addrs())

    def settle_addresses(self) -> None:
        """Take the addresses of now as final: every listener is bound."""
        self._addresses = tuple(super().get_addrs())

    async def _identify_peer(self, peer_id: ID, *, reason: str) -> None:
        # Runs as a system task of trio, where an error would end the whole program.
        with Contained():
            await super()._identify_peer(peer_id, reason=reason)
        if peer_id in self._identified_peers:
            self._on_identified(peer_id)


@asynccontextmanager
async def running(host: GuardedHost, listen: Sequence[Multiaddr]) -> AsyncIterator[bool]:
    """
    Listen and serve for as long as the block runs; end within CLOSE_SECONDS or so.

    The value says whether any address could be listened on, when one was asked for.
    """
    async with background_trio_service(host.swarm):
        try:
            is_listening = not listen or await host.swarm.listen(*listen)
            host.settle_addresses()
            if host.mDNS is not None:
                host.mDNS.start()
            yield is_listening
        finally:
            with trio.move_on_after(CLOSE_SECONDS) as scope:
                scope.shield = True
                await _close_all(host)


async def _close_all(host: GuardedHost) -> None:
    """Close listeners and sockets at once, without the library's farewells."""
    with Contained():
        if host.mDNS is not None:
            host.mDNS.stop()
    host.swarm._closing = True
    async with trio.open_nursery() as nursery:
        for listener in list(host.swarm.listeners.values()):
            nursery.start_soon(_close_quietly, listener.close)
        for connection in host.swarm.get_connections():
            muxed = connection.muxed_conn
            if isinstance(muxed, YamuxConnection):
                nursery.start_soon(_close_quietly, muxed.secured_conn.close)


async def _close_quietly(close: Callable[[], object]) -> None:
    with Contained():
        await close()  # type: ignore[misc]


async def disconnect(host: GuardedHost, peer: ID) -> None:
    """Close every connection to a peer."""
    for connection in host.swarm.get_connections(peer):
        with trio.move_on_after(CLOSE_SECONDS), Contained():
            await connection.close()


def is_alive(connection: INetConn) -> bool:
    """Whether a connection can carry streams now."""
    return not connection.is_closed and connection.event_started.is_set()


def connected_peers(host: GuardedHost) -> Counter[ID]:
    """Return the peers with a live connection, each with how many of these it opened itself."""
    inbound: Counter[ID] = Counter()
    for peer, connections in host.swarm.connections.items():
        alive = [connection for connection in connections if is_alive(connection)]
        if alive:
            inbound[peer] = sum(
                1
                for connection in alive
                if isinstance(connection, SwarmConn) and connection.direction is Direction.INBOUND
            )
    return inbound


def is_admissible(peer: ID) -> bool:
    """Whether a peer's identity is of the only kind we speak with."""
    try:
        node_id_of(peer)
    except PeerError:
        return False
    return True
