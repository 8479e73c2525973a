"""A task's files on this node: fetched by hash when first needed, checked against the chain."""

from dataclasses import dataclass, field
from pathlib import Path

from potp2p.exchange.blobs import BlobExchange
from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.limits import (
    PACKAGE_BYTES_MAX,
    PACKAGE_FILE_BYTES_MAX,
    PACKAGE_MANIFEST_BYTES_MAX,
)
from potp2p.foundation.types import BlobId, NodeId
from potp2p.protocol.wire.blocks import NO_DIGEST
from potp2p.protocol.wire.manifests import (
    INITIAL_FILE,
    RULES_FILE,
    PackageEntry,
    PackageManifest,
    package_paths,
)
from potp2p.protocol.wire.schema import decode, encode
from potp2p.protocol.wire.tasks import TaskRules


@dataclass(slots=True)
class PackageFiles:
    """Owner of the package manifests read so far."""

    blobs: BlobExchange
    _entries: dict[BlobId, dict[str, PackageEntry]] = field(
        default_factory=dict[BlobId, dict[str, PackageEntry]]
    )

    async def file(self, root: BlobId, path: str, hints: tuple[NodeId, ...]) -> Path:
        """Return one file of a package, fetching it if need be."""
        entries = await self._manifest(root, hints)
        if path not in entries:
            raise PeerError(RejectionReason.BAD_TASK, f"package without {path}")
        entry = entries[path]
        local = await self.blobs.fetch(entry.blob, hints, bytes_max=PACKAGE_FILE_BYTES_MAX)
        if local.stat().st_size != entry.size:
            raise PeerError(RejectionReason.BAD_TASK, f"{path} has another size than said")
        return local

    async def initial(self, root: BlobId, hints: tuple[NodeId, ...]) -> BlobId:
        """Return the blob id of theta(0)."""
        return (await self._manifest(root, hints))[INITIAL_FILE].blob

    async def theta(self, root: BlobId, theta: BlobId, hints: tuple[NodeId, ...]) -> Path:
        """Return a checkpoint file; the initial weights stand under NO_DIGEST on chain."""
        if theta == NO_DIGEST:
            return await self.file(root, INITIAL_FILE, hints)
        return await self.blobs.fetch(theta, hints, bytes_max=PACKAGE_FILE_BYTES_MAX)

    async def fetch_all(self, root: BlobId, rules: TaskRules, hints: tuple[NodeId, ...]) -> None:
        """Fetch a whole package; PeerError when it is not what its rules on chain say."""
        entries = await self._manifest(root, hints)
        if tuple(entries) != package_paths(rules.rounds.shards):
            raise PeerError(RejectionReason.BAD_TASK, "package with missing or unknown files")
        if sum(entry.size for entry in entries.values()) > PACKAGE_BYTES_MAX:
            raise PeerError(RejectionReason.BAD_TASK, "package too large")
        for path, entry in entries.items():
            await self.file(root, path, hints)
            self.blobs.store.pin(entry.blob)
        self.blobs.store.pin(root)
        local = await self.file(root, RULES_FILE, hints)
        if entries[RULES_FILE].size > PACKAGE_MANIFEST_BYTES_MAX:
            raise PeerError(RejectionReason.BAD_TASK, "rules file too large")
        if local.read_bytes() != encode(rules):
            raise PeerError(
                RejectionReason.BAD_TASK, "rules in the package differ from the chain's"
            )

    def blobs_of(self, root: BlobId) -> tuple[BlobId, ...]:
        """Return every file of a package whose manifest is here, and the root itself."""
        local = self.blobs.store.path(root)
        if local is None:
            return (root,)
        try:
            manifest = decode(PackageManifest, local.read_bytes())
        except PeerError:
            # A client may order anything under any root; its task is refused in its own time.
            return (root,)
        return (root, *(entry.blob for entry in manifest.entries))

    async def _manifest(self, root: BlobId, hints: tuple[NodeId, ...]) -> dict[str, PackageEntry]:
        if root not in self._entries:
            local = await self.blobs.fetch(root, hints, bytes_max=PACKAGE_MANIFEST_BYTES_MAX)
            manifest = decode(PackageManifest, local.read_bytes())
            paths = [entry.path for entry in manifest.entries]
            if paths != sorted(set(paths)):
                raise PeerError(RejectionReason.BAD_TASK, "package manifest out of order")
            self._entries[root] = {entry.path: entry for entry in manifest.entries}
        return self._entries[root]
