"""
Makes and serves snapshots: the state at every hundredth height, and the way to its header.

A snapshot that is asked for stays until nobody has asked for a while, so that a slow peer finishes
what it began; never more than twice the usual number are kept.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import assert_never

import trio

from potp2p.foundation.errors import MissingError, PeerError, RejectionReason
from potp2p.foundation.limits import (
    EPOCHS_PER_REQUEST_MAX,
    SNAPSHOT_BLOCKS,
    SNAPSHOT_PAUSE_SECONDS,
    SNAPSHOT_REQUEST_SECONDS,
    SNAPSHOT_REST,
    SNAPSHOTS_KEPT,
)
from potp2p.foundation.types import Epoch, Height, NodeId
from potp2p.network.ports import StreamProtocol, Streams
from potp2p.protocol.ledger.heights import epoch_of, last_of
from potp2p.protocol.wire.blocks import Block, Header, Seal
from potp2p.protocol.wire.certificates import EpochLink, ValidatorSet
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.schema import decode, encode
from potp2p.protocol.wire.snapshots import (
    OFFERS_MAX,
    OffersRequest,
    SnapshotChunkRequest,
    SnapshotManifestRequest,
    SnapshotOffers,
    SnapshotRequest,
    TrustPath,
    TrustPathRequest,
)
from potp2p.services.chain import ChainService, validators_name
from potp2p.storage.ports import ChainStore, SnapshotStore

PINNED_SECONDS = 4 * SNAPSHOT_REQUEST_SECONDS
"""A transfer that pauses longer than this has ended."""


@dataclass(slots=True)
class SnapshotService:
    """Owner of the snapshots of this node."""

    genesis: Genesis
    chain: ChainService
    store: ChainStore
    snapshots: SnapshotStore
    streams: Streams
    say: Callable[[str, str], None]
    blocks: int = SNAPSHOT_BLOCKS
    """Between two snapshots."""
    _asked: dict[Height, float] = field(default_factory=dict[Height, float])
    """When a snapshot was last asked for; as many entries as snapshots."""

    def __post_init__(self) -> None:
        self.streams.serve(StreamProtocol.SNAPSHOTS, self.answer)

    async def run(self) -> None:
        """Keep the state of every checkpoint that is the head; ends by cancellation."""
        height = self.chain.head.height
        rested = trio.current_time()
        while True:
            height = await self.chain.bell.wait_above(height)
            if height % self.blocks or self.chain.is_behind or trio.current_time() < rested:
                # Behind, others have newer ones; and a large state is not written all the time.
                continue
            start = trio.current_time()
            if await self.snapshots.dump(self.chain.chain_id, height):
                seconds = trio.current_time() - start
                rested = trio.current_time() + max(SNAPSHOT_PAUSE_SECONDS, SNAPSHOT_REST * seconds)
                self.say("chain", f"snapshot of height {height} in {seconds:.1f} s")
                await self._forget_old()

    async def answer(self, _peer: NodeId, body: bytes) -> bytes:
        """Serve offers, a manifest, a chunk, or what proves a header; empty where it is gone."""
        wanted = decode(SnapshotRequest, body).wanted
        await trio.lowlevel.checkpoint()
        match wanted:
            case OffersRequest(count):
                newest = reversed(self.snapshots.heights())
                offers = (self.snapshots.offer(height) for height in newest)
                held = tuple(each for each in offers if each is not None)
                return encode(SnapshotOffers(held[:count]))
            case SnapshotManifestRequest(height):
                self._pin(height)
                return self.snapshots.manifest(height) or b""
            case SnapshotChunkRequest(height, index):
                self._pin(height)
                try:
                    return await self.snapshots.chunk(height, index)
                except MissingError:
                    return b""
            case TrustPathRequest(start, target):
                return self._trust_path(start, target)
            case _:
                assert_never(wanted)

    def _pin(self, height: Height) -> None:
        if height in self.snapshots.heights():
            self._asked[height] = trio.current_time()

    async def _forget_old(self) -> None:
        """Remove all but the newest; what is being fetched may stay, within a bound."""
        heights = self.snapshots.heights()
        since = trio.current_time() - PINNED_SECONDS
        for height in heights[:-SNAPSHOTS_KEPT]:
            is_pinned = self._asked.get(height, since) > since
            if not is_pinned or height in heights[:-OFFERS_MAX]:
                self._asked.pop(height, None)
                await self.snapshots.remove(height)

    def _trust_path(self, start: Height, target: Height) -> bytes:
        """Return what leads from one header to the seats of a higher one; empty if it is gone."""
        if target <= start:
            raise PeerError(RejectionReason.OUT_OF_BOUNDS, "a path leads up")
        consensus = self.genesis.consensus
        found = self._sealed(start)
        first = epoch_of(Height(start + 1), consensus)
        seats = self._seats(first)
        if found is None or seats is None:
            return b""
        last = min(epoch_of(target, consensus), first + EPOCHS_PER_REQUEST_MAX)
        links: list[EpochLink] = []
        for epoch in range(first, last):
            end = self._sealed(last_of(Epoch(epoch), consensus))
            following = self._seats(Epoch(epoch + 1))
            if end is None or following is None:
                return b""
            links.append(EpochLink(end[0], end[1], following))
        return encode(TrustPath(found[0], seats, tuple(links)))

    def _sealed(self, height: Height) -> tuple[Header, Seal] | None:
        stored = self.store.block(height)
        if stored is None:
            return None
        return decode(Block, stored[0]).header, decode(Seal, stored[1])

    def _seats(self, epoch: Epoch) -> ValidatorSet | None:
        """Return who held the seats of an epoch."""
        if epoch == 0:
            return ValidatorSet(tuple(each.node for each in self.genesis.validators))
        stored = self.store.get_metadata(validators_name(epoch))
        return None if stored is None else decode(ValidatorSet, stored)
