"""Blocks, seals and the state of the head in LMDB: a height is stored whole or not at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, cast

import cbor2

from potp2p.foundation.errors import OperatingError
from potp2p.foundation.limits import DIGEST_BYTES
from potp2p.foundation.types import GENESIS_HEIGHT, Digest, Height
from potp2p.storage.environment import Environment, Transaction
from potp2p.storage.ports import StoredBlock, StoredHead
from potp2p.storage.tables import HEIGHT_BYTES, Table, height_from_key, height_key

HEAD_KEY: Final = b"\x00head"
"""Height, 8 bytes, and state root; the zero byte keeps it apart from callers' metadata."""
HISTORY_KEY: Final = b"\x00history"
"""Height of the first block that is kept, 8 bytes; without it that is 1."""
_OWN_KEYS: Final = frozenset({HEAD_KEY, HISTORY_KEY})
KEY_BYTES_MAX: Final = 500
"""LMDB takes 511."""


@dataclass(frozen=True, slots=True)
class LmdbChainStore:
    """The chain of one data folder."""

    environment: Environment

    def head(self) -> StoredHead | None:
        """Return what is stored, None before genesis was."""
        return self.environment.read(head_in)

    def get_state(self, key: bytes) -> bytes | None:
        """Return one record of the state at the head."""
        return self.environment.get(Table.STATE, key)

    def get_node(self, path: bytes) -> bytes | None:
        """Return one node of the authenticated map at the head."""
        return self.environment.get(Table.NODES, path)

    def block(self, height: Height) -> tuple[bytes, bytes] | None:
        """Return the block and the seal of a height as they were committed."""
        if height <= GENESIS_HEIGHT:
            return None
        return self.environment.read(lambda transaction: _block_in(transaction, height))

    def blocks(self, first: Height, count: int, bytes_max: int) -> Sequence[tuple[bytes, bytes]]:
        """Return consecutive blocks with seals, at least the first one whatever its size."""

        def collect(transaction: Transaction) -> list[tuple[bytes, bytes]]:
            found: list[tuple[bytes, bytes]] = []
            room = bytes_max
            for height in range(max(first, 1), first + count):
                pair = _block_in(transaction, Height(height))
                if pair is None:
                    break
                room -= len(pair[0]) + len(pair[1])
                if room < 0 and found:
                    break
                found.append(pair)
            return found

        return self.environment.read(collect)

    def first_block(self) -> Height:
        """Return the lowest height whose block is kept: 1, or where a snapshot began."""
        stored = self.environment.get(Table.METADATA, HISTORY_KEY)
        return Height(1) if stored is None else height_from_key(stored)

    def receipts(self, height: Height) -> tuple[bytes, ...]:
        """Return what the execution of a height left to be told, in order."""
        stored = self.environment.get(Table.RECEIPTS, height_key(height))
        return () if stored is None else tuple(cast("list[bytes]", cbor2.loads(stored)))

    def height_of(self, transaction: Digest) -> Height | None:
        """Return the height that included a transaction, by its id."""
        stored = self.environment.get(Table.TRANSACTIONS, transaction)
        return None if stored is None else height_from_key(stored)

    def get_metadata(self, key: bytes) -> bytes | None:
        """Return a value kept beside the chain, such as the genesis document."""
        assert key not in _OWN_KEYS
        return self.environment.get(Table.METADATA, key)

    async def put_metadata(self, key: bytes, value: bytes) -> None:
        """Keep a value beside the chain; durable on return."""
        assert key not in _OWN_KEYS
        await self.environment.write(
            lambda transaction: transaction.put(Table.METADATA, key, value)
        )

    async def commit(  # noqa: PLR0913  # one block is one transaction, and this is all of it
        self,
        *,
        height: Height,
        block: bytes,
        seal: bytes,
        state_root: Digest,
        state_writes: Mapping[bytes, bytes | None],
        node_writes: Mapping[bytes, bytes | None],
        receipts: Sequence[bytes] = (),
        transaction_ids: Sequence[Digest] = (),
        metadata: Mapping[bytes, bytes] = MappingProxyType({}),  # frozen
    ) -> None:
        """Store the next height and its state in one transaction; durable on return."""
        stored = StoredBlock(height, block, seal, tuple(receipts), tuple(transaction_ids))
        await self.commit_many(
            (stored,),
            state_root=state_root,
            state_writes=state_writes,
            node_writes=node_writes,
            metadata=metadata,
        )

    async def commit_many(
        self,
        blocks: Sequence[StoredBlock],
        *,
        state_root: Digest,
        state_writes: Mapping[bytes, bytes | None],
        node_writes: Mapping[bytes, bytes | None],
        metadata: Mapping[bytes, bytes] = MappingProxyType({}),  # frozen
    ) -> None:
        """Store heights that follow and the state after the last; whole or not at all."""
        assert blocks, "nothing to store"
        assert len(state_root) == DIGEST_BYTES, len(state_root)

        def write(transaction: Transaction) -> None:
            head = head_in(transaction)
            for stored in blocks:
                _assert_follows(head, stored.height)
                head = StoredHead(stored.height, state_root)
                _put_block(transaction, stored)
            for table, writes in ((Table.STATE, state_writes), (Table.NODES, node_writes)):
                # In key order LMDB touches each page once.
                for name in sorted(writes):
                    assert 0 < len(name) <= KEY_BYTES_MAX, len(name)
                    transaction.put(table, name, writes[name])
            for name in sorted(metadata):
                assert name not in _OWN_KEYS
                transaction.put(Table.METADATA, name, metadata[name])
            key = height_key(blocks[-1].height)
            transaction.put(Table.METADATA, HEAD_KEY, key + state_root)

        await self.environment.write(write)


def _put_block(transaction: Transaction, stored: StoredBlock) -> None:
    assert bool(stored.block) == bool(stored.seal) == (stored.height > GENESIS_HEIGHT)
    key = height_key(stored.height)
    if stored.block:
        transaction.put(Table.BLOCKS, key, stored.block)
        transaction.put(Table.SEALS, key, stored.seal)
    if stored.receipts:
        transaction.put(Table.RECEIPTS, key, cbor2.dumps(list(stored.receipts)))
    for identifier in stored.transaction_ids:
        transaction.put(Table.TRANSACTIONS, identifier, key)


def head_in(transaction: Transaction) -> StoredHead | None:
    """Return the head that a transaction sees."""
    stored = transaction.get(Table.METADATA, HEAD_KEY)
    if stored is None:
        return None
    if len(stored) != HEIGHT_BYTES + DIGEST_BYTES:
        raise OperatingError("chain database: the record of the head is damaged")
    return StoredHead(height_from_key(stored[:HEIGHT_BYTES]), Digest(stored[HEIGHT_BYTES:]))


def _block_in(transaction: Transaction, height: Height) -> tuple[bytes, bytes] | None:
    block = transaction.get(Table.BLOCKS, height_key(height))
    seal = transaction.get(Table.SEALS, height_key(height))
    return None if block is None or seal is None else (block, seal)


def _assert_follows(head: StoredHead | None, height: Height) -> None:
    expected = GENESIS_HEIGHT if head is None else head.height + 1
    assert height == expected, f"height {height} does not follow; {expected} does"
