"""Snapshots on disk: the same bytes everywhere, whole or not at all, and never another state."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from potp2p.foundation.errors import MissingError, PeerError, RejectionReason
from potp2p.foundation.limits import CHUNK_BYTES, SNAPSHOTS_BEGUN_MAX
from potp2p.foundation.types import ChainId, Digest, Height
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.ledger.genesis import chain_id_of, genesis_outcome
from potp2p.protocol.wire.schema import decode, encode
from potp2p.protocol.wire.snapshots import (
    SnapshotManifest,
    SnapshotOffer,
    StateChunk,
    StateRecord,
)
from potp2p.storage.chain import LmdbChainStore
from potp2p.storage.environment import Environment, Transaction
from potp2p.storage.ports import SnapshotStore, StoredHead
from potp2p.storage.snapshots import SnapshotFolder
from potp2p.storage.tables import Table
from tests.doubles.archives import MadeChain, made_chain

BLOCKS = 12


@pytest.fixture
async def chain() -> MadeChain:
    return await made_chain(BLOCKS)


@asynccontextmanager
async def at_genesis(folder: Path, chain: MadeChain) -> AsyncIterator[LmdbChainStore]:
    """A store that holds the first state only."""
    with Environment.open(folder / "chain.lmdb") as environment:
        store = LmdbChainStore(environment)
        outcome = genesis_outcome(chain.genesis, chain_id_of(chain.genesis))
        await store.commit(
            height=Height(0),
            block=b"",
            seal=b"",
            state_root=outcome.state_root,
            state_writes=outcome.state_writes,
            node_writes=outcome.node_writes,
        )
        yield store


@asynccontextmanager
async def at_the_end(folder: Path, chain: MadeChain) -> AsyncIterator[LmdbChainStore]:
    """A store that holds the whole chain."""
    async with at_genesis(folder, chain) as store:
        for made in chain.made:
            await store.commit(
                height=made.block.header.body.height,
                block=encode(made.block),
                seal=encode(made.seal),
                state_root=made.outcome.state_root,
                state_writes=made.outcome.state_writes,
                node_writes=made.outcome.node_writes,
            )
        yield store


def folder_of(store: LmdbChainStore, folder: Path) -> SnapshotFolder:
    """Return where snapshots of a store lie."""
    return SnapshotFolder(store.environment, folder / "snapshots")


async def dumped(folder: Path, chain: MadeChain) -> tuple[SnapshotOffer, list[bytes], bytes]:
    """Return offer, chunks and manifest of the chain's last state."""
    async with at_the_end(folder, chain) as store:
        snapshots = folder_of(store, folder)
        assert await snapshots.dump(chain_id_of(chain.genesis), Height(BLOCKS))
        offer, manifest = snapshots.offer(Height(BLOCKS)), snapshots.manifest(Height(BLOCKS))
        assert offer is not None
        assert manifest is not None
        count = decode(SnapshotManifest, manifest).chunks
        chunks = [await snapshots.chunk(Height(BLOCKS), index) for index in range(count)]
        return offer, chunks, manifest


def manifest_of(chain: MadeChain, offer: SnapshotOffer, chunks: list[bytes]) -> SnapshotManifest:
    """Return a manifest that lists these chunks, true or not."""
    digests = b"".join(sha256(chunk) for chunk in chunks)
    size = sum(len(chunk) for chunk in chunks)
    return SnapshotManifest(
        chain_id_of(chain.genesis), Height(BLOCKS), offer.seal.block_hash, size, digests
    )


async def restored(
    folder: Path, chain: MadeChain, offer: SnapshotOffer, chunks: list[bytes]
) -> None:
    """Put chunks together in a new folder and compare all that a node sees with the chain."""
    async with at_genesis(folder, chain) as store:
        incoming = folder_of(store, folder).incoming(manifest_of(chain, offer, chunks))
        for index, chunk in enumerate(chunks):
            await incoming.put(index, chunk)
        before = store.head()
        try:
            await incoming.restore(offer)
        except PeerError:
            assert store.head() == before, "a lie left traces"
            outcome = genesis_outcome(chain.genesis, chain_id_of(chain.genesis))
            assert {key: store.get_state(key) for key in outcome.state_writes} == dict(
                outcome.state_writes
            )
            raise
        assert store.head() == StoredHead(Height(BLOCKS), chain.made[-1].outcome.state_root)
        assert store.first_block() == BLOCKS
        assert store.block(Height(BLOCKS)) == chain.store.block(Height(BLOCKS))
        assert store.block(Height(BLOCKS - 1)) is None

        def everything(transaction: Transaction) -> tuple[dict[bytes, bytes], dict[bytes, bytes]]:
            return dict(transaction.items(Table.STATE)), dict(transaction.items(Table.NODES))

        assert store.environment.read(everything) == (chain.store.states, chain.store.nodes)


async def test_a_restored_state_is_the_very_state_and_so_is_its_tree(
    chain: MadeChain, tmp_path: Path
) -> None:
    offer, chunks, _ = await dumped(tmp_path / "a", chain)
    await restored(tmp_path / "b", chain, offer, chunks)


async def test_two_nodes_write_the_same_bytes_for_one_height(
    chain: MadeChain, tmp_path: Path
) -> None:
    first, second = [await dumped(tmp_path / name, chain) for name in ("a", "b")]
    assert first[1:] == second[1:]
    assert first[0].manifest == second[0].manifest


async def test_large_states_travel_in_several_chunks_each_within_its_bound(
    tmp_path: Path, chain: MadeChain
) -> None:
    async with at_the_end(tmp_path, chain) as store:
        wide = {b"\xff" + index.to_bytes(2, "big"): bytes(40_000) for index in range(60)}
        made = chain.made[-1]
        await store.commit(
            height=Height(BLOCKS + 1),
            block=encode(made.block),
            seal=encode(made.seal),
            state_root=Digest(bytes(32)),
            state_writes=dict(wide),
            node_writes={},
        )
        snapshots: SnapshotStore = folder_of(store, tmp_path)
        assert await snapshots.dump(chain_id_of(chain.genesis), Height(BLOCKS + 1))
        manifest = decode(SnapshotManifest, snapshots.manifest(Height(BLOCKS + 1)) or b"")
        assert manifest.chunks >= 4
        for index in range(1, manifest.chunks):
            assert len(await snapshots.chunk(Height(BLOCKS + 1), index)) <= CHUNK_BYTES
        with pytest.raises(MissingError):
            await snapshots.chunk(Height(BLOCKS + 1), manifest.chunks)
        await snapshots.remove(Height(BLOCKS + 1))
        assert snapshots.heights() == ()


async def test_the_state_of_another_height_than_the_head_is_not_kept(
    chain: MadeChain, tmp_path: Path
) -> None:
    async with at_the_end(tmp_path, chain) as store:
        snapshots = folder_of(store, tmp_path)
        assert not await snapshots.dump(ChainId(Digest(bytes(32))), Height(BLOCKS - 1))
        assert not await snapshots.dump(ChainId(Digest(bytes(32))), Height(BLOCKS + 1))
        assert snapshots.heights() == ()


def changed(chunk: bytes) -> bytes:
    """Return a chunk with another value in it."""
    records = list(decode(StateChunk, chunk).records)
    records[-1] = StateRecord(records[-1].key, records[-1].value + b"\x00")
    return encode(StateChunk(tuple(records)))


def fewer(chunk: bytes) -> bytes:
    """Return a chunk that lacks a record."""
    return encode(StateChunk(decode(StateChunk, chunk).records[:-1]))


def more(chunk: bytes) -> bytes:
    """Return a chunk with a record that nobody wrote."""
    records = decode(StateChunk, chunk).records
    return encode(StateChunk((*records, StateRecord(b"\xff", b"gold"))))


def twice(chunk: bytes) -> bytes:
    """Return a chunk with a record that comes twice."""
    records = decode(StateChunk, chunk).records
    return encode(StateChunk((*records, records[-1])))


def rubbish(_chunk: bytes) -> bytes:
    """Return no chunk at all."""
    return b"\x00" * 100


@pytest.mark.parametrize("lie", [changed, fewer, more, twice, rubbish])
async def test_a_state_of_another_root_is_refused_and_leaves_the_old_one(
    lie: object, chain: MadeChain, tmp_path: Path
) -> None:
    assert callable(lie)
    offer, chunks, _ = await dumped(tmp_path / "a", chain)
    with pytest.raises(PeerError):
        await restored(tmp_path / "b", chain, offer, [chunks[0], lie(chunks[1])])


async def test_another_block_or_a_false_seal_is_refused(chain: MadeChain, tmp_path: Path) -> None:
    offer, chunks, _ = await dumped(tmp_path / "a", chain)
    other = encode(chain.made[-2].block)
    with pytest.raises(PeerError, match="block of another header"):
        await restored(tmp_path / "b", chain, offer, [other, *chunks[1:]])
    thin = replace(offer, seal=replace(offer.seal, signatures=offer.seal.signatures[:2]))
    with pytest.raises(PeerError) as refused:
        await restored(tmp_path / "c", chain, thin, chunks)
    assert refused.value.reason is RejectionReason.BAD_JUSTIFICATION


async def test_chunks_are_checked_one_by_one_and_survive_an_interruption(
    chain: MadeChain, tmp_path: Path
) -> None:
    offer, chunks, _ = await dumped(tmp_path / "a", chain)
    async with at_genesis(tmp_path / "b", chain) as store:
        manifest = manifest_of(chain, offer, chunks)
        snapshots = folder_of(store, tmp_path / "b")
        incoming = snapshots.incoming(manifest)
        with pytest.raises(PeerError, match="chunk of another snapshot"):
            await incoming.put(1, chunks[0])
        await incoming.put(1, chunks[1])
        again = snapshots.incoming(manifest)
        assert again.missing() == (0,)
        await again.put(0, chunks[0])
        assert again.missing() == ()
        await again.discard()
        assert snapshots.heights() == ()


async def test_unfinished_downloads_are_bounded_in_number(chain: MadeChain, tmp_path: Path) -> None:
    offer, chunks, _ = await dumped(tmp_path / "a", chain)
    async with at_genesis(tmp_path / "b", chain) as store:
        snapshots = folder_of(store, tmp_path / "b")
        for size in range(5):
            snapshots.incoming(replace(manifest_of(chain, offer, chunks), size=size))
            assert len(list(snapshots.folder.iterdir())) <= SNAPSHOTS_BEGUN_MAX
        last = replace(manifest_of(chain, offer, chunks), size=4)
        await snapshots.incoming(last).put(0, chunks[0])
        assert snapshots.incoming(last).missing() == (1,), "progress of the newest is lost"


async def test_a_growing_map_ends_a_long_read_and_waits_for_it(tmp_path: Path) -> None:
    with Environment.open(tmp_path / "chain.lmdb", bytes_first=1 << 20) as environment:
        begun, seen = threading.Event(), []

        def read_for_long(_transaction: Transaction, give_up: threading.Event) -> bool:
            begun.set()
            seen.append(give_up.wait(30))
            return give_up.is_set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(environment.look, read_for_long)
            await trio.to_thread.run_sync(begun.wait)
            value = bytes(3 << 20)
            await environment.write(lambda each: each.put(Table.NOTES, b"large", value))
        assert seen == [True]
        assert environment.get(Table.NOTES, b"large") == value
