"""A node that begins with a snapshot: proved before it is fetched, checked before believed."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing

from potp2p.foundation.errors import OperatingError, PeerError, UnreachableError
from potp2p.foundation.limits import SNAPSHOTS_KEPT
from potp2p.foundation.types import Digest, Epoch, Height, TrustedCheckpoint
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.ledger.genesis import chain_id_of
from potp2p.protocol.ledger.validity import block_hash
from potp2p.protocol.wire.certificates import CertificateRequest, EpochsReply, EpochsRequest
from potp2p.protocol.wire.schema import decode, encode
from potp2p.protocol.wire.snapshots import (
    OffersRequest,
    SnapshotChunkRequest,
    SnapshotManifest,
    SnapshotManifestRequest,
    SnapshotOffers,
    SnapshotRequest,
    StateChunk,
    StateRecord,
    TrustPath,
    TrustPathRequest,
    manifest_digest,
)
from potp2p.services import snapshot_fetch
from potp2p.services.snapshot_fetch import SnapshotFetcher
from potp2p.services.snapshots import SnapshotService
from potp2p.simulation.network import MemoryHub, MemoryNetwork
from tests.doubles.archives import MadeChain, empty_chain, made_chain
from tests.doubles.snapshot_hosts import BLOCKS, NEWEST, Host, Server, open_host, quiet
from tests.doubles.world import key_of


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
async def chain() -> MadeChain:
    return await made_chain(BLOCKS)


@pytest.fixture
async def host(
    chain: MadeChain, tmp_path: Path, stack: ExitStack, tmp_path_factory: pytest.TempPathFactory
) -> Host:
    """A node with the whole chain and its last two snapshots."""
    return await open_host(chain, tmp_path / "host", stack, tmp_path_factory.mktemp("host"))


async def newcomer(chain: MadeChain, folder: Path, stack: ExitStack) -> Host:
    """Return a node that has the genesis state only."""
    found = Host(chain, folder / "newcomer", stack)
    await found.open()
    return found


def checkpoint_at(chain: MadeChain, height: int) -> TrustedCheckpoint:
    """Return the true checkpoint of a height."""
    return TrustedCheckpoint(Height(height), chain.made[height - 1].seal.block_hash)


def fetcher_of(host: Host, network: MemoryNetwork, height: int) -> SnapshotFetcher:
    """Return what brings a node its first state."""
    return SnapshotFetcher(
        chain_id_of(host.chain.genesis),
        host.chain.genesis.consensus,
        checkpoint_at(host.chain, height),
        network,
        network,
        host.snapshots.incoming,
        quiet,
    )


def offenders(hub: MemoryHub) -> set[bytes]:
    """Return whom anyone scored."""
    return {each.offender for each in hub.penalties}


@pytest.mark.parametrize("height", [NEWEST, 215, 150, 99, 1])
async def test_a_checkpoint_at_any_height_leads_to_the_newest_snapshot_and_on(
    height: int, host: Host, tmp_path: Path, stack: ExitStack
) -> None:
    hub = MemoryHub()
    Server("server", host.chain, hub, host=host)
    new = await newcomer(host.chain, tmp_path, stack)
    network = hub.attach(key_of("newcomer").node_id)
    offer = await fetcher_of(new, network, height).fetch()
    assert offer.header.body.height == NEWEST
    new.checkpoint = checkpoint_at(host.chain, height)
    new.build()
    assert new.service.head.height == NEWEST
    await new.follow(BLOCKS)
    assert new.service.head.state_root == host.service.head.state_root
    assert not hub.penalties


async def test_a_checkpoint_above_everything_is_waited_for_and_then_given_up(
    host: Host, tmp_path: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot_fetch, "SNAPSHOT_SEARCH_SECONDS", -1.0)
    hub = MemoryHub()
    Server("server", host.chain, hub, host=host)
    new = await newcomer(host.chain, tmp_path, stack)
    network = hub.attach(key_of("newcomer").node_id)
    fetcher = fetcher_of(new, network, BLOCKS)
    fetcher.checkpoint = TrustedCheckpoint(Height(BLOCKS + 300), Digest(bytes(32)))
    with pytest.raises(UnreachableError, match="no peer has a snapshot that leads to checkpoint"):
        await fetcher.fetch()
    assert new.store.head() == replace_height(new, 0)


def replace_height(host: Host, height: int) -> object:
    """Return what a store's head must be at genesis."""
    head = host.store.head()
    assert head is not None
    return replace(head, height=Height(height))


def wrong_chunk(request: SnapshotRequest, answer: bytes) -> bytes:
    """Serve noise for every chunk."""
    return bytes(1_000) if isinstance(request.wanted, SnapshotChunkRequest) else answer


def wrong_manifest(request: SnapshotRequest, answer: bytes) -> bytes:
    """Serve another chunk list than was offered."""
    if not isinstance(request.wanted, SnapshotManifestRequest):
        return answer
    manifest = decode(SnapshotManifest, answer)
    return encode(replace(manifest, digests=manifest.digests + bytes(32)))


def wrong_path(request: SnapshotRequest, answer: bytes) -> bytes:
    """Announce seats of one's own."""
    if not isinstance(request.wanted, TrustPathRequest) or not answer:
        return answer
    path = decode(TrustPath, answer)
    own = replace(path.validators, nodes=(key_of("liar").node_id,) * 4)
    return encode(replace(path, validators=own))


def forged_offer(request: SnapshotRequest, answer: bytes) -> bytes:
    """Offer a header that nobody sealed."""
    if not isinstance(request.wanted, OffersRequest):
        return answer
    offers = list(decode(SnapshotOffers, answer).offers)
    body = replace(offers[0].header.body, state_root=Digest(b"\x66" * 32))
    header = replace(offers[0].header, body=body)
    seal = replace(offers[0].seal, block_hash=block_hash(header))
    return encode(SnapshotOffers((replace(offers[0], header=header, seal=seal),)))


def only_old(request: SnapshotRequest, answer: bytes) -> bytes:
    """Offer nothing but the older snapshot."""
    if not isinstance(request.wanted, OffersRequest):
        return answer
    return encode(SnapshotOffers(decode(SnapshotOffers, answer).offers[1:]))


@dataclass(slots=True)
class FalseState:
    """Offers the true header with a state, chunk list and all, that has gold in it."""

    host: Host
    endless: bool = False

    async def prepare(self) -> None:
        """Build the lie."""
        chunks = [await self.host.snapshots.chunk(Height(NEWEST), index) for index in (0, 1)]
        records = list(decode(StateChunk, chunks[1]).records)
        gold = StateRecord(records[-1].key, records[-1].value[:-1] + b"\x00")
        self.chunks = [chunks[0], encode(StateChunk((*records[:-1], gold)))]

    chunks: list[bytes] = field(default_factory=list[bytes])

    @property
    def manifest(self) -> SnapshotManifest:
        """Return the false chunk list."""
        digests = b"".join(sha256(chunk) for chunk in self.chunks)
        if self.endless:
            digests += bytes(32) * 5_000
        digest = self.host.chain.made[NEWEST - 1].seal.block_hash
        chain_id = chain_id_of(self.host.chain.genesis)
        return SnapshotManifest(chain_id, Height(NEWEST), digest, 1, digests)

    def lie(self, request: SnapshotRequest, answer: bytes) -> bytes:
        """Serve it."""
        match request.wanted:
            case OffersRequest():
                offers = decode(SnapshotOffers, answer).offers
                return encode(
                    SnapshotOffers((replace(offers[0], manifest=manifest_digest(self.manifest)),))
                )
            case SnapshotManifestRequest():
                return encode(self.manifest)
            case SnapshotChunkRequest(_, index):
                return self.chunks[index] if index < len(self.chunks) else bytes(1 << 10)
            case _:
                return answer


@pytest.mark.parametrize("lie", [wrong_chunk, wrong_manifest, wrong_path, forged_offer])
async def test_a_liar_among_two_peers_is_scored_and_the_other_serves(
    lie: Callable[[SnapshotRequest, bytes], bytes], host: Host, tmp_path: Path, stack: ExitStack
) -> None:
    hub = MemoryHub()
    # Attached first, asked first.
    liar = Server("liar", host.chain, hub, host=host, lie=lie)
    Server("honest", host.chain, hub, host=host)
    new = await newcomer(host.chain, tmp_path, stack)
    network = hub.attach(key_of("newcomer").node_id)
    offer = await fetcher_of(new, network, 50).fetch()
    assert offer.header.body.height == NEWEST
    assert offenders(hub) == {liar.node}


@pytest.mark.parametrize("endless", [False, True])
async def test_a_state_that_is_not_the_headers_is_found_out_and_another_is_fetched(
    endless: bool, host: Host, tmp_path: Path, stack: ExitStack
) -> None:
    hub = MemoryHub()
    false = FalseState(host, endless)
    await false.prepare()
    liar = Server("liar", host.chain, hub, host=host, lie=false.lie)
    Server("honest", host.chain, hub, host=host)
    new = await newcomer(host.chain, tmp_path, stack)
    network = hub.attach(key_of("newcomer").node_id)
    await fetcher_of(new, network, 50).fetch()
    new.build()
    assert new.service.head.state_root == host.chain.made[NEWEST - 1].outcome.state_root
    assert offenders(hub) == {liar.node}


async def test_what_one_peer_alone_offers_is_not_fetched_while_others_agree(
    host: Host, tmp_path: Path, stack: ExitStack
) -> None:
    hub = MemoryHub()
    false = FalseState(host)
    await false.prepare()
    liar = Server("liar", host.chain, hub, host=host, lie=false.lie)
    for name in ("honest", "other"):
        Server(name, host.chain, hub, host=host, lie=only_old)
    new = await newcomer(host.chain, tmp_path, stack)
    network = hub.attach(key_of("newcomer").node_id)
    offer = await fetcher_of(new, network, 50).fetch()
    assert offer.header.body.height == 100
    asked = {type(each.wanted) for each in liar.wanted}
    assert asked.isdisjoint({SnapshotChunkRequest, SnapshotManifestRequest})


async def test_a_snapshot_of_another_history_is_never_fetched(
    host: Host, tmp_path: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot_fetch, "SNAPSHOT_SEARCH_SECONDS", -1.0)
    fork = empty_chain()
    await fork.extend(1, transactions=3)
    await fork.extend(BLOCKS - 1)
    other = Host(fork, tmp_path / "fork", stack)
    await other.open()
    await other.follow(NEWEST)
    assert await other.snapshots.dump(chain_id_of(fork.genesis), Height(NEWEST))
    await other.follow(BLOCKS)
    hub = MemoryHub()
    liar = Server("liar", fork, hub, host=other)
    new = await newcomer(host.chain, tmp_path, stack)
    network = hub.attach(key_of("newcomer").node_id)
    for height in (50, NEWEST, 215):
        with pytest.raises(UnreachableError):
            await fetcher_of(new, network, height).fetch()
    asked = {type(each.wanted) for each in liar.wanted}
    assert SnapshotChunkRequest not in asked
    assert offenders(hub) == {liar.node}


async def test_an_interrupted_transfer_fetches_only_what_is_missing(
    host: Host, tmp_path: Path, stack: ExitStack
) -> None:
    hub = MemoryHub()
    server = Server("server", host.chain, hub, host=host)
    new = await newcomer(host.chain, tmp_path, stack)
    encoded = host.snapshots.manifest(Height(NEWEST))
    assert encoded is not None
    incoming = new.snapshots.incoming(decode(SnapshotManifest, encoded))
    await incoming.put(0, await host.snapshots.chunk(Height(NEWEST), 0))
    network = hub.attach(key_of("newcomer").node_id)
    await fetcher_of(new, network, NEWEST).fetch()
    chunks = [each.wanted for each in server.wanted]
    assert [each.index for each in chunks if isinstance(each, SnapshotChunkRequest)] == [1]


async def test_a_history_without_the_trusted_block_stops_the_node(
    chain: MadeChain, tmp_path: Path, stack: ExitStack
) -> None:
    new = await newcomer(chain, tmp_path, stack)
    new.checkpoint = TrustedCheckpoint(Height(7), Digest(b"\x07" * 32))
    new.build()
    await new.follow(6)
    with pytest.raises(OperatingError, match="the trusted checkpoint is 0707"):
        await new.follow(8)
    assert new.service.head.height == 6
    with pytest.raises(OperatingError, match="the trusted checkpoint is 0707"):
        await new.service.commit(chain.made[6].block, chain.made[6].seal)
    new.checkpoint = None
    new.build()
    await new.follow(8)
    new.checkpoint = TrustedCheckpoint(Height(7), Digest(b"\x07" * 32))
    with pytest.raises(OperatingError, match="the trusted checkpoint is 0707"):
        new.build()


async def test_snapshots_are_made_at_checkpoints_and_only_the_newest_are_kept(
    chain: MadeChain, tmp_path: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = await newcomer(chain, tmp_path, stack)
    made = trio.Event()

    def note(_tag: str, _text: str) -> None:
        made.set()

    hub = MemoryHub()
    network = hub.attach(key_of("maker").node_id)
    monkeypatch.setattr("potp2p.services.snapshots.SNAPSHOT_REST", 0)
    monkeypatch.setattr("potp2p.services.snapshots.SNAPSHOT_PAUSE_SECONDS", 0)
    service = SnapshotService(
        chain.genesis, maker.service, maker.store, maker.snapshots, network, note, blocks=10
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(service.run)
        await trio.testing.wait_all_tasks_blocked()
        for height in range(10, 60, 10):
            made = trio.Event()
            await maker.follow(height)
            await made.wait()
            await trio.testing.wait_all_tasks_blocked(0.01)
        nursery.cancel_scope.cancel()
    assert maker.snapshots.heights() == (30, 40, 50)
    assert len(maker.snapshots.heights()) == SNAPSHOTS_KEPT


async def test_a_snapshot_that_is_being_fetched_stays_a_while(
    chain: MadeChain, tmp_path: Path, stack: ExitStack
) -> None:
    maker = await newcomer(chain, tmp_path, stack)
    network = MemoryHub().attach(key_of("maker").node_id)
    service = SnapshotService(
        chain.genesis, maker.service, maker.store, maker.snapshots, network, quiet, blocks=10
    )
    ask = partial(service.answer, key_of("slow").node_id)
    for height in range(10, 60, 10):
        await maker.follow(height)
        assert await maker.snapshots.dump(chain_id_of(chain.genesis), Height(height))
        await ask(encode(SnapshotRequest(SnapshotChunkRequest(Height(10), 0))))
        await service._forget_old()
    assert maker.snapshots.heights() == (10, 30, 40, 50)


async def test_no_snapshot_is_made_while_the_node_is_far_behind(
    chain: MadeChain, tmp_path: Path, stack: ExitStack
) -> None:
    maker = await newcomer(chain, tmp_path, stack)
    network = MemoryHub().attach(key_of("maker").node_id)
    service = SnapshotService(
        chain.genesis, maker.service, maker.store, maker.snapshots, network, quiet, blocks=10
    )
    maker.service.is_behind = True
    async with trio.open_nursery() as nursery:
        nursery.start_soon(service.run)
        await trio.testing.wait_all_tasks_blocked()
        await maker.follow(10)
        await trio.testing.wait_all_tasks_blocked(0.01)
        nursery.cancel_scope.cancel()
    assert maker.snapshots.heights() == ()


async def test_questions_out_of_bounds_are_refused_and_unknown_ones_answered_empty(
    host: Host,
) -> None:
    server = Server("server", host.chain, MemoryHub(), host=host)
    ask = partial(server.service.answer, key_of("asker").node_id)
    unknown = (
        SnapshotChunkRequest(Height(NEWEST), 9_999),
        SnapshotChunkRequest(Height(7), 0),
        SnapshotManifestRequest(Height(7)),
        TrustPathRequest(Height(BLOCKS + 5), Height(BLOCKS + 9)),
        TrustPathRequest(Height(5), Height(1 << 40)),
    )
    for wanted in unknown:
        assert await ask(encode(SnapshotRequest(wanted))) == b""
    with pytest.raises(PeerError, match="a path leads up"):
        await ask(encode(SnapshotRequest(TrustPathRequest(Height(9), Height(9)))))
    with pytest.raises(PeerError):
        await ask(b"\x00")


async def test_a_node_that_began_with_a_snapshot_says_what_it_does_not_keep(
    host: Host, tmp_path: Path, stack: ExitStack
) -> None:
    hub = MemoryHub()
    Server("server", host.chain, hub, host=host)
    new = await newcomer(host.chain, tmp_path, stack)
    await fetcher_of(new, hub.attach(key_of("newcomer").node_id), NEWEST).fetch()
    new.build()
    server = Server("late", host.chain, hub, host=new)
    certificate = encode(CertificateRequest(Height(NEWEST - 1)))
    with pytest.raises(PeerError, match=f"blocks below {NEWEST} are not kept here"):
        await server.queries.answer_certificate(key_of("asker").node_id, certificate)
    path = encode(SnapshotRequest(TrustPathRequest(Height(50), Height(NEWEST))))
    assert await server.service.answer(key_of("asker").node_id, path) == b""
    links = await server.queries.answer_epochs(
        key_of("asker").node_id, encode(EpochsRequest(Epoch(0), 2))
    )
    assert decode(EpochsReply, links).links == ()
    await new.follow(BLOCKS)
    assert new.store.first_block() == NEWEST
