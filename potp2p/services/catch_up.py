"""
Catch-up: ranges of sealed blocks from several peers at once, executed and stored in batches.

Requests go to the lowest missing heights first, a bounded number at a time, over as many peers as
claim to have them. What a peer sends is checked as it arrives as far as the seats in force allow;
the rest when its turn comes. A peer that sends what no quorum sealed is scored, all it brought is
dropped and asked of others; one that is slow, silent or has less than it said is asked last.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import trio

from potp2p.foundation.errors import PeerError, RejectionReason, UnreachableError
from potp2p.foundation.limits import (
    BLOCKS_REQUEST_SECONDS,
    FAR_BEHIND_BLOCKS,
    HEDGE_SECONDS,
    MESSAGE_BYTES_MAX,
    RACE_BLOCKS_MAX,
    RANGES_PER_PEER_MAX,
)
from potp2p.foundation.types import GENESIS_HEIGHT, Digest, Height, NodeId
from potp2p.network.ports import Directory, StreamProtocol, Streams
from potp2p.protocol.ledger.validity import verify_seal
from potp2p.protocol.wire.exchange import BlocksReply, BlocksRequest
from potp2p.protocol.wire.schema import decode, encode
from potp2p.services.block_batch import BlockBatch
from potp2p.services.block_window import AskedRange, BlockWindow
from potp2p.services.chain import ChainService
from potp2p.services.peer_heights import PeerHeights
from potp2p.services.sealed import SealedArrival, read_sealed

Away = Callable[[], AbstractAsyncContextManager[None]]
"""Keeps everyone else from storing blocks while catch-up does."""


@asynccontextmanager
async def nobody_to_ask() -> AsyncIterator[None]:
    """Stand in for `Away` where no replica stores blocks."""
    yield


@dataclass(slots=True)
class CatchUp:
    """Brings the chain to what peers can prove; one run at a time."""

    chain: ChainService
    streams: Streams
    directory: Directory
    heights: PeerHeights
    away: Away
    patience_seconds: float
    """How long the next block may be missing before peers are asked; replicas get it by vote."""
    say: Callable[[str, str], None]
    """Told of every run that brought more than a few blocks."""
    storing: trio.Lock = field(default_factory=trio.Lock)
    """Held by whoever stores blocks that came sealed."""
    _window: BlockWindow = field(init=False)
    _begun: Height = GENESIS_HEIGHT
    """The head when this run began."""
    _batch: BlockBatch | None = None
    """Kept from one transaction to the next for what it remembers of the state."""
    _changed: trio.Event = field(default_factory=trio.Event)

    def __post_init__(self) -> None:
        self._window = BlockWindow(Height(self.chain.head.height + 1))

    @property
    def held_bytes(self) -> int:
        """Return what waits for its turn."""
        return self._window.held_bytes

    async def run(self) -> None:
        """Close every gap that opens; ends by cancellation."""
        while True:
            await self.heights.raised()
            while await self._is_behind():
                if not await self._close_gap():
                    break

    async def _is_behind(self) -> bool:
        """Wait until it is certain that blocks stay away, or that we are in step."""
        while True:
            before = self.chain.head.height
            if self.heights.highest <= before:
                return False
            if (self.heights.target or before) >= before + FAR_BEHIND_BLOCKS:
                return True
            with trio.move_on_after(self.patience_seconds):
                # A block may be on its way by vote or gossip: ask only when it stays away.
                await self.chain.bell.wait_above(before)
            if self.chain.head.height == before:
                return True

    async def _close_gap(self) -> bool:
        """Fetch and store until nobody we can ask has more; tell whether anything came of it."""
        before = self._begun = self.chain.head.height
        start = trio.current_time()
        self._window = BlockWindow(Height(before + 1))
        try:
            await self._fetch_and_store()
        finally:
            self.chain.is_behind = False
            self._batch = None
        head = self.chain.head.height
        if head >= before + FAR_BEHIND_BLOCKS:
            seconds = trio.current_time() - start
            self.say("chain", f"caught up from height {before} to {head} in {seconds:.1f} s")
        return head > before

    async def _fetch_and_store(self) -> None:
        async with AsyncExitStack() as stack, trio.open_nursery() as nursery:
            is_away = False
            while True:
                self._window.advance(self.chain.head.height)
                self._send_requests(nursery)
                if self._window.next() is not None:
                    if not is_away:
                        # Only with a sealed block in hand: no claim takes a replica from its work.
                        await stack.enter_async_context(self.away())
                        is_away = True
                    await self._store_ready()
                elif not self._window.asked:
                    break
                elif not await self._arrival():
                    # Whoever stalls keeps no replica from voting, and nobody from the news.
                    self.chain.is_behind = False
                    await stack.aclose()
                    is_away = False
            nursery.cancel_scope.cancel()

    async def _arrival(self) -> bool:
        """Wait for news of a request; False when none came for a while."""
        self._changed = trio.Event()
        with trio.move_on_after(HEDGE_SECONDS):
            await self._changed.wait()
        return self._changed.is_set()

    # Asking

    def _send_requests(self, nursery: trio.Nursery) -> None:
        """Put as many ranges on their way as window and peers allow."""
        while True:
            wanted = self._window.missing(self.heights.highest)
            if wanted is None:
                break
            first, count = wanted
            free = self._free_peers(first)
            if not free:
                break
            # Near the tip the first of two answers counts.
            askers = 2 if count <= RACE_BLOCKS_MAX and first == self._window.first else 1
            for peer in free[:askers]:
                self._ask(nursery, peer, first, count)
        late = self._window.overdue(trio.current_time() - HEDGE_SECONDS)
        if late is not None:
            # Too slow for now: it keeps its claim, but the others are asked first.
            self.heights.doubt(late.peer, self.heights.claims.get(late.peer))
            # Only what the head waits for, of those who claim it: whoever has less would answer at
            # once, again and again, with what is stored already.
            first = self._window.first
            others = [peer for peer in self._free_peers(first) if peer != late.peer]
            if others:
                self._ask(nursery, others[0], first, late.heights.stop - first)

    def _free_peers(self, height: Height) -> list[NodeId]:
        """Return who may be asked for a height, those with the fewest requests first."""
        busy = [asked.peer for asked in self._window.asked]
        able = [
            peer for peer in self.heights.above(height) if busy.count(peer) < RANGES_PER_PEER_MAX
        ]
        return sorted(able, key=busy.count)

    def _ask(self, nursery: trio.Nursery, peer: NodeId, first: Height, count: int) -> None:
        count = min(count, self.heights.claims[peer] - first + 1)
        asked = AskedRange(peer, first, count, trio.current_time())
        self._window.asked.append(asked)
        nursery.start_soon(self._fetch, asked, nursery)

    async def _fetch(self, asked: AskedRange, nursery: trio.Nursery) -> None:
        """Ask one peer for one range and keep what holds of its answer."""
        try:
            answer = await self.streams.request(
                asked.peer,
                StreamProtocol.BLOCKS,
                encode(BlocksRequest(asked.first, asked.count)),
                deadline_seconds=BLOCKS_REQUEST_SECONDS,
            )
            self.heights.note_seconds(asked.peer, trio.current_time() - asked.since)
            await self._keep(asked, decode(BlocksReply, answer), len(answer))
        except PeerError as error:
            self._blame(asked.peer, error)
        except UnreachableError:
            self.heights.doubt(asked.peer)
        self._window.asked.remove(asked)
        self._changed.set()
        self._send_requests(nursery)

    async def _keep(self, asked: AskedRange, reply: BlocksReply, size: int) -> None:
        """Check an answer block by block; PeerError at the first that no honest peer sends."""
        if len(reply.blocks) > asked.count:
            raise PeerError(RejectionReason.OUT_OF_BOUNDS, "more blocks than were asked for")
        last: Digest | None = None
        for height, encoded in zip(asked.heights, reply.blocks, strict=False):
            # Half a millisecond each: others get their turn between two of them.
            await trio.lowlevel.checkpoint()
            arrival = read_sealed(encoded, asked.peer)
            if arrival.height != height or (last is not None and arrival.parent != last):
                raise PeerError(RejectionReason.BAD_BLOCK, f"not the block {height} asked for")
            self._verify_seal_early(arrival)
            self._window.put(arrival)
            last = arrival.seal.block_hash
            self._changed.set()
        served = asked.first + len(reply.blocks) - 1
        is_cut_by_frame = size >= MESSAGE_BYTES_MAX // 4
        if len(reply.blocks) < asked.count and not (reply.blocks and is_cut_by_frame):
            # It has less than it claimed: what it did serve is all that we believe.
            self.heights.doubt(asked.peer, Height(served) if reply.blocks else None)

    def _verify_seal_early(self, arrival: SealedArrival) -> None:
        """Check what the seats in force can vouch for; later epochs wait for their seats."""
        prospects = self.chain.prospects
        if arrival.seal.epoch == prospects.epoch:
            verify_seal(arrival.seal, prospects.nodes, self.chain.chain_id)

    def _blame(self, peer: NodeId, error: PeerError) -> None:
        self.directory.penalise(peer, error)
        self.heights.doubt(peer)
        self._window.forget(peer)

    # Storing

    async def _store_ready(self) -> None:
        """Execute what follows the head as long as it comes, and store it in one transaction."""
        async with self.storing:
            self._window.advance(self.chain.head.height)
            batch = self._batch
            if batch is None or not batch.is_current:
                batch = self._batch = BlockBatch(self.chain)
            while not batch.is_full:
                arrival = self._window.next()
                if arrival is None:
                    break
                try:
                    await batch.extend(arrival)
                except PeerError as error:
                    self._blame(arrival.source, error)
                    break
                self._window.advance(arrival.height)
                await trio.lowlevel.checkpoint()
            if batch.head.height >= self._begun + FAR_BEHIND_BLOCKS:
                # Proved, not claimed: a liar must not make us deaf to what is new.
                self.chain.is_behind = True
            await batch.store()
