"""
Manifests: the chunk list behind a blob's id, and the file list of a task's package.

blob id = tagged SHA-256 of the canonical bytes of its manifest; a chunk is 1 MiB but for the last.
"""

from dataclasses import dataclass
from typing import Annotated, Final

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.limits import (
    BLOB_BYTES_MAX,
    CHUNK_BYTES,
    DIGEST_BYTES,
    MANIFEST_CHUNKS_MAX,
    SHARDS_MAX,
)
from potp2p.foundation.types import BlobId, Digest
from potp2p.protocol.crypto.hashing import sha256, tagged_hash
from potp2p.protocol.wire.fields import BlobField
from potp2p.protocol.wire.schema import Many, Octets, Text, Uint, decode, encode

BLOB_DOMAIN: Final = "potp2p/blob/1"
MANIFEST_BYTES_MAX: Final = MANIFEST_CHUNKS_MAX * (DIGEST_BYTES + 2) + 64

RULES_FILE: Final = "rules.cbor"
"""Canonical bytes of the TaskRules; they must equal those on chain."""
TASK_FILE: Final = "task.toml"
MODEL_FILE: Final = "config.json"
INITIAL_FILE: Final = "initial.safetensors"
EVALUATION_FILE: Final = "evaluation.safetensors"


@dataclass(frozen=True, slots=True)
class Manifest:
    """Size of a file and the SHA-256 of each of its chunks, concatenated."""

    size: Annotated[int, Uint(BLOB_BYTES_MAX + 1)]
    digests: Annotated[bytes, Octets(0, MANIFEST_CHUNKS_MAX * DIGEST_BYTES)]

    @property
    def chunks(self) -> int:
        """Return the number of chunks."""
        return len(self.digests) // DIGEST_BYTES

    def chunk_digest(self, index: int) -> Digest:
        """Return what a chunk must hash to."""
        return Digest(self.digests[index * DIGEST_BYTES : (index + 1) * DIGEST_BYTES])

    def chunk_bytes(self, index: int) -> int:
        """Return how long a chunk must be."""
        return min(CHUNK_BYTES, self.size - index * CHUNK_BYTES)


@dataclass(frozen=True, slots=True)
class PackageEntry:
    """One file of a package."""

    path: Annotated[str, Text(64)]
    blob: BlobField
    size: Annotated[int, Uint(BLOB_BYTES_MAX + 1)]


@dataclass(frozen=True, slots=True)
class PackageManifest:
    """Every file of a package, ascending by path; the blob of these bytes is the package root."""

    entries: Annotated[tuple[PackageEntry, ...], Many(SHARDS_MAX + 8)]


def blob_id(manifest: Manifest) -> BlobId:
    """Return the content address of the file a manifest describes."""
    return BlobId(tagged_hash(BLOB_DOMAIN, encode(manifest)))


def root_of(content: bytes) -> BlobId:
    """Return the content address of a file that is in memory."""
    chunks = (content[at : at + CHUNK_BYTES] for at in range(0, len(content), CHUNK_BYTES))
    return blob_id(Manifest(len(content), b"".join(sha256(chunk) for chunk in chunks)))


def decode_manifest(encoded: bytes, expected: BlobId) -> Manifest:
    """Parse a peer's manifest and raise unless it is the one behind this id."""
    manifest = decode(Manifest, encoded, bytes_max=MANIFEST_BYTES_MAX)
    chunks = -(-manifest.size // CHUNK_BYTES)
    if len(manifest.digests) != chunks * DIGEST_BYTES:
        raise PeerError(RejectionReason.MALFORMED, "manifest with a wrong number of chunks")
    if blob_id(manifest) != expected:
        raise PeerError(RejectionReason.BAD_PROOF, "manifest of another blob")
    return manifest


def shard_file(index: int) -> str:
    """Return the path of a shard inside a package."""
    return f"shards/{index:04d}.safetensors"


def package_paths(shards: int) -> tuple[str, ...]:
    """Return every path that a package must hold, ascending."""
    files = (RULES_FILE, TASK_FILE, MODEL_FILE, INITIAL_FILE, EVALUATION_FILE)
    return tuple(sorted((*files, *(shard_file(index) for index in range(shards)))))
