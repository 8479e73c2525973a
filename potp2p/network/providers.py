"""
Provider records in the Kademlia DHT: who announced which blob.

Announcements go to the nodes nearest to the key, paced and repeated; answers are asked of those
nodes first, since our own copy may be stale (reference network.md, traps 17 to 19).
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import trio
from libp2p.kad_dht.kad_dht import KadDHT
from libp2p.kad_dht.utils import sort_peer_ids_by_distance
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo

from potp2p.foundation.types import BlobId, NodeId
from potp2p.network.guards import Contained
from potp2p.network.host import GuardedHost, is_admissible
from potp2p.network.identity import node_id_of, peer_id_of

ADDRESSES_MAX: Final = 8
"""Addresses kept and tried per peer."""
PROVIDE_REPLICAS: Final = 6
"""Nodes that get a provider record: those nearest to the key."""
PROVIDE_QUEUE_MAX: Final = 256
PROVIDE_PAUSE_SECONDS: Final = 0.3
RECORDS_PER_WINDOW_MAX: Final = 40
"""Provider records taken from one peer per 10 s; the library takes 10 and drops the rest."""
PROVIDER_KEYS_MAX: Final = 8_192
"""Keys with provider records that we keep for others."""
PROVIDE_AGAIN_SECONDS: Final = 120.0
"""Own announcements are repeated, since the nodes nearest to a key come and go."""
ANNOUNCED_MAX: Final = 64
"""Own keys that are repeated: the latest ones."""
QUERIES_AT_ONCE: Final = 3
QUERY_SECONDS: Final = 3.0
MULTIHASH_SHA256: Final = bytes((0x12, 0x20))


def key_of(blob: BlobId) -> bytes:
    """Return the SHA-256 multihash of a blob; others find it as a CIDv1 of raw bytes."""
    return MULTIHASH_SHA256 + blob


@dataclass(slots=True)
class ProviderRecords:
    """Our announcements and our questions about those of others."""

    own: NodeId
    peers: Callable[[], tuple[NodeId, ...]]
    clock: Callable[[], float]
    _host: GuardedHost | None = None
    _dht: KadDHT | None = None
    _announced: OrderedDict[BlobId, float] = field(default_factory=OrderedDict[BlobId, float])
    _waiting: deque[BlobId] = field(default_factory=deque[BlobId])

    def attach(self, host: GuardedHost, dht: KadDHT) -> None:
        """Take the services to work with."""
        self._host, self._dht = host, dht
        dht._provider_rate_max = RECORDS_PER_WINDOW_MAX

    def queue(self, blob: BlobId) -> None:
        """Announce a blob soon; the oldest wait is given up when there are too many."""
        if blob in self._waiting:
            return
        if len(self._waiting) >= PROVIDE_QUEUE_MAX:
            self._waiting.popleft()
        self._waiting.append(blob)

    async def find(self, blob: BlobId, count: int) -> tuple[NodeId, ...]:
        """Ask ever more distant nodes until enough providers are found; never returns us."""
        assert self._dht is not None
        key = key_of(blob)
        found: dict[NodeId, None] = {}
        candidates = self._nearest(key)
        while candidates and len(found) < count:
            asked, candidates = candidates[:QUERIES_AT_ONCE], candidates[QUERIES_AT_ONCE:]
            async with trio.open_nursery() as nursery:
                for peer in asked:
                    nursery.start_soon(self._ask, peer, key, found)
        for info in self._dht.provider_store.get_providers(key):
            self._note(info, found)
        return tuple(found)[:count]

    async def run(self) -> None:
        """Announce what waits, at the pace that receivers accept, until cancelled."""
        while True:
            await trio.sleep(PROVIDE_PAUSE_SECONDS)
            self._trim()
            if self._waiting:
                await self._announce(self._waiting.popleft())
            else:
                self._queue_stale()

    def _nearest(self, key: bytes) -> list[ID]:
        """Return the connected peers, nearest to a key first."""
        return sort_peer_ids_by_distance(key, [peer_id_of(peer) for peer in self.peers()])

    async def _ask(self, peer: ID, key: bytes, found: dict[NodeId, None]) -> None:
        assert self._dht is not None
        assert self._host is not None
        store = self._dht.provider_store
        with trio.move_on_after(QUERY_SECONDS), Contained():
            providers, _ = await store._get_providers_from_peer_with_closers(peer, key)
            for info in providers:
                self._note(info, found)

    def _note(self, info: PeerInfo, found: dict[NodeId, None]) -> None:
        assert self._host is not None
        if not is_admissible(info.peer_id):
            return
        node = node_id_of(info.peer_id)
        if node == self.own:
            return
        found[node] = None
        if info.addrs:
            self._host.get_peerstore().add_addrs(info.peer_id, info.addrs[:ADDRESSES_MAX], 600)

    def _queue_stale(self) -> None:
        """Repeat the announcement that is oldest, if it is old."""
        if self._announced:
            blob, at = next(iter(self._announced.items()))
            if self.clock() - at > PROVIDE_AGAIN_SECONDS:
                self._waiting.append(blob)

    async def _announce(self, blob: BlobId) -> None:
        assert self._dht is not None
        assert self._host is not None
        key = key_of(blob)
        store = self._dht.provider_store
        store.add_provider(key, PeerInfo(self._host.get_id(), self._host.get_addrs()))
        nearest = self._nearest(key)[:PROVIDE_REPLICAS]
        async with trio.open_nursery() as nursery:
            for peer in nearest:
                nursery.start_soon(self._send_record, peer, key)
        if nearest:
            self._announced.pop(blob, None)
            self._announced[blob] = self.clock()
            while len(self._announced) > ANNOUNCED_MAX:
                self._announced.popitem(last=False)
        else:
            # Nobody to tell yet: keep it for when there is.
            self._waiting.append(blob)

    async def _send_record(self, peer: ID, key: bytes) -> None:
        assert self._dht is not None
        with trio.move_on_after(QUERY_SECONDS), Contained():
            await self._dht.provider_store._send_add_provider(peer, key)

    def _trim(self) -> None:
        """Forget the oldest keys kept for others: the library keeps any number."""
        assert self._dht is not None
        providers = self._dht.provider_store.providers
        while len(providers) > PROVIDER_KEYS_MAX:
            del providers[next(iter(providers))]
