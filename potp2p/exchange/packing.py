"""A package folder into the blob store: every file by hash, then their list as one more blob."""

from pathlib import Path

from potp2p.foundation.errors import ConfigurationError
from potp2p.foundation.types import BlobId
from potp2p.protocol.wire.manifests import PackageEntry, PackageManifest, package_paths
from potp2p.protocol.wire.schema import encode
from potp2p.protocol.wire.tasks import TaskRules
from potp2p.storage.ports import BlobStore


async def pack(folder: Path, rules: TaskRules, store: BlobStore) -> BlobId:
    """Take every file of a package into the store and return the package root."""
    entries: list[PackageEntry] = []
    for path in package_paths(rules.rounds.shards):
        local = folder / path
        if not local.is_file():
            raise ConfigurationError(f"{folder}: {path} is missing from the package")
        blob = await store.add_file(local)
        store.pin(blob)
        entries.append(PackageEntry(path, blob, local.stat().st_size))
    root = await store.add_bytes(encode(PackageManifest(tuple(entries))))
    store.pin(root)
    return root
