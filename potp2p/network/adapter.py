"""
The network of one node: gossip, streams and directory over one guarded libp2p host.

Build it, let services subscribe, serve and listen, then run it in the node's nursery.
"""

import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import trio
from libp2p.discovery.events.peerDiscovery import peerDiscovery
from libp2p.host.ping import ID as PING_PROTOCOL
from libp2p.host.ping import handle_ping
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr
from trio_typing import TaskStatus

from potp2p.foundation.errors import ConfigurationError, OperatingError, PeerError
from potp2p.foundation.types import ChainId, NodeId
from potp2p.network.directory import LibraryDirectory
from potp2p.network.emulation import Line, LinePlan
from potp2p.network.gossip import LibraryGossip
from potp2p.network.guards import Contained
from potp2p.network.host import (
    GuardedHost,
    GuardedSwarm,
    Traffic,
    connected_peers,
    disconnect,
    is_admissible,
    running,
)
from potp2p.network.identity import key_pair_of, node_id_of, peer_id_of
from potp2p.network.library import require_pinned_version, silence
from potp2p.network.peers import Conduct, Judgement
from potp2p.network.ports import NetworkFacts
from potp2p.network.streams import LibraryStreams

_log = logging.getLogger(__name__)

NO_CHAIN: Final = ChainId(bytes(32))  # type: ignore[arg-type]
"""Chain id of a node that takes no part in gossip: a bootstrap node, a client before genesis."""


@dataclass(frozen=True, slots=True)
class NetworkConfiguration:
    """What a network is built from; plain values."""

    secret_key: bytes
    """Raw 32-byte secp256k1 secret: the node's identity."""
    chain_id: ChainId = NO_CHAIN
    listen: tuple[str, ...] = ()
    """Multiaddresses to listen on; port 0 takes a free one; none: dial only."""
    bootstrap: tuple[str, ...] = ()
    """Full addresses of nodes that are always dialled."""
    announce: tuple[str, ...] = ()
    """Addresses told to peers instead of those we listen on."""
    mdns: bool = False
    line: LinePlan | None = None
    """What to emulate in a measurement."""


class Network:
    """Everything a node says and hears; satisfies the three ports by its attributes."""

    def __init__(self, configuration: NetworkConfiguration) -> None:
        require_pinned_version()
        silence()
        self._configuration = configuration
        self._listen_addresses = _parse(configuration.listen)
        self._announce = _parse(configuration.announce)
        self._keys = key_pair_of(configuration.secret_key)
        self.node_id = node_id_of(ID.from_pubkey(self._keys.public_key))
        self._conduct = Conduct(trio.current_time)
        self._host: GuardedHost | None = None
        self._listening: tuple[str, ...] = ()
        self._to_expel: deque[NodeId] = deque()
        self._to_identify: deque[ID] = deque()
        self._errand = trio.Event()
        self.gossip = LibraryGossip(configuration.chain_id, self._conduct, self._penalise)
        self.streams = LibraryStreams(self._conduct, self._penalise, self._expel)
        self.directory = LibraryDirectory(
            self.node_id, self._conduct, self._penalise, configuration.bootstrap
        )

    def facts(self) -> NetworkFacts:
        """Return what status shows of the network."""
        connected = connected_peers(self._host) if self._host is not None else {}
        traffic = self._host.swarm.traffic if self._host is not None else Traffic()
        return NetworkFacts(
            listen=self._listening,
            peers=len(connected),
            inbound=sum(1 for opened in connected.values() if opened),
            bytes_in=traffic.bytes_in,
            bytes_out=traffic.bytes_out,
            lost_messages=self.gossip.lost() + self.streams.lost(),
            banned=self._conduct.banned(),
        )

    async def run(
        self,
        *,
        task_status: TaskStatus[tuple[str, ...]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """
        Serve until cancelled; report started with the full listen addresses.

        OperatingError when no address can be listened on.
        """
        assert self._host is None, "a network runs once"
        plan = self._configuration.line
        swarm = GuardedSwarm(self._keys, self._admits, None if plan is None else Line(plan))
        self._host = host = GuardedHost(
            swarm,
            mdns=self._configuration.mdns,
            announce=self._announce,
            on_fault=self._expel,
            on_identified=self._note_identified,
        )
        host.set_stream_handler(PING_PROTOCOL, handle_ping)
        async with running(host, self._listen_addresses) as is_listening:
            if is_listening:
                await self._serve(host, task_status)
        if not is_listening:
            raise OperatingError(f"cannot listen on {', '.join(self._configuration.listen)}")

    async def _serve(self, host: GuardedHost, task_status: TaskStatus[tuple[str, ...]]) -> None:
        router, pubsub = self.gossip.build(host)
        dht = self.directory.build(host)
        async with (
            self._meeting_neighbours(),
            background_trio_service(router),
            background_trio_service(pubsub),
            background_trio_service(dht),
            trio.open_nursery() as nursery,
        ):
            await self.gossip.start()
            nursery.start_soon(self.streams.run, host, self.directory.reach)
            nursery.start_soon(self.directory.run)
            nursery.start_soon(self._run_errands)
            self._listening = tuple(str(address) for address in host.get_addrs())
            task_status.started(self._listening)

    @asynccontextmanager
    async def _meeting_neighbours(self) -> AsyncIterator[None]:
        """Hand peers found by mDNS to the directory; the library says so from a thread."""
        if not self._configuration.mdns:
            yield
            return
        token = trio.lowlevel.current_trio_token()

        def discovered(info: PeerInfo) -> None:
            # The thread may outlive the run that it reports to.
            with Contained():
                token.run_sync_soon(self.directory.discovered, info.peer_id)

        peerDiscovery.register_peer_discovered_handler(discovered)
        try:
            yield
        finally:
            peerDiscovery.unregister_peer_discovered_handler(discovered)

    def _admits(self, peer: ID) -> bool:
        if not is_admissible(peer):
            return False
        node = node_id_of(peer)
        return node != self.node_id and not self._conduct.is_banned(node)

    def _penalise(self, peer: NodeId, error: PeerError) -> None:
        """Score a fault; the peer stays connected unless it is banned for it."""
        if self._conduct.fault(peer, error.reason) is Judgement.BAN:
            _log.info("banned %s for a while: %s", peer.hex()[:12], error)
            self._to_expel.append(peer)
            self._errand.set()

    def _expel(self, peer: NodeId, error: PeerError) -> None:
        """Score a fault and disconnect: the peer does not even speak our protocols."""
        self._conduct.fault(peer, error.reason)
        _log.info("disconnecting %s: %s", peer.hex()[:12], error)
        self._to_expel.append(peer)
        self._errand.set()

    def _note_identified(self, peer: ID) -> None:
        self._to_identify.append(peer)
        self._errand.set()

    async def _run_errands(self) -> None:
        """Do what was asked for where nobody could wait."""
        assert self._host is not None
        async with trio.open_nursery() as nursery:
            while True:
                while self._to_expel:
                    peer = peer_id_of(self._to_expel.popleft())
                    nursery.start_soon(disconnect, self._host, peer)
                while self._to_identify:
                    nursery.start_soon(self.directory.identified, self._to_identify.popleft())
                self._errand = trio.Event()
                await self._errand.wait()


def _parse(texts: tuple[str, ...]) -> tuple[Multiaddr, ...]:
    addresses = []
    for text in texts:
        with Contained() as contained:
            addresses.append(Multiaddr(text))
        if contained.error is not None:
            raise ConfigurationError(f"not a multiaddress: {text!r}") from contained.error
    return tuple(addresses)
