"""
Content-addressed files: served to whoever asks, fetched from several peers, resumed after a stop.

A blob's id is the digest of its manifest, and the manifest lists the digests of its chunks, so
every part is checked by itself and a peer that sends a wrong one is known at once.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import trio

from potp2p.foundation.errors import (
    MissingError,
    OperatingError,
    PeerError,
    RejectionReason,
    UnreachableError,
)
from potp2p.foundation.limits import (
    BLOB_PROVIDERS_MAX,
    BLOB_REQUEST_SECONDS,
    MANIFEST_REQUEST_SECONDS,
    WITHHELD_SECONDS,
)
from potp2p.foundation.types import BlobId, NodeId
from potp2p.network.ports import Directory, StreamProtocol, Streams
from potp2p.protocol.wire.exchange import (
    MANIFEST_PART_CHUNKS,
    BlobRequest,
    ChunkRequest,
    ManifestRequest,
)
from potp2p.protocol.wire.manifests import Manifest, decode_manifest
from potp2p.protocol.wire.schema import decode, encode
from potp2p.storage.ports import BlobStore, Partial


@dataclass(slots=True)
class _Source:
    """The peers that may still serve one blob, best first."""

    peers: list[NodeId]
    failures: dict[NodeId, int] = field(default_factory=dict[NodeId, int])

    def drop(self, peer: NodeId) -> None:
        """Stop asking a peer."""
        if peer in self.peers:
            self.peers.remove(peer)

    def fail(self, peer: NodeId) -> None:
        """Move a peer that did not answer to the end; stop asking it after the third time."""
        self.drop(peer)
        self.failures[peer] = self.failures.get(peer, 0) + 1
        if self.failures[peer] < 3:  # noqa: PLR2004
            self.peers.append(peer)


@dataclass(slots=True)
class BlobExchange:
    """Owner of downloads in progress; the store owns the files."""

    store: BlobStore
    streams: Streams
    directory: Directory
    own: NodeId
    parallel: int = 4
    """Chunks asked for at the same time, of different peers where there are several."""
    _busy: dict[BlobId, trio.Event] = field(default_factory=dict[BlobId, trio.Event])
    _withheld: dict[BlobId, trio.Event] = field(default_factory=dict[BlobId, trio.Event])
    """Set when a blob may be served."""

    def __post_init__(self) -> None:
        self.streams.serve(StreamProtocol.BLOBS, self.answer)

    async def answer(self, _peer: NodeId, body: bytes) -> bytes:
        """Serve a part of a manifest or one chunk of a complete blob."""
        wanted = decode(BlobRequest, body).wanted
        held = self._withheld.get(wanted.blob)
        if held is not None:
            # Who asks now is most often a block ahead of us: to wait is quicker than to be asked
            # again. What one peer may keep waiting, the adapter bounds.
            with trio.move_on_after(WITHHELD_SECONDS):
                await held.wait()
        if wanted.blob in self._withheld or self.store.path(wanted.blob) is None:
            # Not having a file is no fault of the asker: an empty answer, not a refusal.
            return b""
        match wanted:
            case ManifestRequest(blob, part):
                encoded = self.store.manifest(blob)
                if encoded is None:
                    return b""
                size = MANIFEST_PART_CHUNKS * 32
                return encoded[part * size : (part + 1) * size]
            case ChunkRequest(blob, index):
                return await self.store.read_chunk(blob, index)

    async def withhold(self, path: Path) -> BlobId:
        """Take a file into the store, pinned, without serving it yet."""
        blob = await self.store.add_file(path)
        # No await since the file became known: nobody can have asked in between.
        self.hold_back(blob)
        return blob

    def hold_back(self, blob: BlobId) -> None:
        """Pin a blob and do not serve it until it is released."""
        self._withheld.setdefault(blob, trio.Event())
        self.store.pin(blob)

    def release(self, blob: BlobId) -> None:
        """Serve a blob that was withheld, also to those who wait for it."""
        held = self._withheld.pop(blob, None)
        if held is not None:
            held.set()

    async def publish(self, path: Path) -> BlobId:
        """Take a file into the store, pinned, serve it and announce it."""
        blob = await self.store.add_file(path)
        self.store.pin(blob)
        await self.directory.provide(blob)
        return blob

    async def fetch(self, blob: BlobId, hints: Iterable[NodeId] = (), *, bytes_max: int) -> Path:
        """
        Return the path of a complete, verified file, downloading what is missing.

        `hints` are peers that should have it; the DHT is asked only when they do not suffice.
        Raises MissingError when nobody has it, PeerError when it is larger than allowed.
        """
        while (busy := self._busy.get(blob)) is not None:
            await busy.wait()
        if (path := self.store.path(blob)) is not None:
            return path
        done = self._busy[blob] = trio.Event()
        try:
            return await self._download(
                blob, [peer for peer in hints if peer != self.own], bytes_max
            )
        finally:
            del self._busy[blob]
            done.set()

    async def _download(self, blob: BlobId, hints: list[NodeId], bytes_max: int) -> Path:
        source = _Source(list(dict.fromkeys(hints))[:BLOB_PROVIDERS_MAX])
        try:
            return await self._download_from(source, blob, bytes_max)
        except MissingError:
            found = await self.directory.find_providers(blob, count=BLOB_PROVIDERS_MAX)
            others = [*found, *self.directory.peers()]
            fresh = [peer for peer in dict.fromkeys(others) if peer not in hints]
            return await self._download_from(_Source(fresh), blob, bytes_max)

    async def _download_from(self, source: _Source, blob: BlobId, bytes_max: int) -> Path:
        partial = self.store.partial(blob)
        if partial is None:
            encoded = await self._fetch_manifest(source, blob, bytes_max)
            partial = await self.store.begin(blob, encoded)
        missing = list(partial.missing())
        async with trio.open_nursery() as nursery:
            for _ in range(min(self.parallel, max(len(missing), 1))):
                nursery.start_soon(self._fetch_chunks, source, blob, partial, missing)
        if partial.missing():
            raise MissingError(f"no peer serves blob {blob.hex()[:16]}")
        return await partial.complete()

    async def _fetch_manifest(self, source: _Source, blob: BlobId, bytes_max: int) -> bytes:
        while source.peers:
            peer = source.peers[0]
            try:
                encoded = await self._manifest_from(peer, blob)
                manifest: Manifest = decode_manifest(encoded, blob)
            except PeerError as error:
                self.directory.penalise(peer, error)
                source.drop(peer)
            except (UnreachableError, MissingError):
                source.fail(peer)
                if source.failures.get(peer, 0) and not source.peers:
                    break
            else:
                if manifest.size > bytes_max:
                    raise PeerError(
                        RejectionReason.OUT_OF_BOUNDS,
                        f"blob of {manifest.size} bytes, {bytes_max} allowed",
                    )
                return encoded
        raise MissingError(f"no peer has blob {blob.hex()[:16]}")

    async def _manifest_from(self, peer: NodeId, blob: BlobId) -> bytes:
        parts: list[bytes] = []
        while True:
            request = BlobRequest(ManifestRequest(blob, len(parts)))
            part = await self._ask(peer, request, MANIFEST_REQUEST_SECONDS)
            parts.append(part)
            if len(part) < MANIFEST_PART_CHUNKS * 32 or len(parts) > 4:  # noqa: PLR2004
                break
        encoded = b"".join(parts)
        if not encoded:
            raise MissingError("peer does not have it")
        return encoded

    async def _fetch_chunks(
        self, source: _Source, blob: BlobId, partial: Partial, missing: list[int]
    ) -> None:
        turn = 0
        while missing and source.peers:
            index = missing.pop(0)
            turn += 1
            peer = source.peers[(index + turn) % len(source.peers)]
            try:
                chunk = await self._ask(peer, BlobRequest(ChunkRequest(blob, index)))
                if not chunk:
                    raise MissingError("peer does not have it")
                await partial.put_chunk(index, chunk)
            except PeerError as error:
                self.directory.penalise(peer, error)
                source.drop(peer)
                missing.append(index)
            except MissingError:
                source.drop(peer)
                missing.append(index)
            except OperatingError:
                source.fail(peer)
                missing.append(index)

    async def _ask(
        self, peer: NodeId, request: BlobRequest, seconds: float = BLOB_REQUEST_SECONDS
    ) -> bytes:
        return await self.streams.request(
            peer, StreamProtocol.BLOBS, encode(request), deadline_seconds=seconds
        )
