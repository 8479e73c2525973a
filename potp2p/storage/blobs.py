"""
Blobs of one data folder: whole ones and downloads, within a quota.

A blob is known once its file has its final name, after file and manifest were synced. The index is
owned by the event loop's thread; other threads only read, write and hash.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path

import trio

from potp2p.foundation.errors import MissingError, OperatingError, PeerError, RejectionReason
from potp2p.foundation.limits import BLOB_QUOTA_BYTES, CHUNK_BYTES
from potp2p.foundation.types import BlobId
from potp2p.protocol.wire.manifests import Manifest, decode_manifest
from potp2p.protocol.wire.schema import encode
from potp2p.storage.blob_folder import BlobFolder, is_chunk
from potp2p.storage.files import operating
from potp2p.storage.shelf import Shelf

MANIFESTS_REMEMBERED = 256
"""Decoded manifests of blobs in use; each is 32 bytes per MiB of its blob."""


@dataclass(slots=True)
class BlobFiles:
    """The store; making it makes the folder and reads what is there."""

    folder: Path
    quota_bytes: int = BLOB_QUOTA_BYTES
    _disk: BlobFolder = field(init=False)
    _shelf: Shelf = field(init=False)
    _partials: dict[BlobId, "BlobPartial"] = field(init=False)
    _manifests: dict[BlobId, Manifest] = field(default_factory=dict[BlobId, Manifest])

    def __post_init__(self) -> None:
        self._disk = BlobFolder.open(self.folder)
        with operating(self.folder, "read the blob folder"):
            self._shelf = Shelf(self.quota_bytes, self._disk.pins())
            for blob, size in self._disk.complete():
                self._shelf.put(blob, size)
            self._partials = {
                blob: BlobPartial(self, blob, manifest, have, resumed=True)
                for blob, manifest, have in self._disk.partials()
            }
        for part in self._partials.values():
            self._shelf.reserve(part.content.size)

    @property
    def used_bytes(self) -> int:
        """Return the bytes that the quota counts: whole blobs and begun downloads."""
        return self._shelf.used_bytes

    def path(self, blob: BlobId) -> Path | None:
        """Return the file of a complete blob."""
        return self._disk.file(blob) if self._shelf.touch(blob) else None

    def manifest(self, blob: BlobId) -> bytes | None:
        """Return the encoded manifest of a complete blob."""
        found = self._manifest(blob)
        return None if found is None else encode(found)

    async def read_chunk(self, blob: BlobId, index: int) -> bytes:
        """Return one chunk of a complete blob; PeerError for an index beyond its end."""
        manifest = self._manifest(blob)
        if manifest is None:
            raise MissingError(f"blob {blob.hex()[:16]} is not here")
        if not 0 <= index < manifest.chunks:
            raise PeerError(RejectionReason.OUT_OF_BOUNDS, f"chunk {index} of {manifest.chunks}")
        chunk = await trio.to_thread.run_sync(self._disk.read_chunk, blob, manifest, index)
        if chunk is None:
            # A wrong chunk would cost us the asker's trust; a blob that is gone is fetched again.
            self._remove(blob)
            raise MissingError(f"blob {blob.hex()[:16]} was damaged on disk")
        return chunk

    async def add_file(self, path: Path) -> BlobId:
        """Copy a file into the store; durable on return."""
        with operating(path, "read"), path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            return await self._add(size, partial(file.read, CHUNK_BYTES))

    async def add_bytes(self, content: bytes) -> BlobId:
        """Keep bytes as a file; durable on return."""
        return await self._add(len(content), partial(BytesIO(content).read, CHUNK_BYTES))

    def partial(self, blob: BlobId) -> "BlobPartial | None":
        """Return a download that was begun, also before the last restart."""
        return self._partials.get(blob)

    async def begin(self, blob: BlobId, manifest: bytes) -> "BlobPartial":
        """Start a download from an encoded manifest; PeerError when it is another blob's."""
        content = decode_manifest(manifest, blob)
        await trio.lowlevel.checkpoint()
        if (known := self._partials.get(blob)) is not None:
            return known
        self._make_room(content.size)
        try:
            self._disk.begin(blob, content)
        except OperatingError:
            self._shelf.release(content.size)
            raise
        part = BlobPartial(self, blob, content, bytearray(content.chunks), resumed=False)
        self._partials[blob] = part
        return part

    def pin(self, blob: BlobId) -> None:
        """Keep a blob whatever the quota says, also one that is yet to come."""
        if blob not in self._shelf.pinned:
            self._disk.pin(blob)
            self._shelf.pinned.add(blob)

    def unpin(self, blob: BlobId) -> None:
        """Let the quota decide again."""
        if blob in self._shelf.pinned:
            self._shelf.pinned.discard(blob)
            self._disk.unpin(blob)

    def pinned(self) -> tuple[BlobId, ...]:
        """Return every pinned blob, ascending."""
        return tuple(sorted(self._shelf.pinned))

    async def finish(self, part: "BlobPartial") -> Path:
        """Turn a download whose chunks are all there into a whole blob."""
        await trio.to_thread.run_sync(self._disk.finish, part.blob, part.content)
        del self._partials[part.blob]
        self._shelf.release(part.content.size)
        self._keep(part.blob, part.content)
        return self._disk.file(part.blob)

    @property
    def disk(self) -> BlobFolder:
        """Return the files, for the downloads of this store."""
        return self._disk

    async def _add(self, size: int, feed: Callable[[], bytes]) -> BlobId:
        self._make_room(size)
        try:
            blob, manifest = await trio.to_thread.run_sync(self._disk.add, feed)
        finally:
            self._shelf.release(size)
        self._keep(blob, manifest)
        return blob

    def _keep(self, blob: BlobId, manifest: Manifest) -> None:
        self._shelf.put(blob, manifest.size)
        self._remember(blob, manifest)

    def _remember(self, blob: BlobId, manifest: Manifest) -> None:
        if len(self._manifests) >= MANIFESTS_REMEMBERED:
            del self._manifests[next(iter(self._manifests))]
        self._manifests[blob] = manifest

    def _manifest(self, blob: BlobId) -> Manifest | None:
        if not self._shelf.touch(blob):
            return None
        if blob not in self._manifests:
            found = self._disk.read_manifest(blob)
            if found is None:
                self._remove(blob)
                return None
            self._remember(blob, found)
        return self._manifests[blob]

    def _remove(self, blob: BlobId) -> None:
        self._shelf.drop(blob)
        self._manifests.pop(blob, None)
        self._disk.remove(blob)

    def _make_room(self, size: int) -> None:
        """Reserve bytes, dropping what was used longest ago and then downloads left lying."""
        victims = self._shelf.victims(size)
        freed = sum(self._shelf.size_of(blob) for blob in victims)
        idle: list[BlobPartial] = []
        for part in self._partials.values():
            if self._shelf.excess_bytes(size) <= freed:
                break
            if part.resumed and part.blob not in self._shelf.pinned:
                idle.append(part)
                freed += part.content.size
        if self._shelf.excess_bytes(size) > freed:
            raise OperatingError(
                f"{self.folder}: no room for {size} bytes: the quota of {self.quota_bytes} is"
                " taken by pinned blobs and downloads"
            )
        for blob in victims:
            self._remove(blob)
        for part in idle:
            self._disk.drop_partial(part.blob)
            self._shelf.release(part.content.size)
            del self._partials[part.blob]
        self._shelf.reserve(size)


@dataclass(slots=True)
class BlobPartial:
    """A download that was begun; every chunk is checked before it is written."""

    store: BlobFiles
    blob: BlobId
    content: Manifest
    have: bytearray
    """One byte per chunk, 1 when it was written."""
    resumed: bool
    """True while nothing touched it since the restart: its chunks were then not checked by us."""
    unchecked: bool = field(init=False)

    def __post_init__(self) -> None:
        self.unchecked = self.resumed

    def missing(self) -> tuple[int, ...]:
        """Return the indices of the chunks that are not there yet, ascending."""
        self.resumed = False
        return tuple(index for index, written in enumerate(self.have) if not written)

    async def put_chunk(self, index: int, chunk: bytes) -> None:
        """Keep a chunk; PeerError when it is not what the manifest says."""
        if not 0 <= index < self.content.chunks:
            raise PeerError(
                RejectionReason.OUT_OF_BOUNDS, f"chunk {index} of {self.content.chunks}"
            )
        self.resumed = False
        if not await trio.to_thread.run_sync(self._check_and_write, index, chunk):
            raise PeerError(RejectionReason.BAD_PROOF, f"chunk {index} is not the one asked for")
        self.have[index] = 1

    async def complete(self) -> Path:
        """
        Make the blob known and return its file; every chunk must be there.

        What came from before a restart is read once more: a crash may have kept the note that a
        chunk was written and lost the chunk. OperatingError then, and `missing` lists it.
        """
        assert all(self.have), "complete() before the last chunk"
        if self.unchecked:
            damaged = await trio.to_thread.run_sync(
                self.store.disk.damaged_chunks, self.blob, self.content
            )
            for index in damaged:
                self.have[index] = 0
            if damaged:
                raise OperatingError(f"{len(damaged)} chunks did not survive the restart")
            self.unchecked = False
        return await self.store.finish(self)

    def _check_and_write(self, index: int, chunk: bytes) -> bool:
        if not is_chunk(self.content, index, chunk):
            return False
        self.store.disk.write_chunk(self.blob, index, chunk)
        return True
