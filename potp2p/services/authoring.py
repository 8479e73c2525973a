"""
Who builds the block: bodies of ranked authors, own bodies, and the primary's choice among them.

After block h-1 each ranked author builds a body near the end of the block interval, so that it
holds late transactions, and hands it to the validators; they relay it at first sight. The primary
frames the best-ranked valid body it holds, else its own (DESIGN section 4).

One body is signed for a height. It is durable before it leaves, and after a start nobody authors by
rank at a height for which an earlier self may have signed (past_bodies.py).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.limits import BLOCK_BYTES_MAX, BLOCK_TRANSACTIONS_MAX
from potp2p.foundation.types import GENESIS_HEIGHT, Digest, Height, Rank, ValidatorIndex, View
from potp2p.network.ports import Directory, Heard, StreamProtocol, Streams
from potp2p.protocol.crypto.beacon import NO_REVEAL
from potp2p.protocol.crypto.identity import KeyPair
from potp2p.protocol.crypto.signing import sign
from potp2p.protocol.ledger.validity import (
    frame_body,
    seal_hash,
    transactions_root,
    verify_body,
)
from potp2p.protocol.wire.blocks import (
    BLOCK_VERSION,
    BODY_DOMAIN,
    NO_DIGEST,
    RANK_NONE,
    AuthoredBody,
    Block,
    BlockBody,
    Frame,
)
from potp2p.protocol.wire.genesis import ConsensusParameters
from potp2p.protocol.wire.schema import decode, encode
from potp2p.services.beacons import BeaconChain
from potp2p.services.chain import ChainService
from potp2p.services.past_bodies import PastBodies
from potp2p.storage.ports import Notebook

OWN_BODY = b"own-body"
"""Note with the last body that this node signed."""


@dataclass(slots=True)
class AuthoringService:
    """Owner of the bodies heard for the height in work."""

    keys: KeyPair
    chain: ChainService
    parameters: ConsensusParameters
    streams: Streams
    directory: Directory
    bodies: trio.MemoryReceiveChannel[Heard]
    wall_milliseconds: Callable[[], int]
    notebook: Notebook
    past: PastBodies
    beacons: BeaconChain | None
    """None where this node is no validator."""
    better_body_heard: Callable[[Height, Rank], Awaitable[None]] | None
    """Tells the replica of a ranked body, early in the window, for its refusal rule."""
    transactions_max: int = BLOCK_TRANSACTIONS_MAX
    """How many transactions this node puts into a block of its own at most."""
    two_bodies_heard: Callable[[AuthoredBody, AuthoredBody], None] = lambda _first, _second: None
    """Told of two bodies that one author signed for one height."""
    _heard: dict[Rank, AuthoredBody] = field(default_factory=dict[Rank, AuthoredBody])
    _heard_height: Height = GENESIS_HEIGHT
    _parent_decided: float = 0.0
    _signing: trio.Lock = field(default_factory=trio.Lock)
    """Two views may ask at once: the second gets the body that the first one signed."""
    _kept: trio.Event = field(default_factory=trio.Event)
    """Set and replaced whenever a body is kept."""

    async def run(self) -> None:
        """Author when ranked, listen for bodies; ends by cancellation."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._author_when_ranked)
            nursery.start_soon(self._listen)

    async def candidate(self, height: Height, view: View, seat: ValidatorIndex) -> Block:
        """Choose the block that this validator proposes as primary of a view."""
        assert self.beacons is not None
        if view == 0 and self.chain.prospects.ranking:
            await self._wait_for_first_rank(height)
        if self.chain.prospects.height != height:
            # Decided meanwhile, by votes or catch-up: whoever asked is about to be cancelled.
            await trio.sleep_forever()
        frame = Frame(seat, view, self._reveal(height, seat))
        heard = self._heard_at(height)
        for rank in sorted(heard):
            block = frame_body(heard[rank], frame)
            if await self._may_propose(block):
                return block
        own = await self._own_body(height, RANK_NONE)
        if own is None:
            await trio.sleep_forever()
            raise AssertionError("cancelled above")
        return frame_body(own, frame)

    def _heard_at(self, height: Height) -> dict[Rank, AuthoredBody]:
        """Return the bodies of a height as they are now: the next height may clear them."""
        return dict(self._heard) if self._heard_height == height else {}

    def _reveal(self, height: Height, seat: ValidatorIndex) -> Digest:
        """Return our part of the beacon; a seat that registered no anchor reveals zeros."""
        assert self.beacons is not None
        if self.chain.prospects.anchors[seat] == NO_DIGEST:
            return NO_REVEAL
        return self.beacons.reveal(height)

    async def _wait_for_first_rank(self, height: Height) -> None:
        window = max(self.parameters.author_window, self.parameters.block_interval) / 1000
        with trio.move_on_at(self._parent_decided + window):
            while not (self._heard_height == height and Rank(0) in self._heard):
                await self._kept.wait()

    async def _may_propose(self, block: Block) -> bool:
        """Tell whether others will vote for a block: it is sound and leaves nothing out."""
        try:
            outcome = await self.chain.verify(block)
        except PeerError as error:
            if error.reason is RejectionReason.TOO_LATE:
                return False
            self.directory.penalise(block.header.body.author, error)
            return False
        return not outcome.left_out

    async def _own_body(self, height: Height, rank: Rank) -> AuthoredBody | None:
        """Return the one body that we sign at a height; None once the height is decided."""
        async with self._signing:
            stored = self._stored_body(height)
            if stored is not None:
                return stored
            if self.chain.prospects.height != height:
                return None
            try:
                authored = await self._build(height, rank)
            except PeerError:
                return None  # decided while it was put together
            # Durable before it leaves: after a crash we must not sign another one.
            await self.notebook.put(OWN_BODY, encode(authored))
            return authored

    def _stored_body(self, height: Height) -> AuthoredBody | None:
        """Return the body that this disk knows we signed at a height."""
        stored = self.notebook.get(OWN_BODY)
        if stored is None:
            return None
        authored = decode(AuthoredBody, stored, bytes_max=2 * BLOCK_BYTES_MAX)
        return authored if authored.body.height == height else None

    def _may_author(self, height: Height) -> bool:
        """Tell whether a ranked body cannot contradict one that we forgot."""
        return self.past.may_sign(height) or self._stored_body(height) is not None

    async def _build(self, height: Height, rank: Rank) -> AuthoredBody:
        """Put together, execute and sign an own body on the head; PeerError when that moves on."""
        chain, prospects = self.chain, self.chain.prospects
        assert prospects.height == height
        outcome = await chain.in_turns(
            chain.ledger.assembling(
                chain.head.header,
                height,
                self.keys.node_id,
                rank,
                chain.mempool.candidates(),
                chain.mempool.is_verified,
                self.transactions_max,
                chain.overdue.due,
            )
        )
        chain.mempool.refuse(outcome.refused)
        body = BlockBody(
            version=BLOCK_VERSION,
            height=height,
            previous_hash=chain.head.hash,
            previous_seal_hash=seal_hash(chain.head.seal),
            epoch=prospects.epoch,
            cycle=prospects.cycle,
            author=self.keys.node_id,
            rank=rank,
            transactions_root=transactions_root(outcome.included),
            state_root=outcome.state_root,
            next_validators_hash=prospects.next_validators_hash,
            certificate_hash=prospects.certificate_hash,
            time_milliseconds=self.wall_milliseconds(),
        )
        chain.note_built(body, outcome)
        signature = sign(self.keys, BODY_DOMAIN, chain.chain_id, encode(body))
        return AuthoredBody(body, signature, chain.head.seal, outcome.included)

    async def _author_when_ranked(self) -> None:
        signed = self.chain.head.height
        self._parent_decided = trio.current_time()
        early = (self.parameters.block_interval - self.parameters.author_window) / 1000
        while True:
            height = Height(self.chain.head.height + 1)
            ranking = self.chain.prospects.ranking
            if self.keys.node_id in ranking and height > signed:
                await trio.sleep_until(self._parent_decided + max(early, 0))
                # One body per height: a second one would be evidence against us.
                if self.chain.head.height + 1 == height and self._may_author(height):
                    signed = height
                    rank = Rank(ranking.index(self.keys.node_id))
                    own = await self._own_body(height, rank)
                    if own is not None:
                        await self._send(own)
            await self.chain.bell.wait_above(Height(height - 1))
            self._parent_decided = trio.current_time()

    async def _send(self, authored: AuthoredBody) -> None:
        encoded = encode(authored)
        if self.keys.node_id in self.chain.prospects.nodes:
            await self._keep(authored)
        for validator in self.chain.prospects.nodes:
            if validator != self.keys.node_id:
                self.streams.post(validator, StreamProtocol.BODIES, encoded)

    async def _listen(self) -> None:
        async for heard in self.bodies:
            try:
                await self._hear(heard)
            except PeerError as error:
                self.directory.penalise(heard.source, error)

    async def _hear(self, heard: Heard) -> None:
        authored = decode(AuthoredBody, heard.body, bytes_max=2 * BLOCK_BYTES_MAX)
        body, prospects = authored.body, self.chain.prospects
        if body.height != prospects.height or body.previous_hash != self.chain.head.hash:
            # Early or late by one block is the weather of a network, not a fault.
            return
        known = self._heard.get(body.rank) if self._heard_height == body.height else None
        if known is not None and known.body == body:
            return
        verify_body(
            authored,
            prospects=prospects,
            parent_hash=self.chain.head.hash,
            parent_validators=self.chain.head_validators,
            chain_id=self.chain.chain_id,
        )
        if body.rank == RANK_NONE:
            raise PeerError(RejectionReason.WRONG_SENDER, "body without rank")
        if known is not None:
            # Only its author is to blame: who relays the second body may not know of the first.
            self.two_bodies_heard(known, authored)
            if heard.source == body.author:
                raise PeerError(RejectionReason.EQUIVOCATION, f"two bodies of rank {body.rank}")
            return
        await self._keep(authored)
        for validator in prospects.nodes:
            if validator not in (self.keys.node_id, heard.source):
                self.streams.post(validator, StreamProtocol.BODIES, heard.body)

    async def _keep(self, authored: AuthoredBody) -> None:
        height, rank = authored.body.height, authored.body.rank
        if self._heard_height != height:
            self._heard.clear()
            self._heard_height = height
        self._heard[rank] = authored
        self._kept.set()
        self._kept = trio.Event()
        window = max(self.parameters.author_window, self.parameters.block_interval) / 1000
        early = trio.current_time() <= self._parent_decided + window / 2
        if early and self.better_body_heard is not None and self._is_reproduced(authored):
            await self.better_body_heard(height, rank)

    def _is_reproduced(self, authored: AuthoredBody) -> bool:
        """
        Execute a body before it binds our vote; what came of it is kept for when it is proposed.

        Else any ranked author could make all refuse every honest primary of views 0 to 2, with a
        body that is well signed and leads nowhere, or leaves out what no primary may leave out.
        """
        chain, body = self.chain, authored.body
        try:
            outcome = chain.ledger.execute(
                chain.head.header,
                body.height,
                body.author,
                body.rank,
                authored.transactions,
                chain.mempool.is_verified,
                chain.overdue.due,
            )
        except PeerError:
            return False
        if outcome.state_root != body.state_root:
            return False
        chain.note_built(body, outcome)
        return not outcome.left_out
