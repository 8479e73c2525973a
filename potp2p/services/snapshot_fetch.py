"""
A node's first state from peers: the newest snapshot whose header a trusted checkpoint proves.

Nothing is downloaded before the header is proved; nothing becomes the state before its records
have that header's root. A peer that lies at any step is scored and its snapshot dropped; what was
downloaded of a true one stays on disk, and is continued after an interruption.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import trio

from potp2p.foundation.errors import PeerError, RejectionReason, UnreachableError
from potp2p.foundation.limits import (
    BLOCKS_REQUEST_SECONDS,
    SNAPSHOT_BLOCKS,
    SNAPSHOT_PEERS_MAX,
    SNAPSHOT_REQUEST_SECONDS,
    SNAPSHOT_REQUESTS_MAX,
    SNAPSHOT_SEARCH_SECONDS,
    SNAPSHOTS_KEPT,
)
from potp2p.foundation.types import ChainId, Digest, Height, NodeId, TrustedCheckpoint
from potp2p.network.ports import Directory, StreamProtocol, Streams
from potp2p.protocol.ledger.heights import epoch_of
from potp2p.protocol.ledger.trust import verify_descent, verify_hash, verify_offer, verify_path
from potp2p.protocol.ledger.validity import block_hash
from potp2p.protocol.wire.blocks import Header
from potp2p.protocol.wire.exchange import (
    BLOCKS_PER_REQUEST_MAX,
    BlocksReply,
    BlocksRequest,
)
from potp2p.protocol.wire.genesis import ConsensusParameters
from potp2p.protocol.wire.schema import decode, encode
from potp2p.protocol.wire.snapshots import (
    OFFERS_MAX,
    OffersRequest,
    SnapshotChunkRequest,
    SnapshotManifest,
    SnapshotManifestRequest,
    SnapshotOffer,
    SnapshotOffers,
    SnapshotRequest,
    TrustPath,
    TrustPathRequest,
    manifest_digest,
)
from potp2p.services.sealed import read_sealed
from potp2p.storage.ports import Incoming

DESCENT_BLOCKS_MAX = 2 * SNAPSHOT_BLOCKS * SNAPSHOTS_KEPT
"""A checkpoint is at most this far above the oldest snapshot that anyone keeps."""
FAILURES_MAX = 3
LOOK_SECONDS = 2.0


@dataclass(slots=True)
class _Candidate:
    """One snapshot and the peers that offer exactly it."""

    offer: SnapshotOffer
    peers: list[NodeId]
    failures: dict[NodeId, int] = field(default_factory=dict[NodeId, int])

    def drop(self, peer: NodeId) -> None:
        """Stop asking a peer."""
        if peer in self.peers:
            self.peers.remove(peer)

    def fail(self, peer: NodeId) -> None:
        """Ask a peer that gave nothing a few times more."""
        self.failures[peer] = self.failures.get(peer, 0) + 1
        if self.failures[peer] >= FAILURES_MAX:
            self.drop(peer)


@dataclass(slots=True)
class SnapshotFetcher:
    """Finds, proves, downloads and restores one snapshot."""

    chain_id: ChainId
    consensus: ConsensusParameters
    checkpoint: TrustedCheckpoint
    streams: Streams
    directory: Directory
    incoming: Callable[[SnapshotManifest], Incoming]
    say: Callable[[str, str], None]
    _refused: set[Digest] = field(default_factory=set[Digest])
    """Manifests that turned out to be lies."""

    async def fetch(self) -> SnapshotOffer:
        """Return the offer that is now the state of the store; UnreachableError without one."""
        due = trio.current_time() + SNAPSHOT_SEARCH_SECONDS
        while True:
            for candidate in await self._candidates():
                if not await self._is_proved(candidate):
                    continue
                height = candidate.offer.header.body.height
                self.say("chain", f"snapshot of height {height}: proved, fetching")
                if await self._transfer(candidate):
                    return candidate.offer
            if trio.current_time() > due:
                at = self.checkpoint.height
                raise UnreachableError(f"no peer has a snapshot that leads to checkpoint {at}")
            await trio.sleep(LOOK_SECONDS)

    # Finding

    async def _candidates(self) -> list[_Candidate]:
        """
        Return what is offered, the newest first, but what one peer alone offers last.

        A manifest is not proved before all of it is here: one liar must not have its gigabytes
        fetched while others agree on a true one.
        """
        found: dict[tuple[Digest, Digest], _Candidate] = {}
        for peer in self._peers():
            for offer in await self._offers(peer):
                key = offer.manifest, block_hash(offer.header)
                if offer.manifest not in self._refused:
                    found.setdefault(key, _Candidate(offer, [])).peers.append(peer)
        return sorted(
            found.values(),
            key=lambda each: (
                len(each.peers) == 1,
                -each.offer.header.body.height,
                -len(each.peers),
            ),
        )

    def _peers(self) -> tuple[NodeId, ...]:
        return self.directory.peers()[:SNAPSHOT_PEERS_MAX]

    async def _offers(self, peer: NodeId) -> tuple[SnapshotOffer, ...]:
        answer = await self._ask(peer, OffersRequest(OFFERS_MAX))
        if not answer:
            return ()
        try:
            return decode(SnapshotOffers, answer).offers
        except PeerError as error:
            self.directory.penalise(peer, error)
            return ()

    # Proving

    async def _is_proved(self, candidate: _Candidate) -> bool:
        """Tell whether the checkpoint proves a header; its bearers pay if it proves another."""
        height = candidate.offer.header.body.height
        try:
            if height == self.checkpoint.height:
                verify_hash(candidate.offer, self.checkpoint)
                return True
            if height < self.checkpoint.height:
                return await self._descend(candidate.offer.header)
            nodes = await self._seats_at(height)
            if nodes is None:
                return False
            verify_offer(candidate.offer, nodes, self.consensus, self.chain_id)
        except PeerError as error:
            for peer in candidate.peers:
                self.directory.penalise(peer, error)
            return False
        return True

    async def _seats_at(self, height: Height) -> tuple[NodeId, ...] | None:
        """Follow the seats from the checkpoint to a height, asking any peer; None: nobody can."""
        for peer in self._peers():
            try:
                nodes = await self._follow(peer, height)
            except PeerError as error:
                self.directory.penalise(peer, error)
                continue
            if nodes is not None:
                return nodes
        return None

    async def _follow(self, peer: NodeId, target: Height) -> tuple[NodeId, ...] | None:
        start = self.checkpoint
        while True:
            answer = await self._ask(peer, TrustPathRequest(start.height, target))
            if not answer:
                return None
            path = decode(TrustPath, answer)
            header, nodes = verify_path(path, start, target, self.consensus, self.chain_id)
            reached = Height(header.body.height + 1)
            if epoch_of(reached, self.consensus) >= epoch_of(target, self.consensus):
                return tuple(nodes)
            start = TrustedCheckpoint(header.body.height, block_hash(header))

    async def _descend(self, header: Header) -> bool:
        """Tell whether blocks lead from a header up to the checkpoint; False if nobody has them."""
        height = header.body.height
        if self.checkpoint.height - height > DESCENT_BLOCKS_MAX:
            return False
        for peer in self._peers():
            try:
                above = await self._headers(peer, height)
                if len(above) == self.checkpoint.height - height:
                    verify_descent(header, above, self.checkpoint)
                    return True
            except PeerError as error:
                # Either this peer's blocks or the header are of another history: ask others.
                self.directory.penalise(peer, error)
        return False

    async def _headers(self, peer: NodeId, below: Height) -> list[Header]:
        headers: list[Header] = []
        while len(headers) < self.checkpoint.height - below:
            first = Height(below + len(headers) + 1)
            count = min(BLOCKS_PER_REQUEST_MAX, self.checkpoint.height - first + 1)
            try:
                answer = await self.streams.request(
                    peer,
                    StreamProtocol.BLOCKS,
                    encode(BlocksRequest(first, count)),
                    deadline_seconds=BLOCKS_REQUEST_SECONDS,
                )
            except UnreachableError:
                return headers
            blocks = decode(BlocksReply, answer).blocks
            if not blocks or len(blocks) > count:
                return headers
            headers += [read_sealed(each, peer).block.header for each in blocks]
        return headers

    # Transferring

    async def _transfer(self, candidate: _Candidate) -> bool:
        """Download and restore; False to try another snapshot."""
        manifest = await self._manifest(candidate)
        if manifest is None:
            return False
        incoming = self.incoming(manifest)
        asked = list(incoming.missing())
        async with trio.open_nursery() as nursery:
            for _ in range(SNAPSHOT_REQUESTS_MAX):
                nursery.start_soon(self._fetch_chunks, candidate, incoming, asked)
        if incoming.missing():
            return False
        try:
            await incoming.restore(candidate.offer)
        except PeerError as error:
            self._refused.add(candidate.offer.manifest)
            for peer in candidate.peers:
                self.directory.penalise(peer, error)
            await incoming.discard()
            return False
        await incoming.discard()
        return True

    async def _manifest(self, candidate: _Candidate) -> SnapshotManifest | None:
        offer = candidate.offer
        for peer in list(candidate.peers):
            answer = await self._ask(peer, SnapshotManifestRequest(offer.header.body.height))
            if not answer:
                candidate.drop(peer)
                continue
            try:
                manifest = decode(SnapshotManifest, answer)
                if manifest_digest(manifest) != offer.manifest:
                    raise PeerError(RejectionReason.BAD_PROOF, "manifest of another snapshot")
                if manifest.block_hash != block_hash(offer.header):
                    raise PeerError(RejectionReason.BAD_PROOF, "manifest of another block")
            except PeerError as error:
                self.directory.penalise(peer, error)
                candidate.drop(peer)
            else:
                return manifest
        return None

    async def _fetch_chunks(
        self, candidate: _Candidate, incoming: Incoming, asked: list[int]
    ) -> None:
        for index in _taken(asked):
            while candidate.peers:
                peer = candidate.peers[index % len(candidate.peers)]
                height = candidate.offer.header.body.height
                chunk = await self._ask(peer, SnapshotChunkRequest(height, index))
                if not chunk:
                    candidate.fail(peer)
                    continue
                try:
                    await incoming.put(index, chunk)
                except PeerError as error:
                    self.directory.penalise(peer, error)
                    candidate.drop(peer)
                else:
                    break

    async def _ask(
        self,
        peer: NodeId,
        wanted: OffersRequest | SnapshotManifestRequest | SnapshotChunkRequest | TrustPathRequest,
    ) -> bytes:
        """Ask one peer; empty where it has nothing or does not answer."""
        try:
            return await self.streams.request(
                peer,
                StreamProtocol.SNAPSHOTS,
                encode(SnapshotRequest(wanted)),
                deadline_seconds=SNAPSHOT_REQUEST_SECONDS,
            )
        except UnreachableError:
            return b""


def _taken(indices: list[int]) -> Iterator[int]:
    """Take the next index for as long as there is one; several tasks share the list."""
    while indices:
        yield indices.pop(0)
