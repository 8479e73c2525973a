"""What services see of the disk; the adapters beside this file and the simulation satisfy it."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

from potp2p.foundation.types import BlobId, ChainId, Digest, Height
from potp2p.protocol.wire.snapshots import SnapshotManifest, SnapshotOffer

REPAIR_HINT: Final = "`potp2p chain repair` explains and mends it"
"""Ends every line about a record of signatures that cannot be trusted as it is."""
_NO_METADATA: Mapping[bytes, bytes] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """One height as it is stored: the sealed block and what its execution left to be told."""

    height: Height
    block: bytes
    seal: bytes
    """Genesis at height 0 has neither block nor seal: both are empty."""
    receipts: tuple[bytes, ...] = ()
    transaction_ids: tuple[Digest, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredHead:
    """The last block whose state is stored; height 0 when only genesis is."""

    height: Height
    state_root: Digest


class ChainStore(Protocol):
    """
    Blocks, seals and the state after the last of them.

    Reads are immediate and see the last finished commit. Keys are byte strings of 1 to 500 bytes.
    """

    def head(self) -> StoredHead | None:
        """Return what is stored, None before genesis was."""

    def get_state(self, key: bytes) -> bytes | None:
        """Return one record of the state at the head."""

    def get_node(self, path: bytes) -> bytes | None:
        """Return one node of the authenticated map at the head."""

    def block(self, height: Height) -> tuple[bytes, bytes] | None:
        """Return the block and the seal of a height as they were committed."""

    def blocks(self, first: Height, count: int, bytes_max: int) -> Sequence[tuple[bytes, bytes]]:
        """Return consecutive blocks with seals, at least the first one whatever its size."""

    def first_block(self) -> Height:
        """Return the lowest height whose block is kept: 1, or where a snapshot began."""

    def receipts(self, height: Height) -> tuple[bytes, ...]:
        """Return what the execution of a height left to be told, in order."""

    def height_of(self, transaction: Digest) -> Height | None:
        """Return the height that included a transaction, by its id."""

    def get_metadata(self, key: bytes) -> bytes | None:
        """Return a value kept beside the chain, such as the genesis document."""

    async def put_metadata(self, key: bytes, value: bytes) -> None:
        """Keep a value beside the chain; durable on return."""

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
        metadata: Mapping[bytes, bytes] = _NO_METADATA,
    ) -> None:
        """
        Store the next height and its state in one transaction; durable on return.

        Height 0 is genesis and has neither block nor seal: both are empty. None deletes a key.
        `metadata` is kept beside the chain in the same transaction.
        """

    async def commit_many(
        self,
        blocks: Sequence[StoredBlock],
        *,
        state_root: Digest,
        state_writes: Mapping[bytes, bytes | None],
        node_writes: Mapping[bytes, bytes | None],
        metadata: Mapping[bytes, bytes] = _NO_METADATA,
    ) -> None:
        """
        Store the next heights and the state after the last of them in one transaction.

        Durable on return; a crash before leaves nothing of any of them.
        """


class SnapshotStore(Protocol):
    """The state of some checkpoints in chunks, to be served."""

    def heights(self) -> tuple[Height, ...]:
        """Return the heights whose state is here, ascending."""

    def offer(self, height: Height) -> SnapshotOffer | None:
        """Return what a snapshot is offered with."""

    def manifest(self, height: Height) -> bytes | None:
        """Return the encoded chunk list of a snapshot."""

    async def chunk(self, height: Height, index: int) -> bytes:
        """Return one chunk; MissingError where there is none."""

    async def dump(self, chain_id: ChainId, height: Height) -> bool:
        """Keep the state of the head if that is the height asked for; False: it has moved on."""

    async def remove(self, height: Height) -> None:
        """Forget a snapshot."""

    def incoming(self, manifest: SnapshotManifest) -> "Incoming":
        """Return the place where a snapshot's chunks gather; what is there stays after a stop."""


class Incoming(Protocol):
    """A snapshot that is being put together; what it holds survives a restart."""

    def missing(self) -> tuple[int, ...]:
        """Return the indices of the chunks that are not here yet, ascending."""

    async def put(self, index: int, chunk: bytes) -> None:
        """Keep a chunk; PeerError when it is not what the manifest says."""

    async def restore(self, offer: SnapshotOffer) -> None:
        """Make it the state, whole or not at all; PeerError when its root is not the header's."""

    async def discard(self) -> None:
        """Forget all of it."""


class Notebook(Protocol):
    """Small private notes that must survive: salts, traces, audits in work."""

    def get(self, name: bytes) -> bytes | None:
        """Return a note."""

    def names(self, prefix: bytes) -> tuple[bytes, ...]:
        """Return the names that begin with a prefix, ascending."""

    async def put(self, name: bytes, note: bytes) -> None:
        """Keep a note; durable on return."""

    async def remove(self, names: Sequence[bytes]) -> None:
        """Forget notes; unknown names are no error."""


class Journal(Protocol):
    """Append-only record of everything that changed the replica at the height in work."""

    def entries(self) -> Sequence[bytes]:
        """Return what survived the last stop, oldest first; a torn tail is gone."""

    def size(self) -> int:
        """Return how many bytes the journal takes."""

    def append(self, body: bytes) -> None:
        """Write at the end; durable only after `sync`."""

    async def sync(self) -> None:
        """Return once everything appended would survive a power cut."""

    def reset(self) -> None:
        """Forget everything: the height is decided and stored elsewhere."""

    async def rewrite(self, bodies: Sequence[bytes]) -> None:
        """Replace everything by these; durable on return, and a crash leaves the old or the new."""


class SafetyRecord(Protocol):
    """One small byte string that survives a power cut: the last thing that was signed."""

    def read(self) -> bytes | None:
        """Return what was written last; None if nothing ever was."""

    async def write(self, body: bytes) -> None:
        """Return once the new content would survive a power cut."""


class Partial(Protocol):
    """A blob that is being put together; what it holds survives a restart."""

    def missing(self) -> tuple[int, ...]:
        """Return the indices of the chunks that are not there yet, ascending."""

    async def put_chunk(self, index: int, chunk: bytes) -> None:
        """Keep a chunk; PeerError when it is not what the manifest says."""

    async def complete(self) -> Path:
        """Make the blob known and return its file; every chunk must be there."""


class Scratch(Protocol):
    """Room for files that workers write and the blob store copies."""

    def lend(self, name: str) -> AbstractContextManager[Path]:
        """Lend a path that nobody else holds; what was written there goes at the end."""


class BlobStore(Protocol):
    """Files by content hash, within a quota; the least recently used unpinned ones go first."""

    def path(self, blob: BlobId) -> Path | None:
        """Return the file of a complete blob."""

    def manifest(self, blob: BlobId) -> bytes | None:
        """Return the encoded manifest of a complete blob."""

    async def read_chunk(self, blob: BlobId, index: int) -> bytes:
        """Return one chunk of a complete blob; PeerError for an index beyond its end."""

    async def add_file(self, path: Path) -> BlobId:
        """Copy a file into the store; durable on return."""

    async def add_bytes(self, content: bytes) -> BlobId:
        """Keep bytes as a file; durable on return."""

    def partial(self, blob: BlobId) -> Partial | None:
        """Return a download that was begun, also before the last restart."""

    async def begin(self, blob: BlobId, manifest: bytes) -> Partial:
        """Start a download from an encoded manifest; PeerError when it is another blob's."""

    def pin(self, blob: BlobId) -> None:
        """Keep a blob whatever the quota says, also one that is yet to come."""

    def unpin(self, blob: BlobId) -> None:
        """Let the quota decide again."""

    def pinned(self) -> tuple[BlobId, ...]:
        """Return every pinned blob, ascending."""
