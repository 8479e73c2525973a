"""The storage ports without threads: what a disk keeps, so that virtual time can run over it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import trio

from potp2p.foundation.errors import MissingError, PeerError, RejectionReason
from potp2p.foundation.limits import CHUNK_BYTES
from potp2p.foundation.types import GENESIS_HEIGHT, BlobId, Digest, Height
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.ledger.block import Outcome
from potp2p.protocol.wire.manifests import Manifest, blob_id, decode_manifest
from potp2p.protocol.wire.schema import encode
from potp2p.simulation.disks import Disk
from potp2p.storage.ports import StoredBlock, StoredHead


def _unwatched(blocks: Sequence[StoredBlock]) -> None:
    """Let blocks be stored unseen."""


@dataclass(slots=True)
class MemoryChainStore:
    """Blocks, seals and the state after the last of them."""

    stored: StoredHead | None = None
    states: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    nodes: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    disk: Disk = field(default_factory=Disk)
    on_commit: Callable[[Sequence[StoredBlock]], None] = _unwatched
    """Sees what has just become durable."""
    _blocks: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])
    _receipts: list[tuple[bytes, ...]] = field(default_factory=list[tuple[bytes, ...]])
    _heights: dict[Digest, Height] = field(default_factory=dict[Digest, Height])
    _metadata: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])

    def head(self) -> StoredHead | None:
        return self.stored

    def get_state(self, key: bytes) -> bytes | None:
        return self.states.get(key)

    def get_node(self, path: bytes) -> bytes | None:
        return self.nodes.get(path)

    def block(self, height: Height) -> tuple[bytes, bytes] | None:
        return self._blocks[height] if 0 < height < len(self._blocks) else None

    def blocks(self, first: Height, count: int, bytes_max: int) -> Sequence[tuple[bytes, bytes]]:
        found: list[tuple[bytes, bytes]] = []
        for stored in self._blocks[max(first, 1) : first + count]:
            bytes_max -= len(stored[0]) + len(stored[1])
            if found and bytes_max < 0:
                break
            found.append(stored)
        return found

    def first_block(self) -> Height:
        return Height(1)

    def receipts(self, height: Height) -> tuple[bytes, ...]:
        return self._receipts[height]

    def height_of(self, transaction: Digest) -> Height | None:
        return self._heights.get(transaction)

    def get_metadata(self, key: bytes) -> bytes | None:
        return self._metadata.get(key)

    def plant(self, outcome: Outcome) -> None:
        """Store the first state, before time begins."""
        assert not self._blocks
        self._blocks.append((b"", b""))
        self._receipts.append(())
        _apply(self.states, outcome.state_writes)
        _apply(self.nodes, outcome.node_writes)
        self.stored = StoredHead(GENESIS_HEIGHT, outcome.state_root)

    async def put_metadata(self, key: bytes, value: bytes) -> None:
        await self.disk.write(lambda: self._metadata.update({key: value}))

    async def commit(  # noqa: PLR0913  # the port's
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
        metadata: Mapping[bytes, bytes] = MappingProxyType({}),
    ) -> None:
        """Store the next height whole: a crash comes before it or after it."""
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
        metadata: Mapping[bytes, bytes] = MappingProxyType({}),
    ) -> None:
        """Store the next heights whole: a crash comes before all of them or after."""

        def apply() -> None:
            for stored in blocks:
                assert stored.height == len(self._blocks), "heights follow each other"
                self._blocks.append((stored.block, stored.seal))
                self._receipts.append(stored.receipts)
                self._heights.update(dict.fromkeys(stored.transaction_ids, stored.height))
            _apply(self.states, state_writes)
            _apply(self.nodes, node_writes)
            _apply(self._metadata, metadata)
            self.stored = StoredHead(blocks[-1].height, state_root)
            self.on_commit(blocks)

        await self.disk.write(apply)


def _apply(table: dict[bytes, bytes], writes: Mapping[bytes, bytes | None]) -> None:
    for key, value in writes.items():
        if value is None:
            table.pop(key, None)
        else:
            table[key] = value


@dataclass(slots=True)
class MemoryNotebook:
    """Private notes; `order` tells in which order they became durable."""

    notes: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    order: list[bytes] = field(default_factory=list[bytes])
    disk: Disk = field(default_factory=Disk)
    full: bool = False
    """A disk that takes nothing any more hangs: nothing becomes durable."""

    def get(self, name: bytes) -> bytes | None:
        return self.notes.get(name)

    def names(self, prefix: bytes) -> tuple[bytes, ...]:
        return tuple(sorted(name for name in self.notes if name.startswith(prefix)))

    async def put(self, name: bytes, note: bytes) -> None:
        if self.full:
            await trio.sleep_forever()

        def apply() -> None:
            self.notes[name] = note
            self.order.append(name)

        await self.disk.write(apply)

    async def remove(self, names: Sequence[bytes]) -> None:
        def apply() -> None:
            for name in names:
                self.notes.pop(name, None)

        await self.disk.write(apply)


def manifest_of(content: bytes) -> Manifest:
    """Return the chunk list of a file's content."""
    chunks = [content[at : at + CHUNK_BYTES] for at in range(0, len(content), CHUNK_BYTES)]
    return Manifest(len(content), b"".join(sha256(chunk) for chunk in chunks))


@dataclass(slots=True)
class FolderBlobStore:
    """Files by content hash in a folder, without a quota."""

    folder: Path
    disk: Disk = field(default_factory=Disk)
    partials: "dict[BlobId, FolderPartial]" = field(default_factory=dict[BlobId, "FolderPartial"])
    _manifests: dict[BlobId, Manifest] = field(default_factory=dict[BlobId, Manifest])
    _pins: set[BlobId] = field(default_factory=set[BlobId])

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    def path(self, blob: BlobId) -> Path | None:
        return self._file(blob) if blob in self._manifests else None

    def manifest(self, blob: BlobId) -> bytes | None:
        return encode(self._manifests[blob]) if blob in self._manifests else None

    async def read_chunk(self, blob: BlobId, index: int) -> bytes:
        await trio.lowlevel.checkpoint()
        if blob not in self._manifests:
            raise MissingError("no such blob")
        if index >= self._manifests[blob].chunks:
            raise PeerError(RejectionReason.OUT_OF_BOUNDS, "chunk beyond the end")
        return self._file(blob).read_bytes()[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]

    async def add_file(self, path: Path) -> BlobId:
        content = path.read_bytes()  # noqa: ASYNC240  # no threads under virtual time
        return await self.add_bytes(content)

    async def add_bytes(self, content: bytes) -> BlobId:
        manifest = manifest_of(content)
        blob = blob_id(manifest)
        await self.disk.write(lambda: self.take(blob, manifest, content))
        return blob

    def take(self, blob: BlobId, manifest: Manifest, content: bytes) -> None:
        """Make a complete file known."""
        self._file(blob).write_bytes(content)
        self._manifests[blob] = manifest

    def partial(self, blob: BlobId) -> "FolderPartial | None":
        return self.partials.get(blob)

    async def begin(self, blob: BlobId, manifest: bytes) -> "FolderPartial":
        begun = FolderPartial(self, blob, decode_manifest(manifest, blob))
        await self.disk.write(lambda: self.partials.update({blob: begun}))
        return begun

    def pin(self, blob: BlobId) -> None:
        self._pins.add(blob)

    def unpin(self, blob: BlobId) -> None:
        self._pins.discard(blob)

    def pinned(self) -> tuple[BlobId, ...]:
        return tuple(sorted(self._pins))

    def _file(self, blob: BlobId) -> Path:
        return self.folder / blob.hex()


@dataclass(slots=True)
class FolderPartial:
    """A blob that is being put together."""

    store: FolderBlobStore
    blob: BlobId
    content: Manifest
    have: dict[int, bytes] = field(default_factory=dict[int, bytes])

    def missing(self) -> tuple[int, ...]:
        return tuple(index for index in range(self.content.chunks) if index not in self.have)

    async def put_chunk(self, index: int, chunk: bytes) -> None:
        if sha256(chunk) != self.content.chunk_digest(index):
            raise PeerError(RejectionReason.BAD_PROOF, "chunk of another blob")
        await self.store.disk.write(lambda: self.have.update({index: chunk}))

    async def complete(self) -> Path:
        content = b"".join(self.have[index] for index in sorted(self.have))

        def apply() -> None:
            self.store.take(self.blob, self.content, content)
            self.store.partials.pop(self.blob, None)

        await self.store.disk.write(apply)
        path = self.store.path(self.blob)
        assert path is not None
        return path
