"""
The Directory port: who is connected, who can be dialled, who announced a blob.

Our own dialler and reconnect loop, because the library tries one address per peer, bans a peer
for a minute after one failure and never comes back (reference network.md, traps 10 and 11).
"""

import logging
import random
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import trio
from libp2p.kad_dht.kad_dht import DHTMode, KadDHT
from libp2p.peer.id import ID
from libp2p.peer.peerstore import PeerStoreError
from libp2p.records.pubkey import PublicKeyValidator
from libp2p.records.validator import NamespacedValidator
from multiaddr import Multiaddr

from potp2p.foundation.errors import ConfigurationError, PeerError, UnreachableError
from potp2p.foundation.types import BlobId, NodeId
from potp2p.network.guards import BROKEN_EXCHANGE, Contained, OnFault
from potp2p.network.host import GuardedHost, connected_peers, is_admissible
from potp2p.network.identity import node_id_of, peer_id_of
from potp2p.network.peers import Conduct
from potp2p.network.providers import ADDRESSES_MAX, ProviderRecords

_log = logging.getLogger(__name__)

PEERS_WANTED: Final = 32
"""Below this many connections every peer we learn of is dialled: small networks become a mesh."""
KNOWN_MAX: Final = 512
"""Peers remembered for dialling; the one seen longest ago goes first."""
DIAL_SECONDS: Final = 4.0
"""One address; a handshake over loopback takes 0.1 s, over half the world 1 s."""
REDIAL_FIRST_SECONDS: Final = 0.5
REDIAL_MAX_SECONDS: Final = 30.0
BOOTSTRAP_REDIAL_MAX_SECONDS: Final = 5.0
FAILURES_MAX: Final = 8
"""Failed dials in a row after which a peer that is no bootstrap node is forgotten."""
TICK_SECONDS: Final = 0.25
DISCOVERY_FIRST_SECONDS: Final = 0.5
DISCOVERY_MAX_SECONDS: Final = 30.0
QUERY_SECONDS: Final = 3.0
DISCOVERY_PEERS: Final = 3
"""Peers asked in one look around."""


@dataclass(slots=True)
class _Known:
    """A peer we could dial."""

    addresses: tuple[Multiaddr, ...]
    is_bootstrap: bool = False
    failures: int = 0
    next_dial_at: float = 0.0


def parse_peer_address(text: str) -> tuple[NodeId, Multiaddr]:
    """Return the peer and the address of `/.../p2p/ID`; the operator's fault otherwise."""
    with Contained() as contained:
        address = Multiaddr(text)
        name = address.value_for_protocol("p2p")
        assert isinstance(name, str)
        return node_id_of(ID.from_base58(name)), address
    raise ConfigurationError(
        f"not a peer address: {text!r}; expected /ip4/HOST/tcp/PORT/p2p/PEER-ID"
    ) from contained.error


@dataclass(slots=True)
class LibraryDirectory:
    """Satisfies Directory."""

    own: NodeId
    conduct: Conduct
    penalise_peer: OnFault
    bootstrap: tuple[str, ...]
    clock: Callable[[], float] = trio.current_time
    _known: OrderedDict[NodeId, _Known] = field(default_factory=OrderedDict[NodeId, _Known])
    _dialling: dict[NodeId, trio.Event] = field(default_factory=dict[NodeId, trio.Event])
    _records: ProviderRecords = field(init=False)
    _host: GuardedHost | None = None
    _dht: KadDHT | None = None
    _running: trio.Event = field(default_factory=trio.Event)
    _look_around: trio.Event = field(default_factory=trio.Event)

    def __post_init__(self) -> None:
        self._records = ProviderRecords(self.own, self.peers, self.clock)
        for text in self.bootstrap:
            peer, address = parse_peer_address(text)
            if peer != self.own:
                known = self._known.setdefault(peer, _Known((), is_bootstrap=True))
                known.addresses = (*known.addresses, address)

    # The port.

    def peers(self) -> tuple[NodeId, ...]:
        """Return the peers connected now."""
        if self._host is None:
            return ()
        return tuple(node_id_of(peer) for peer in connected_peers(self._host))

    def penalise(self, peer: NodeId, error: PeerError) -> None:
        """Score a peer for a fault a service found."""
        self.penalise_peer(peer, error)

    async def reach(self, peer: NodeId) -> None:
        """Return once a connection exists; look for the peer's addresses if need be."""
        await self._running.wait()
        assert self._host is not None
        if self._is_connected(peer):
            return
        if peer == self.own:
            raise UnreachableError("a node does not dial itself")
        if self.conduct.is_banned(peer):
            raise UnreachableError(f"peer {peer.hex()[:12]} is banned")
        addresses = self._addresses(peer)
        if addresses and await self._dial(peer, addresses):
            return
        await self._ask_around(peer_id_of(peer), DISCOVERY_PEERS)
        found = self._addresses(peer)
        if set(found) - set(addresses) and await self._dial(peer, found):
            return
        if not self._is_connected(peer):
            raise UnreachableError(f"peer {peer.hex()[:12]} cannot be dialled")

    async def provide(self, blob: BlobId) -> None:
        """Announce in the background; few keys only."""
        await trio.lowlevel.checkpoint()
        self._records.queue(blob)

    async def find_providers(self, blob: BlobId, *, count: int) -> tuple[NodeId, ...]:
        """Ask the nodes nearest to the key; what we hold for others ourselves comes last."""
        await self._running.wait()
        return await self._records.find(blob, count)

    # Life.

    def build(self, host: GuardedHost) -> KadDHT:
        """Return the DHT service; the caller runs it."""
        self._host = host
        dht = KadDHT(
            host,
            DHTMode.SERVER,
            validator=NamespacedValidator({"pk": PublicKeyValidator()}, strict_validation=True),
            validator_changed=True,
            strict_validation=True,
        )
        self._records.attach(host, dht)
        self._dht = dht
        return dht

    async def run(self) -> None:
        """Dial, discover and announce until cancelled."""
        self._running.set()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._run_dialler)
            nursery.start_soon(self._run_discovery)
            nursery.start_soon(self._records.run)

    async def identified(self, peer: ID) -> None:
        """Take note of a peer whose addresses and protocols the library has just learned."""
        if self._dht is None or not is_admissible(peer):
            return
        await self._dht.add_peer(peer)
        node = node_id_of(peer)
        self._learn(node)
        known = self._known.get(node)
        if known is not None:
            known.failures = 0
        self._look_around.set()

    def discovered(self, peer: ID) -> None:
        """Take note of a peer on the local network, whose addresses are stored already."""
        if is_admissible(peer):
            self._learn(node_id_of(peer))

    # Dialling.

    def _is_connected(self, peer: NodeId) -> bool:
        assert self._host is not None
        return peer_id_of(peer) in connected_peers(self._host)

    def _addresses(self, peer: NodeId) -> tuple[Multiaddr, ...]:
        """Return every address we have of a peer: the operator's first, then what it says."""
        assert self._host is not None
        known = self._known.get(peer)
        addresses = dict.fromkeys(known.addresses if known is not None else ())
        try:
            stored = self._host.get_peerstore().addrs(peer_id_of(peer))
        except PeerStoreError:
            stored = []
        # A peer that came back on another port says so last.
        addresses.update(dict.fromkeys(reversed(stored)))
        return tuple(addresses)[:ADDRESSES_MAX]

    def _learn(self, peer: NodeId) -> None:
        if peer == self.own:
            return
        addresses = self._addresses(peer)
        known = self._known.get(peer)
        if known is None:
            if not addresses:
                return
            while len(self._known) >= KNOWN_MAX:
                self._forget_one()
            self._known[peer] = _Known(addresses, next_dial_at=self._first_dial_at(peer))
        elif not known.is_bootstrap:
            known.addresses = addresses
            self._known.move_to_end(peer)

    def _first_dial_at(self, peer: NodeId) -> float:
        # Both sides learn of each other at once; let one dial and the other wait a moment.
        return self.clock() + (0.0 if self.own < peer else 1.0)

    def _forget_one(self) -> None:
        for peer, known in self._known.items():
            if not known.is_bootstrap:
                del self._known[peer]
                return
        raise AssertionError("the operator's bootstrap list is shorter than KNOWN_MAX")

    async def _dial(self, peer: NodeId, addresses: Sequence[Multiaddr]) -> bool:
        """Try every address in turn; calls for the same peer share one attempt."""
        under_way = self._dialling.get(peer)
        if under_way is not None:
            await under_way.wait()
            return self._is_connected(peer)
        assert self._host is not None
        done = self._dialling[peer] = trio.Event()
        try:
            for address in addresses:
                if self._is_connected(peer):
                    return True
                with trio.move_on_after(DIAL_SECONDS):
                    try:
                        await self._host.swarm.dial_addr(address, peer_id_of(peer))
                        return True
                    except (ValueError, *BROKEN_EXCHANGE) as error:
                        _log.debug("dialling %s failed: %s", address, error)
            return self._is_connected(peer)
        finally:
            del self._dialling[peer]
            done.set()

    async def _run_dialler(self) -> None:
        """Keep the bootstrap nodes and enough other peers connected."""
        async with trio.open_nursery() as nursery:
            while True:
                connected = set(self.peers())
                for peer, known in list(self._known.items()):
                    wanted = known.is_bootstrap or len(connected) < PEERS_WANTED
                    due = known.next_dial_at <= self.clock()
                    if (
                        wanted
                        and due
                        and peer not in connected
                        and peer not in self._dialling
                        and not self.conduct.is_banned(peer)
                    ):
                        known.next_dial_at = self.clock() + DIAL_SECONDS
                        nursery.start_soon(self._redial, peer, known)
                await trio.sleep(TICK_SECONDS)

    async def _redial(self, peer: NodeId, known: _Known) -> None:
        if await self._dial(peer, self._addresses(peer)):
            known.failures = 0
            known.next_dial_at = self.clock() + REDIAL_FIRST_SECONDS
            return
        known.failures += 1
        longest = BOOTSTRAP_REDIAL_MAX_SECONDS if known.is_bootstrap else REDIAL_MAX_SECONDS
        pause = min(longest, REDIAL_FIRST_SECONDS * 2 ** min(known.failures, 10))
        known.next_dial_at = self.clock() + pause * random.uniform(0.75, 1.25)  # noqa: S311
        if known.failures >= FAILURES_MAX and not known.is_bootstrap:
            self._known.pop(peer, None)

    # Discovery.

    async def _run_discovery(self) -> None:
        """Look around soon after every new peer, then ever more rarely."""
        pause = DISCOVERY_FIRST_SECONDS
        while True:
            self._look_around = trio.Event()
            with trio.move_on_after(pause):
                await self._look_around.wait()
                pause = DISCOVERY_FIRST_SECONDS
                await trio.sleep(pause)
            if len(self.peers()) < PEERS_WANTED:
                await self._ask_around(peer_id_of(self.own), DISCOVERY_PEERS)
            pause = min(DISCOVERY_MAX_SECONDS, pause * 2)

    async def _ask_around(self, target: ID, count: int) -> None:
        """Ask some peers, bootstrap nodes first, who is near a target, and learn who that is."""
        assert self._dht is not None
        peers = list(self.peers())
        random.shuffle(peers)
        peers.sort(key=lambda peer: peer not in self._known or not self._known[peer].is_bootstrap)
        async with trio.open_nursery() as nursery:
            for peer in peers[:count]:
                nursery.start_soon(self._ask_closest, peer_id_of(peer), target)

    async def _ask_closest(self, peer: ID, target: ID) -> None:
        assert self._dht is not None
        with trio.move_on_after(QUERY_SECONDS), Contained():
            found = await self._dht.peer_routing._query_peer_for_closest(peer, target.to_bytes())
            for other in found:
                if is_admissible(other):
                    self._learn(node_id_of(other))
