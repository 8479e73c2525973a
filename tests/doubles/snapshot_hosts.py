"""Nodes with a real database and snapshots in it, and peers that serve them or lie about them."""

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from potp2p.foundation.types import Height, NodeId, TrustedCheckpoint
from potp2p.network.ports import StreamProtocol
from potp2p.protocol.ledger.block import Ledger
from potp2p.protocol.ledger.genesis import chain_id_of, genesis_outcome
from potp2p.protocol.wire.schema import decode, encode
from potp2p.protocol.wire.snapshots import SnapshotRequest
from potp2p.services.block_batch import BlockBatch
from potp2p.services.chain import ChainService, stored_head
from potp2p.services.heights import HeightBell
from potp2p.services.mempool import Mempool
from potp2p.services.queries import QueryService
from potp2p.services.sealed import read_sealed
from potp2p.services.snapshots import SnapshotService
from potp2p.simulation.network import MemoryHub
from potp2p.storage.chain import LmdbChainStore
from potp2p.storage.environment import Environment
from potp2p.storage.snapshots import SnapshotFolder
from tests.doubles.archives import Archive, MadeChain
from tests.doubles.world import key_of

BLOCKS = 230
NEWEST = 200
"""The devnet's epochs end at 100 and 200."""


def quiet(_tag: str, _text: str) -> None:
    """Say nothing."""


@dataclass(slots=True)
class Host:
    """A folder with a real database, and the chain in it."""

    chain: MadeChain
    folder: Path
    stack: ExitStack
    checkpoint: TrustedCheckpoint | None = None
    store: LmdbChainStore = field(init=False)
    snapshots: SnapshotFolder = field(init=False)
    service: ChainService = field(init=False)

    async def open(self) -> None:
        """Open the folder; a new one gets the first state."""
        environment = self.stack.enter_context(Environment.open(self.folder / "chain.lmdb"))
        self.store = LmdbChainStore(environment)
        self.snapshots = SnapshotFolder(environment, self.folder / "snapshots")
        if self.store.head() is None:
            outcome = genesis_outcome(self.chain.genesis, chain_id_of(self.chain.genesis))
            await self.store.commit(
                height=Height(0),
                block=b"",
                seal=b"",
                state_root=outcome.state_root,
                state_writes=outcome.state_writes,
                node_writes=outcome.node_writes,
            )
        self.build()

    def build(self) -> None:
        """Put the chain service on what is stored."""
        chain_id = chain_id_of(self.chain.genesis)
        head = stored_head(self.store, chain_id)
        bell = HeightBell()
        bell.ring(head.height)
        ledger = Ledger(self.chain.genesis, self.store, self.store, head.state_root)
        mempool = Mempool(chain_id, lambda: bell.height, lambda _: None)
        self.service = ChainService(
            chain_id, ledger, self.store, bell, mempool, head, self.checkpoint
        )

    async def follow(self, last: int) -> None:
        """Execute and store the chain's blocks up to a height."""
        batch = BlockBatch(self.service)
        for height in range(self.service.head.height + 1, last + 1):
            await batch.extend(
                read_sealed(self.chain.encoded[height - 1], key_of("archive").node_id)
            )
        await batch.store()


@dataclass(slots=True)
class Server(Archive):
    """A peer with blocks and snapshots; tests put lies in the place of its answers."""

    host: Host | None = None
    lie: Callable[[SnapshotRequest, bytes], bytes] = lambda _request, answer: answer
    lie_of_epochs: Callable[[bytes], bytes] = lambda answer: answer
    queries: QueryService = field(init=False)
    wanted: list[SnapshotRequest] = field(default_factory=list[SnapshotRequest])
    service: SnapshotService = field(init=False)

    def __post_init__(self) -> None:
        Archive.__post_init__(self)
        assert self.host is not None
        inner = MemoryHub().attach(self.node)
        self.service = SnapshotService(
            self.chain.genesis,
            self.host.service,
            self.host.store,
            self.host.snapshots,
            inner,
            quiet,
        )
        self.network.serve(StreamProtocol.SNAPSHOTS, self.answer_snapshots)
        genesis = encode(self.chain.genesis)
        self.queries = QueryService(genesis, self.host.service, self.host.store, inner)
        self.network.serve(StreamProtocol.EPOCHS, self.answer_epochs)

    async def answer_epochs(self, peer: NodeId, body: bytes) -> bytes:
        """Serve the ends of epochs, or a lie."""
        return self.lie_of_epochs(await self.queries.answer_epochs(peer, body))

    async def answer_snapshots(self, peer: NodeId, body: bytes) -> bytes:
        """Serve what the service serves, or a lie."""
        request = decode(SnapshotRequest, body)
        self.wanted.append(request)
        return self.lie(request, await self.service.answer(peer, body))


_prepared: dict[str, Path] = {}
"""The host's folder, made once: its blocks take a second to execute."""


async def open_host(chain: MadeChain, folder: Path, stack: ExitStack, spare: Path) -> Host:
    """Return a node with the whole chain and its last two snapshots, in a folder of its own."""
    if "host" not in _prepared:
        with ExitStack() as closing:
            maker = Host(chain, spare, closing)
            await maker.open()
            for height in (100, NEWEST):
                await maker.follow(height)
                assert await maker.snapshots.dump(chain_id_of(chain.genesis), Height(height))
            await maker.follow(BLOCKS)
        _prepared["host"] = spare
    _copy(_prepared["host"], folder)
    found = Host(chain, folder, stack)
    await found.open()
    return found


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target)
