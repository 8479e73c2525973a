"""
The files behind the blobs; everything here may block and runs in threads, but for small reads.

`files/ID` whole blobs, `manifests/ID` their chunk lists, `partial/ID` downloads with `ID.manifest`
and `ID.have` (one byte per chunk, 1 when written), `incoming/N` copies on the way in, `pins/ID`.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Final

from potp2p.foundation.errors import OperatingError, PeerError
from potp2p.foundation.limits import BLOB_BYTES_MAX, CHUNK_BYTES, DIGEST_BYTES
from potp2p.foundation.types import BlobId, Digest
from potp2p.protocol.wire.manifests import Manifest, blob_id, decode_manifest
from potp2p.protocol.wire.schema import encode
from potp2p.storage.files import operating, replace_file, sync_folder, write_all

FOLDERS: Final = ("files", "manifests", "partial", "incoming", "pins")
_incoming_numbers: Final = count()


@dataclass(frozen=True, slots=True)
class BlobFolder:
    """Paths and file operations of one blob folder; knows no quota and no order."""

    root: Path

    @classmethod
    def open(cls, root: Path) -> "BlobFolder":
        """Make the folders and throw away copies that a crash cut off."""
        with operating(root, "open the blob folder"):
            shutil.rmtree(root / "incoming", ignore_errors=True)
            for name in FOLDERS:
                (root / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        return cls(root)

    def file(self, blob: BlobId) -> Path:
        """Return where a whole blob lies."""
        return self.root / "files" / blob.hex()

    def complete(self) -> list[tuple[BlobId, int]]:
        """Return whole blobs and their sizes, oldest first."""
        found: list[tuple[int, BlobId, int]] = []
        for path in (self.root / "files").iterdir():
            blob = _blob_named(path.name)
            if blob is not None and (self.root / "manifests" / path.name).is_file():
                facts = path.stat()
                found.append((facts.st_mtime_ns, blob, facts.st_size))
        return [(blob, size) for _, blob, size in sorted(found)]

    def pins(self) -> set[BlobId]:
        """Return what was pinned before."""
        named = (_blob_named(path.name) for path in (self.root / "pins").iterdir())
        return {blob for blob in named if blob is not None}

    def pin(self, blob: BlobId) -> None:
        """Remember a pin across restarts."""
        with operating(self.root, "pin a blob"):
            (self.root / "pins" / blob.hex()).touch(mode=0o600)

    def unpin(self, blob: BlobId) -> None:
        """Forget a pin."""
        with operating(self.root, "unpin a blob"):
            (self.root / "pins" / blob.hex()).unlink(missing_ok=True)

    def read_manifest(self, blob: BlobId) -> Manifest | None:
        """Return the chunk list of a whole blob; None when the disk no longer has it right."""
        return _manifest_from(self.root / "manifests" / blob.hex(), blob)

    def read_chunk(self, blob: BlobId, manifest: Manifest, index: int) -> bytes | None:
        """Return one chunk; None when the disk no longer has it right."""
        return _chunk_from(self.file(blob), manifest, index)

    def add(self, feed: Callable[[], bytes]) -> tuple[BlobId, Manifest]:
        """Write what `feed` yields until it is empty, and give it its name; durable on return."""
        draft = self._draft()
        with operating(draft, "write a blob"):
            try:
                manifest = _copy(feed, draft)
                blob = blob_id(manifest)
                self._publish(draft, blob, manifest)
            finally:
                draft.unlink(missing_ok=True)
        return blob, manifest

    def remove(self, blob: BlobId) -> None:
        """Delete a whole blob; the file goes first, as it is what makes a blob known."""
        with operating(self.file(blob), "delete a blob"):
            self.file(blob).unlink(missing_ok=True)
            (self.root / "manifests" / blob.hex()).unlink(missing_ok=True)

    def partials(self) -> list[tuple[BlobId, Manifest, bytearray]]:
        """Return downloads that were begun, with what each already has; oldest first."""
        found: list[tuple[BlobId, Manifest, bytearray]] = []
        files = [path for path in (self.root / "partial").iterdir() if not path.suffix]
        for path in sorted(files, key=lambda each: each.stat().st_mtime_ns):
            blob = _blob_named(path.name)
            manifest = None
            if blob is not None:
                manifest = _manifest_from(path.with_suffix(".manifest"), blob)
            if blob is None or manifest is None:
                path.unlink()
                continue
            found.append((blob, manifest, _have_from(path.with_suffix(".have"), manifest.chunks)))
        return found

    def begin(self, blob: BlobId, manifest: Manifest) -> None:
        """Make the files of a download; its data file, made last, is what makes it known."""
        path = self._partial(blob)
        with operating(path, "begin a download"):
            path.with_suffix(".manifest").write_bytes(encode(manifest))
            path.with_suffix(".have").write_bytes(bytes(manifest.chunks))
            with path.open("wb") as file:
                file.truncate(manifest.size)

    def write_chunk(self, blob: BlobId, index: int, chunk: bytes) -> None:
        """Write a chunk of a download, then note that it is there."""
        path = self._partial(blob)
        with operating(path, "write a chunk"):
            _write_at(path, chunk, index * CHUNK_BYTES)
            _write_at(path.with_suffix(".have"), b"\x01", index)

    def damaged_chunks(self, blob: BlobId, manifest: Manifest) -> list[int]:
        """Return the chunks of a download that the disk does not have right, and note them."""
        path = self._partial(blob)
        chunks = range(manifest.chunks)
        damaged = [index for index in chunks if _chunk_from(path, manifest, index) is None]
        with operating(path, "check a download"):
            for index in damaged:
                _write_at(path.with_suffix(".have"), b"\x00", index)
        return damaged

    def finish(self, blob: BlobId, manifest: Manifest) -> None:
        """Turn a download that has every chunk into a whole blob; durable on return."""
        path = self._partial(blob)
        with operating(path, "finish a download"):
            _sync(path)
            self._publish(path, blob, manifest)
            self._drop_notes(path)

    def drop_partial(self, blob: BlobId) -> None:
        """Delete a download."""
        path = self._partial(blob)
        with operating(path, "delete a download"):
            path.unlink(missing_ok=True)
            self._drop_notes(path)

    def _publish(self, draft: Path, blob: BlobId, manifest: Manifest) -> None:
        # Two threads may add the same content: each has its own draft, and the names are the same.
        manifest_draft = self._draft()
        replace_file(self.root / "manifests" / blob.hex(), encode(manifest), manifest_draft)
        os.replace(draft, self.file(blob))
        sync_folder(self.root / "files")

    def _draft(self) -> Path:
        return self.root / "incoming" / str(next(_incoming_numbers))

    def _partial(self, blob: BlobId) -> Path:
        return self.root / "partial" / blob.hex()

    def _drop_notes(self, path: Path) -> None:
        path.with_suffix(".have").unlink(missing_ok=True)
        path.with_suffix(".manifest").unlink(missing_ok=True)


def is_chunk(manifest: Manifest, index: int, chunk: bytes) -> bool:
    """Say whether bytes are what a manifest lists at an index."""
    if len(chunk) != manifest.chunk_bytes(index):
        return False
    return sha256(chunk).digest() == manifest.chunk_digest(index)


def _blob_named(name: str) -> BlobId | None:
    try:
        blob = bytes.fromhex(name)
    except ValueError:
        return None
    return BlobId(Digest(blob)) if len(blob) == DIGEST_BYTES and blob.hex() == name else None


def _manifest_from(path: Path, blob: BlobId) -> Manifest | None:
    try:
        return decode_manifest(path.read_bytes(), blob)
    except (OSError, PeerError):
        # Our own disk is no peer: what it lost is fetched again.
        return None


def _have_from(path: Path, chunks: int) -> bytearray:
    have = path.read_bytes() if path.is_file() else b""
    return bytearray(have[:chunks].ljust(chunks, b"\x00"))


def _chunk_from(path: Path, manifest: Manifest, index: int) -> bytes | None:
    try:
        with path.open("rb") as file:
            chunk = os.pread(file.fileno(), manifest.chunk_bytes(index), index * CHUNK_BYTES)
    except OSError:
        return None
    return chunk if is_chunk(manifest, index, chunk) else None


def _copy(feed: Callable[[], bytes], draft: Path) -> Manifest:
    """Write a file chunk by chunk, hashing on the way, and sync it."""
    digests, size = bytearray(), 0
    with draft.open("wb") as file:
        while chunk := feed():
            size += len(chunk)
            if size > BLOB_BYTES_MAX:
                raise OperatingError(f"{draft}: a blob may have {BLOB_BYTES_MAX} bytes")
            digests += sha256(chunk).digest()
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return Manifest(size, bytes(digests))


def _write_at(path: Path, content: bytes, offset: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        write_all(descriptor, content, offset)
    finally:
        os.close(descriptor)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
