"""
Snapshots on disk: the state of a checkpoint in chunk files, and a state put together from them.

A dump reads one consistent view in a thread while blocks go on being stored. A restore is one
transaction, and ends in nothing unless the tree over all records has the root of the header.
"""

import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from potp2p.foundation.errors import MissingError, OperatingError, PeerError, RejectionReason
from potp2p.foundation.limits import (
    CHUNK_BYTES,
    MESSAGE_BYTES_MAX,
    SNAPSHOT_CHUNKS_MAX,
    SNAPSHOTS_BEGUN_MAX,
)
from potp2p.foundation.types import ChainId, Digest, Height
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.ledger.keys import chain_key
from potp2p.protocol.ledger.records import Chain
from potp2p.protocol.ledger.tree import EMPTY, update
from potp2p.protocol.ledger.validity import block_hash, verify_seal
from potp2p.protocol.wire.blocks import Block, Seal
from potp2p.protocol.wire.schema import decode, encode
from potp2p.protocol.wire.snapshots import (
    SnapshotManifest,
    SnapshotOffer,
    StateChunk,
    StateRecord,
    manifest_digest,
)
from potp2p.storage.chain import HEAD_KEY, HISTORY_KEY, head_in
from potp2p.storage.environment import Environment, Transaction
from potp2p.storage.files import operating, replace_file, sync_folder, write_all
from potp2p.storage.tables import Table, height_key

MANIFEST_FILE: Final = "manifest.cbor"
OFFER_FILE: Final = "offer.cbor"
_DRAFT: Final = "draft"
_INCOMING: Final = "incoming-"
_CHUNK_HEAD_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class _TreeView:
    """Nodes of the tree that a restore is writing."""

    transaction: Transaction

    def get_node(self, path: bytes) -> bytes | None:
        """Return a node."""
        return self.transaction.get(Table.NODES, path)


@dataclass(frozen=True, slots=True)
class SnapshotFolder:
    """Satisfies SnapshotStore; one folder per height."""

    environment: Environment
    folder: Path

    def heights(self) -> tuple[Height, ...]:
        """Return the heights whose state is here, ascending."""
        if not self.folder.is_dir():
            return ()
        names = (each.name for each in self.folder.iterdir())
        return tuple(sorted(Height(int(name)) for name in names if name.isdecimal()))

    def offer(self, height: Height) -> SnapshotOffer | None:
        """Return what a snapshot is offered with."""
        found = self._read(height, OFFER_FILE)
        return None if found is None else decode(SnapshotOffer, found)

    def manifest(self, height: Height) -> bytes | None:
        """Return the chunk list of a snapshot."""
        return self._read(height, MANIFEST_FILE)

    async def chunk(self, height: Height, index: int) -> bytes:
        """Return one chunk; MissingError where there is none."""
        path = self._of(height) / _chunk_name(index)
        try:
            return await trio.to_thread.run_sync(path.read_bytes)
        except FileNotFoundError as error:
            raise MissingError(f"no chunk {index} of snapshot {height}") from error

    async def dump(self, chain_id: ChainId, height: Height) -> bool:
        """Keep the state of the head if that is the height asked for; False: it has moved on."""
        draft = self.folder / _DRAFT

        def work(transaction: Transaction, give_up: threading.Event) -> bool:
            with operating(draft, "write a snapshot"):
                shutil.rmtree(draft, ignore_errors=True)
                draft.mkdir(parents=True, mode=0o700)
                if not _dump(transaction, draft, chain_id, height, give_up):
                    shutil.rmtree(draft)
                    return False
                shutil.rmtree(self._of(height), ignore_errors=True)
                draft.rename(self._of(height))
                sync_folder(self.folder)
            return True

        return await self.environment.look(work)

    async def remove(self, height: Height) -> None:
        """Forget a snapshot."""
        await trio.to_thread.run_sync(shutil.rmtree, self._of(height), True)  # noqa: FBT003

    def incoming(self, manifest: SnapshotManifest) -> "IncomingSnapshot":
        """Return the place where a snapshot's chunks gather; what is there stays after a stop."""
        folder = self.folder / f"{_INCOMING}{manifest_digest(manifest).hex()}"
        with operating(folder, "create the folder"):
            begun = (
                sorted(self.folder.glob(f"{_INCOMING}*"), key=_age) if not folder.exists() else []
            )
            for old in begun[: len(begun) + 1 - SNAPSHOTS_BEGUN_MAX]:
                shutil.rmtree(old, ignore_errors=True)
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return IncomingSnapshot(self.environment, folder, manifest)

    def _of(self, height: Height) -> Path:
        return self.folder / str(height)

    def _read(self, height: Height, name: str) -> bytes | None:
        try:
            return (self._of(height) / name).read_bytes()
        except FileNotFoundError:
            return None


@dataclass(frozen=True, slots=True)
class IncomingSnapshot:
    """Chunks on their way in, each checked against the manifest before it is kept."""

    environment: Environment
    folder: Path
    manifest: SnapshotManifest

    def missing(self) -> tuple[int, ...]:
        """Return the indices of the chunks that are not here yet, ascending."""
        here = {each.name for each in self.folder.iterdir()}
        return tuple(at for at in range(self.manifest.chunks) if _chunk_name(at) not in here)

    async def put(self, index: int, chunk: bytes) -> None:
        """Keep a chunk; PeerError when it is not what the manifest says."""
        if sha256(chunk) != self.manifest.chunk_digest(index):
            raise PeerError(RejectionReason.BAD_PROOF, "chunk of another snapshot")
        path = self.folder / _chunk_name(index)
        with operating(path, "write"):
            await trio.to_thread.run_sync(replace_file, path, chunk, self.folder / f"draft-{index}")

    async def restore(self, offer: SnapshotOffer) -> None:
        """
        Make this the state and the offered block the head, in one transaction.

        PeerError, and nothing changed, unless the records have the root of the offered header.
        """

        def work(transaction: Transaction) -> None:
            head = head_in(transaction)
            assert head is not None, "genesis comes first"
            assert head.height < offer.header.body.height, "a node never goes back"
            self._restore(transaction, offer)

        await self.environment.write(work)

    async def discard(self) -> None:
        """Forget all of it."""
        await trio.to_thread.run_sync(shutil.rmtree, self.folder, True)  # noqa: FBT003

    def _restore(self, transaction: Transaction, offer: SnapshotOffer) -> None:
        height = offer.header.body.height
        block = self._chunk(0)
        if decode(Block, block).header != offer.header:
            raise PeerError(RejectionReason.BAD_BLOCK, "block of another header")
        for table in (Table.STATE, Table.NODES):
            transaction.clear(table)
        root, last = EMPTY, b""
        for index in range(1, self.manifest.chunks):
            records = decode(StateChunk, self._chunk(index)).records
            for record in records:
                if record.key <= last:
                    raise PeerError(RejectionReason.BAD_PROOF, "records out of order")
                last = record.key
                transaction.put(Table.STATE, record.key, record.value)
            writes = {record.key: record.value for record in records}
            root, nodes = update(_TreeView(transaction), root, writes)
            for path in sorted(nodes):
                transaction.put(Table.NODES, path, nodes[path])
        if root != offer.header.body.state_root:
            raise PeerError(RejectionReason.BAD_PROOF, "state of another root")
        chain = decode(Chain, transaction.get(Table.STATE, chain_key()) or b"")
        # The seal goes on to others in our name; the state itself says whose it must be.
        verify_seal(offer.seal, [seat.node for seat in chain.seats], self.manifest.chain_id)
        key = height_key(height)
        transaction.put(Table.BLOCKS, key, block)
        transaction.put(Table.SEALS, key, encode(offer.seal))
        transaction.put(Table.METADATA, HEAD_KEY, key + root)
        transaction.put(Table.METADATA, HISTORY_KEY, key)

    def _chunk(self, index: int) -> bytes:
        content = (self.folder / _chunk_name(index)).read_bytes()
        if sha256(content) != self.manifest.chunk_digest(index):
            raise OperatingError(f"{self.folder}: chunk {index} is damaged; remove the folder")
        return content


def _age(folder: Path) -> float:
    return folder.stat().st_mtime


def _chunk_name(index: int) -> str:
    return f"chunk-{index:05d}"


def _dump(
    transaction: Transaction,
    folder: Path,
    chain_id: ChainId,
    height: Height,
    give_up: threading.Event,
) -> bool:
    head = head_in(transaction)
    key = height_key(height)
    block = transaction.get(Table.BLOCKS, key)
    seal = transaction.get(Table.SEALS, key)
    if head is None or head.height != height or block is None or seal is None:
        return False
    digests: list[Digest] = []
    size = 0
    for chunk in (block, *_chunks(transaction)):
        trio.from_thread.check_cancelled()
        if give_up.is_set() or len(digests) == SNAPSHOT_CHUNKS_MAX:
            return False
        _write(folder / _chunk_name(len(digests)), chunk)
        digests.append(sha256(chunk))
        size += len(chunk)
    header = decode(Block, block).header
    digest = block_hash(header)
    manifest = SnapshotManifest(chain_id, height, digest, size, b"".join(digests))
    offer = SnapshotOffer(manifest_digest(manifest), header, decode(Seal, seal))
    _write(folder / MANIFEST_FILE, encode(manifest))
    _write(folder / OFFER_FILE, encode(offer))
    sync_folder(folder)
    return True


def _chunks(transaction: Transaction) -> Iterator[bytes]:
    """Yield the state in chunks; the same records make the same chunks everywhere."""
    records: list[StateRecord] = []
    size = _CHUNK_HEAD_BYTES
    for key, value in transaction.items(Table.STATE):
        record = StateRecord(key, value)
        if size + record.size > CHUNK_BYTES and records:
            yield _encode_chunk(records)
            records, size = [], _CHUNK_HEAD_BYTES
        records.append(record)
        size += record.size
    if records:
        yield _encode_chunk(records)


def _encode_chunk(records: list[StateRecord]) -> bytes:
    encoded = encode(StateChunk(tuple(records)))
    assert len(encoded) < MESSAGE_BYTES_MAX, "a record larger than the state may hold"
    return encoded


def _write(path: Path, content: bytes) -> None:
    """Write a new file and make it durable; its name becomes so with the folder."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        write_all(descriptor, content, 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
