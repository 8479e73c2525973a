"""
Staying in step: hello with peers, sealed blocks by gossip, ranges of them on request.

A claimed height is only a reason to ask; nothing counts but a block whose seal a quorum signed. A
peer that sends a bad block is scored and the next one is asked (`catch_up.py`).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio

from potp2p.foundation.errors import PeerError, RejectionReason, UnreachableError
from potp2p.foundation.limits import GOSSIP_BYTES_MAX, HELLO_SECONDS, MESSAGE_BYTES_MAX
from potp2p.foundation.types import Height, NodeId
from potp2p.network.ports import Directory, Gossip, Heard, StreamProtocol, Streams, Topic
from potp2p.protocol.ledger.validity import block_hash, verify_seal
from potp2p.protocol.wire.blocks import Block, Seal
from potp2p.protocol.wire.exchange import (
    BlockNotice,
    BlocksReply,
    BlocksRequest,
    Hello,
    Role,
    SealedBlock,
)
from potp2p.protocol.wire.schema import decode, encode
from potp2p.services.catch_up import Away, CatchUp, nobody_to_ask
from potp2p.services.chain import ChainService
from potp2p.services.past_bodies import PastBodies
from potp2p.services.peer_heights import PeerHeights
from potp2p.services.sealed import join_sealed
from potp2p.storage.ports import ChainStore

REPLY_OVERHEAD_BYTES = 4096
HELLO_REPLY_SECONDS = 5.0

Adopt = Callable[[Block, Seal], Awaitable[None]]
"""Takes the next sealed block, already verified, to its durable end."""


@dataclass(slots=True)
class SyncService:
    """Hears and tells how far the chain is."""

    own: NodeId
    chain: ChainService
    store: ChainStore
    gossip: Gossip
    streams: Streams
    directory: Directory
    role: Role
    version: str
    adopt: Adopt
    patience_seconds: float
    """How long a block may be missing before peers are asked; replicas get theirs by vote."""
    past: PastBodies
    """Told what validators answer, and asks for those that it misses."""
    away: Away = nobody_to_ask
    """Takes a replica from its work while ranges of blocks are stored."""
    say: Callable[[str, str], None] = lambda _tag, _text: None
    heights: PeerHeights = field(default_factory=PeerHeights)
    catch_up: CatchUp = field(init=False)
    _sealed: trio.MemoryReceiveChannel[Heard] = field(init=False)

    def __post_init__(self) -> None:
        self.catch_up = CatchUp(
            self.chain,
            self.streams,
            self.directory,
            self.heights,
            self.away,
            self.patience_seconds,
            self.say,
        )
        self.streams.serve(StreamProtocol.HELLO, self.answer_hello)
        self.streams.serve(StreamProtocol.BLOCKS, self.answer_blocks)
        self._sealed = self.gossip.subscribe(Topic.BLOCKS, self.validate_sealed)

    @property
    def target_height(self) -> Height | None:
        """Return the highest height that a peer claims who kept his word; None without one."""
        return self.heights.target

    async def run(self) -> None:
        """Greet, listen and fetch; ends by cancellation."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._greet)
            nursery.start_soon(self._listen)
            nursery.start_soon(self._announce)
            nursery.start_soon(self.catch_up.run)

    def hello(self) -> Hello:
        """Return who we are."""
        return Hello(self.chain.chain_id, self.role, self.chain.head.height, self.version)

    async def answer_hello(self, peer: NodeId, body: bytes) -> bytes:
        """Note who a peer is and say who we are."""
        await trio.lowlevel.checkpoint()
        self._note(peer, decode(Hello, body))
        return encode(self.hello())

    async def answer_blocks(self, _peer: NodeId, body: bytes) -> bytes:
        """Serve sealed blocks of a range, as many as fit one frame."""
        request = decode(BlocksRequest, body)
        await trio.lowlevel.checkpoint()
        room = MESSAGE_BYTES_MAX - REPLY_OVERHEAD_BYTES
        stored = self.store.blocks(request.first, request.count, room)
        # The bytes go out as they were stored: the asker decodes them, we need not.
        return encode(BlocksReply(tuple(join_sealed(*each) for each in stored)))

    def validate_sealed(self, message: bytes) -> None:
        """Check a gossiped block without waiting; its seal is checked where it follows the head."""
        news = _decode_news(message)
        header = news.block.header if isinstance(news, SealedBlock) else news.header
        height, seal = header.body.height, news.seal
        if seal.block_hash != block_hash(header) or seal.height != height:
            raise PeerError(RejectionReason.BAD_JUSTIFICATION, "seal of another block")
        if isinstance(news, SealedBlock) and height == self.chain.head.height + 1:
            self.chain.verify_sealed(news)
        elif height <= self.chain.head.height:
            self._verify_past(seal)
        elif seal.epoch == self.chain.prospects.epoch:
            # What we let pass is forwarded in our name: a height out of thin air is not.
            verify_seal(seal, self.chain.prospects.nodes, self.chain.chain_id)
        else:
            raise PeerError(RejectionReason.UNPROVEN, "block of an epoch ahead of ours")

    def _verify_past(self, seal: Seal) -> None:
        """Refuse another history: at most one block of a height is ever sealed."""
        stored = self.store.block(seal.height)
        if stored is None and seal.height < self.store.first_block():
            raise PeerError(RejectionReason.UNPROVEN, "block from before our snapshot")
        if stored is None or decode(Seal, stored[1]).block_hash != seal.block_hash:
            raise PeerError(RejectionReason.BAD_BLOCK, "another block than the one decided")

    def _note(self, peer: NodeId, hello: Hello) -> None:
        if hello.chain_id != self.chain.chain_id:
            raise PeerError(RejectionReason.WRONG_CHAIN, "peer of another network")
        if hello.role in (Role.BOOTSTRAP, Role.CLIENT):
            return
        self.heights.say(peer, hello.height)

    def hear_of(self, peer: NodeId, height: Height) -> None:
        """Note a height that a peer claims to have decided."""
        self.heights.rise(peer, height)

    async def _greet(self) -> None:
        """Ask every peer for its height now and then, sooner while none has answered."""
        while True:
            connected = self.directory.peers()
            self.heights.keep_only(connected)
            async with trio.open_nursery() as nursery:
                for peer in dict.fromkeys((*connected, *self.past.unheard())):
                    nursery.start_soon(self._greet_one, peer)
            await trio.sleep(HELLO_SECONDS if self.heights.claims else HELLO_SECONDS / 5)

    async def _greet_one(self, peer: NodeId) -> None:
        try:
            answer = await self.streams.request(
                peer,
                StreamProtocol.HELLO,
                encode(self.hello()),
                deadline_seconds=HELLO_REPLY_SECONDS,
            )
            hello = decode(Hello, answer)
            self._note(peer, hello)
            self.past.hear(peer, hello.height)
        except PeerError as error:
            self.directory.penalise(peer, error)
        except UnreachableError:
            # A bootstrap node does not speak of chains; a dead peer is the adapter's business.
            return

    async def _announce(self) -> None:
        """Gossip a decided block if we framed it: one voice per height is enough for a mesh."""
        height = self.chain.head.height
        while True:
            height = await self.chain.bell.wait_above(height)
            stored = self.store.block(height)
            if stored is None:
                continue
            sealed = SealedBlock(decode(Block, stored[0]), decode(Seal, stored[1]))
            nodes = self.chain.head_validators
            primary = sealed.block.header.frame.primary
            if nodes[primary] != self.own:
                continue
            message = encode(sealed)
            if len(message) > GOSSIP_BYTES_MAX:
                # Too large for the mesh: say that it is final, and who lacks it asks for it.
                message = encode(BlockNotice(sealed.block.header, sealed.seal))
            await self.gossip.publish(Topic.BLOCKS, message)

    async def _listen(self) -> None:
        async for heard in self._sealed:
            news = _decode_news(heard.body)
            height = news.seal.height
            if isinstance(news, SealedBlock) and height == self.chain.head.height + 1:
                await self._take(heard.source, news)
            elif height > self.chain.head.height:
                self.hear_of(heard.source, height)

    async def _take(self, source: NodeId, sealed: SealedBlock) -> None:
        """Store the next block, unless catch-up is at it."""
        if self.catch_up.storing.locked():
            self.hear_of(source, sealed.seal.height)
            return
        async with self.catch_up.storing:
            try:
                self.chain.verify_sealed(sealed)
            except PeerError as error:
                if error.reason is not RejectionReason.TOO_EARLY:
                    self.directory.penalise(source, error)
                    self.heights.doubt(source)
                return
            await self.adopt(sealed.block, sealed.seal)


def _decode_news(message: bytes) -> SealedBlock | BlockNotice:
    """Parse what the topic of blocks carries: a sealed block, or only its header and seal."""
    try:
        return decode(SealedBlock, message, bytes_max=GOSSIP_BYTES_MAX)
    except PeerError:
        return decode(BlockNotice, message, bytes_max=GOSSIP_BYTES_MAX)
