"""Peers that serve a made chain, honestly or not, and a newcomer that knows only its genesis."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from types import MappingProxyType

import trio

from potp2p.benchmarks.sync_chain import ChainMaker, MadeBlock, sync_genesis, validator_keys
from potp2p.foundation.types import GENESIS_HEIGHT, Digest, Height, NodeId, Signature
from potp2p.network.ports import StreamProtocol
from potp2p.protocol.crypto.identity import KeyPair
from potp2p.protocol.ledger.block import Ledger
from potp2p.protocol.ledger.genesis import chain_id_of, genesis_outcome
from potp2p.protocol.wire.exchange import (
    BlocksReply,
    BlocksRequest,
    Hello,
    Role,
    SealedBlock,
)
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.schema import decode, encode
from potp2p.services.catch_up import Away, nobody_to_ask
from potp2p.services.chain import ChainService, stored_head
from potp2p.services.heights import HeightBell
from potp2p.services.mempool import Mempool
from potp2p.services.past_bodies import PastBodies
from potp2p.services.sealed import join_sealed
from potp2p.services.sync import SyncService
from potp2p.simulation.network import MemoryHub, MemoryNetwork
from potp2p.simulation.stores import MemoryChainStore
from potp2p.storage.ports import StoredBlock
from tests.doubles.world import key_of

PAYERS = 20
VALIDATORS = 4


@dataclass(slots=True)
class CountingStore(MemoryChainStore):
    """Notes how many blocks each transaction held."""

    sizes: list[int] = field(default_factory=list[int])

    async def commit_many(
        self,
        blocks: Sequence[StoredBlock],
        *,
        state_root: Digest,
        state_writes: Mapping[bytes, bytes | None],
        node_writes: Mapping[bytes, bytes | None],
        metadata: Mapping[bytes, bytes] = MappingProxyType({}),
    ) -> None:
        self.sizes.append(len(blocks))
        await MemoryChainStore.commit_many(
            self,
            blocks,
            state_root=state_root,
            state_writes=state_writes,
            node_writes=node_writes,
            metadata=metadata,
        )


@dataclass(slots=True)
class MadeChain:
    """Sealed blocks from height 1 on, as they are stored."""

    genesis: Genesis
    maker: ChainMaker
    store: MemoryChainStore
    encoded: list[bytes] = field(default_factory=list[bytes])
    """Sealed blocks; the first is of height 1."""
    made: list[MadeBlock] = field(default_factory=list[MadeBlock])

    @property
    def height(self) -> Height:
        """Return how high it is."""
        return Height(len(self.encoded))

    async def extend(self, blocks: int, transactions: int = 1) -> None:
        """Make and store more blocks."""
        for _ in range(blocks):
            await self.keep(self.maker.make(transactions))

    async def keep(self, made: MadeBlock) -> None:
        """Store a block that was just made."""
        block, seal = encode(made.block), encode(made.seal)
        await self.store.commit(
            height=Height(self.height + 1),
            block=block,
            seal=seal,
            state_root=made.outcome.state_root,
            state_writes=made.outcome.state_writes,
            node_writes=made.outcome.node_writes,
        )
        self.maker.follow(made)
        self.encoded.append(join_sealed(block, seal))
        self.made.append(made)


def empty_chain(payers: int = PAYERS) -> MadeChain:
    """Return a chain without blocks; another number of payers is another network."""
    genesis = sync_genesis(VALIDATORS, payers)
    store = planted(genesis)
    stored = store.head()
    assert stored is not None
    keys = validator_keys(VALIDATORS)
    return MadeChain(genesis, ChainMaker(genesis, keys, payers, store, stored.state_root), store)


def planted(genesis: Genesis) -> MemoryChainStore:
    """Return a store that holds the first state."""
    store = MemoryChainStore()
    store.plant(genesis_outcome(genesis, chain_id_of(genesis)))
    return store


@cache
def _chains() -> dict[tuple[int, int], MadeChain]:
    return {}


async def made_chain(blocks: int, payers: int = PAYERS) -> MadeChain:
    """Return a chain that tests share and do not change."""
    key = (blocks, payers)
    if key not in _chains():
        chain = empty_chain(payers)
        await chain.extend(blocks)
        _chains()[key] = chain
    return _chains()[key]


@dataclass(slots=True)
class Archive:
    """A peer that serves a chain; subclasses lie in one way each."""

    name: str
    chain: MadeChain
    hub: MemoryHub
    claim: Height | None = None
    """What it says its height is; None for the truth."""
    asked: list[BlocksRequest] = field(default_factory=list[BlocksRequest])
    network: MemoryNetwork = field(init=False)

    def __post_init__(self) -> None:
        self.network = self.hub.attach(self.node)
        self.network.serve(StreamProtocol.HELLO, self.greet)
        self.network.serve(StreamProtocol.BLOCKS, self.answer)

    @property
    def node(self) -> NodeId:
        """Return its id."""
        return key_of(self.name).node_id

    async def greet(self, _peer: NodeId, _body: bytes) -> bytes:
        """Say how high it is."""
        await trio.lowlevel.checkpoint()
        height = self.chain.height if self.claim is None else self.claim
        chain_id = chain_id_of(self.chain.genesis)
        return encode(Hello(chain_id, Role.OBSERVER, height, "0.0.0"))

    async def answer(self, _peer: NodeId, body: bytes) -> bytes:
        """Serve a range."""
        request = decode(BlocksRequest, body)
        self.asked.append(request)
        await trio.lowlevel.checkpoint()
        return encode(BlocksReply(tuple(await self.serve(request))))

    async def serve(self, request: BlocksRequest) -> Sequence[bytes]:
        """Return sealed blocks."""
        await trio.lowlevel.checkpoint()
        return self.chain.encoded[request.first - 1 : request.first - 1 + request.count]


@dataclass(slots=True)
class Altering(Archive):
    """Changes one block of every range it serves."""

    change: Callable[[SealedBlock], SealedBlock] = lambda sealed: sealed
    at: int = -1
    """Which block of a range."""

    async def serve(self, request: BlocksRequest) -> Sequence[bytes]:
        """Serve with a lie."""
        blocks = list(await Archive.serve(self, request))
        if blocks:
            blocks[self.at] = encode(self.change(decode(SealedBlock, blocks[self.at])))
        return blocks


@dataclass(slots=True)
class Misplacing(Archive):
    """Serves true blocks of other heights than were asked for."""

    async def serve(self, request: BlocksRequest) -> Sequence[bytes]:
        """Serve what comes after."""
        later = replace(request, first=Height(request.first + 1))
        return await Archive.serve(self, later)


@dataclass(slots=True)
class Overflowing(Archive):
    """Serves more than was asked for."""

    async def serve(self, request: BlocksRequest) -> Sequence[bytes]:
        """Serve one block too many."""
        return await Archive.serve(self, replace(request, count=request.count + 1))


@dataclass(slots=True)
class Halving(Archive):
    """Serves the first half of every range, for ever."""

    async def serve(self, request: BlocksRequest) -> Sequence[bytes]:
        """Serve a part."""
        return await Archive.serve(self, replace(request, count=(request.count + 1) // 2))


@dataclass(slots=True)
class Stalling(Archive):
    """Takes requests and never answers."""

    async def serve(self, request: BlocksRequest) -> Sequence[bytes]:
        """Wait for ever."""
        await trio.sleep_forever()
        raise AssertionError(request)


@dataclass(slots=True)
class Teasing(Archive):
    """Serves a few blocks and then nothing any more, without an end."""

    async def serve(self, request: BlocksRequest) -> Sequence[bytes]:
        """Serve the first blocks once."""
        if request.first > 1:
            await trio.sleep_forever()
        return await Archive.serve(self, replace(request, count=5))


@dataclass(slots=True)
class Empty(Archive):
    """Claims much and has nothing."""

    async def serve(self, request: BlocksRequest) -> Sequence[bytes]:
        """Serve nothing."""
        del request
        await trio.lowlevel.checkpoint()
        return ()


def forge_signature(sealed: SealedBlock) -> SealedBlock:
    """Return a block under a seal that nobody signed."""
    forged = replace(sealed.seal.signatures[0], signature=Signature(b"\x01" * 64))
    return replace(
        sealed, seal=replace(sealed.seal, signatures=(forged, *sealed.seal.signatures[1:]))
    )


def too_few_signatures(sealed: SealedBlock) -> SealedBlock:
    """Return a block under a seal that is no quorum's."""
    return replace(sealed, seal=replace(sealed.seal, signatures=sealed.seal.signatures[:2]))


def other_transactions(sealed: SealedBlock) -> SealedBlock:
    """Return a block whose transactions are not those of its header."""
    block = replace(sealed.block, transactions=(*sealed.block.transactions, b"\x80"))
    return replace(sealed, block=block)


def other_state(sealed: SealedBlock) -> SealedBlock:
    """Return a block with another root under the old seal."""
    body = replace(sealed.block.header.body, state_root=Digest(b"\x66" * 32))
    header = replace(sealed.block.header, body=body)
    return replace(sealed, block=replace(sealed.block, header=header))


LIES: dict[str, Callable[[SealedBlock], SealedBlock]] = {
    "a forged signature": forge_signature,
    "a seal of too few": too_few_signatures,
    "other transactions": other_transactions,
    "another state root": other_state,
}


@dataclass(slots=True)
class Newcomer:
    """The services that follow a chain, over a store that may hold some of it."""

    genesis: Genesis
    hub: MemoryHub
    store: MemoryChainStore
    keys: KeyPair = field(default_factory=lambda: key_of("newcomer"))
    away: Away = nobody_to_ask
    chain: ChainService = field(init=False)
    sync: SyncService = field(init=False)

    def __post_init__(self) -> None:
        chain_id = chain_id_of(self.genesis)
        head = stored_head(self.store, chain_id)
        bell = HeightBell()
        bell.ring(head.height)
        ledger = Ledger(self.genesis, self.store, self.store, head.state_root)
        mempool = Mempool(chain_id, lambda: bell.height, lambda _: None)
        self.chain = ChainService(chain_id, ledger, self.store, bell, mempool, head)
        network = self.hub.attach(self.keys.node_id)
        self.sync = SyncService(
            self.keys.node_id,
            self.chain,
            self.store,
            network,
            network,
            network,
            Role.OBSERVER,
            "0.0.0",
            adopt=self.chain.commit,
            patience_seconds=0.3,
            past=PastBodies(self.keys.node_id, self.chain),
            away=self.away,
        )

    async def until(self, height: int, *, seconds: float = 120) -> float:
        """Return how long it took to reach a height, in virtual seconds."""
        start = trio.current_time()
        with trio.fail_after(seconds):
            await self.chain.bell.wait_above(Height(height - 1))
        return trio.current_time() - start

    def assert_follows(self, chain: MadeChain) -> None:
        """All that it stored is the chain's, and so is its state."""
        head = self.store.head()
        assert head is not None
        for height in range(GENESIS_HEIGHT + 1, head.height + 1):
            assert self.store.block(Height(height)) == chain.store.block(Height(height))
        assert head.state_root == chain.made[head.height - 1].outcome.state_root
        if head.height == chain.height:
            assert self.store.states == chain.store.states
            assert self.store.nodes == chain.store.nodes
