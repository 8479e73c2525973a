"""The chain store: whole heights or nothing, across restarts and a growing map."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from potp2p.foundation.errors import OperatingError
from potp2p.foundation.types import Digest, Height
from potp2p.storage.chain import LmdbChainStore
from potp2p.storage.environment import Environment, Transaction
from potp2p.storage.notebook import LmdbNotebook
from potp2p.storage.ports import ChainStore, Notebook, StoredBlock, StoredHead
from potp2p.storage.tables import Table

ROOT = Digest(b"\x01" * 32)


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[Environment]:
    with Environment.open(tmp_path / "chain.lmdb") as opened:
        yield opened


async def commit_genesis(store: LmdbChainStore) -> None:
    await store.commit(
        height=Height(0), block=b"", seal=b"", state_root=ROOT, state_writes={}, node_writes={}
    )


async def commit_empty(store: LmdbChainStore, height: int, block: bytes = b"block") -> None:
    await store.commit(
        height=Height(height),
        block=block,
        seal=b"seal",
        state_root=ROOT,
        state_writes={},
        node_writes={},
    )


def test_store_satisfies_its_port(environment: Environment) -> None:
    store: ChainStore = LmdbChainStore(environment)
    notebook: Notebook = LmdbNotebook(environment)

    assert store.head() is None
    assert notebook.names(b"") == ()


async def test_commit_survives_a_restart_with_everything_in_it(tmp_path: Path) -> None:
    identifier = Digest(b"\x07" * 32)
    with Environment.open(tmp_path / "chain") as environment:
        store = LmdbChainStore(environment)
        await commit_genesis(store)
        await store.commit(
            height=Height(1),
            block=b"block",
            seal=b"seal",
            state_root=Digest(b"\x02" * 32),
            state_writes={b"a": b"1", b"empty": b""},
            node_writes={b"\x00": b"node"},
            receipts=(b"one", b"two"),
            transaction_ids=(identifier,),
        )
        await store.put_metadata(b"genesis", b"document")

    with Environment.open(tmp_path / "chain") as environment:
        store = LmdbChainStore(environment)
        assert store.head() == StoredHead(Height(1), Digest(b"\x02" * 32))
        assert store.block(Height(1)) == (b"block", b"seal")
        assert (store.get_state(b"a"), store.get_state(b"empty")) == (b"1", b"")
        assert store.get_node(b"\x00") == b"node"
        assert store.receipts(Height(1)) == (b"one", b"two")
        assert store.height_of(identifier) == 1
        assert store.get_metadata(b"genesis") == b"document"


async def test_what_was_never_stored_reads_as_nothing(environment: Environment) -> None:
    store = LmdbChainStore(environment)
    await commit_genesis(store)

    assert store.head() == StoredHead(Height(0), ROOT)
    assert store.block(Height(0)) is None
    assert store.block(Height(1)) is None
    assert store.get_state(b"a") is None
    assert store.receipts(Height(1)) == ()
    assert store.height_of(ROOT) is None


@pytest.mark.parametrize("height", [0, 2, 5])
async def test_height_that_does_not_follow_is_our_bug(
    environment: Environment, height: int
) -> None:
    store = LmdbChainStore(environment)
    await commit_genesis(store)

    with pytest.raises(AssertionError):
        await commit_empty(store, height)
    assert store.head() == StoredHead(Height(0), ROOT)


async def test_commit_that_fails_half_way_leaves_nothing(environment: Environment) -> None:
    store = LmdbChainStore(environment)
    await commit_genesis(store)

    with pytest.raises(AssertionError):
        await store.commit(
            height=Height(1),
            block=b"block",
            seal=b"seal",
            state_root=ROOT,
            state_writes={b"a": b"1", b"z" * 501: b"too long a key"},
            node_writes={},
        )
    assert store.block(Height(1)) is None
    assert store.get_state(b"a") is None
    assert store.head() == StoredHead(Height(0), ROOT)


async def test_none_deletes_and_may_delete_what_is_not_there(environment: Environment) -> None:
    store = LmdbChainStore(environment)
    await commit_genesis(store)
    for height, value in ((1, b"1"), (2, None), (3, None)):
        await store.commit(
            height=Height(height),
            block=b"block",
            seal=b"seal",
            state_root=ROOT,
            state_writes={b"a": value},
            node_writes={b"n": value},
        )
        assert store.get_state(b"a") == store.get_node(b"n") == value


async def test_range_ends_at_count_bytes_or_the_head_but_never_before_one(
    environment: Environment,
) -> None:
    store = LmdbChainStore(environment)
    await commit_genesis(store)
    for height in range(1, 6):
        await commit_empty(store, height, block=bytes([height]) * 100)

    def heights(first: int, count: int, bytes_max: int) -> list[int]:
        return [block[0] for block, _ in store.blocks(Height(first), count, bytes_max)]

    assert heights(2, 2, 10_000) == [2, 3]
    assert heights(1, 100, 10_000) == [1, 2, 3, 4, 5]
    assert heights(1, 100, 104 * 3) == [1, 2, 3]
    assert heights(4, 100, 1) == [4]
    assert heights(0, 2, 10_000) == [1]
    assert heights(6, 1, 10_000) == []


async def test_map_grows_when_it_is_full_and_nothing_is_lost(tmp_path: Path) -> None:
    with Environment.open(tmp_path / "chain", bytes_first=1 << 18) as environment:
        store = LmdbChainStore(environment)
        await commit_genesis(store)
        for height in range(1, 9):
            await commit_empty(store, height, block=bytes([height]) * 100_000)

        assert environment.handle.info()["map_size"] > 1 << 18
        assert [block[0] for block, _ in store.blocks(Height(1), 8, 1 << 30)] == [*range(1, 9)]


async def test_writers_take_turns_and_each_finds_the_others_work(
    environment: Environment,
) -> None:
    async def add_one() -> None:
        def work(transaction: Transaction) -> None:
            count = int(transaction.get(Table.NOTES, b"count") or b"0")
            transaction.put(Table.NOTES, b"count", str(count + 1).encode())

        await environment.write(work)

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(add_one)

    assert environment.get(Table.NOTES, b"count") == b"20"


async def test_notes_are_found_by_prefix_and_forgotten(environment: Environment) -> None:
    notebook = LmdbNotebook(environment)
    for name in (b"a/2", b"a/1", b"b/1"):
        await notebook.put(name, name.upper())
    await notebook.put(b"a/1", b"again")

    assert notebook.names(b"a/") == (b"a/1", b"a/2")
    assert notebook.get(b"a/1") == b"again"
    await notebook.remove([b"a/1", b"a/9"])
    assert notebook.names(b"") == (b"a/2", b"b/1")
    assert notebook.get(b"a/1") is None


def test_folder_that_holds_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "chain").mkdir()
    (tmp_path / "chain" / "data.mdb").write_bytes(b"not a database" * 1000)

    with (
        pytest.raises(OperatingError, match="chain: cannot open the chain database"),
        Environment.open(tmp_path / "chain"),
    ):
        pass


async def test_a_batch_is_stored_whole_with_the_state_after_its_last_block(
    environment: Environment,
) -> None:
    store = LmdbChainStore(environment)
    await commit_genesis(store)
    blocks = [StoredBlock(Height(each), b"block", b"seal") for each in (1, 2, 3)]
    await store.commit_many(
        blocks, state_root=Digest(b"\x03" * 32), state_writes={b"a": b"1"}, node_writes={}
    )
    assert store.head() == StoredHead(Height(3), Digest(b"\x03" * 32))
    assert [store.block(Height(each)) for each in (1, 2, 3)] == [(b"block", b"seal")] * 3
    assert store.get_state(b"a") == b"1"


async def test_a_batch_that_fails_in_its_middle_leaves_nothing_of_any_block(
    environment: Environment,
) -> None:
    store = LmdbChainStore(environment)
    await commit_genesis(store)
    gap = [StoredBlock(Height(each), b"block", b"seal") for each in (1, 3)]
    with pytest.raises(AssertionError, match="height 3 does not follow; 2 does"):
        await store.commit_many(
            gap, state_root=Digest(b"\x03" * 32), state_writes={b"a": b"1"}, node_writes={}
        )
    assert store.head() == StoredHead(Height(0), ROOT)
    assert store.block(Height(1)) is None
    assert store.get_state(b"a") is None
