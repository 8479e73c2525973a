"""
Snapshots: the state after a decided block as chunks under a manifest, and the way to its header.

A manifest says nothing that counts by itself. What counts is that the tree over all records has
the root of the header, and that the header follows from one that the operator trusts. Every honest
node writes the same bytes for one height, so that chunks may come from several peers.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

from potp2p.foundation.limits import (
    BLOB_BYTES_MAX,
    CHUNK_BYTES,
    DIGEST_BYTES,
    EPOCHS_PER_REQUEST_MAX,
    SNAPSHOT_CHUNKS_MAX,
    SNAPSHOTS_KEPT,
    STATE_RECORD_BYTES_MAX,
)
from potp2p.foundation.types import Digest
from potp2p.protocol.crypto.hashing import tagged_hash
from potp2p.protocol.wire.blocks import Header, Seal
from potp2p.protocol.wire.certificates import EpochLink, ValidatorSet
from potp2p.protocol.wire.fields import ChainField, DigestField, HeightField
from potp2p.protocol.wire.schema import Many, Octets, Uint, encode

MANIFEST_DOMAIN: Final = "potp2p/snapshot-manifest/1"
STATE_KEY_BYTES_MAX: Final = 500
OFFERS_MAX: Final = 2 * SNAPSHOTS_KEPT
"""Those kept, and as many that somebody is still fetching."""
RECORD_OVERHEAD_BYTES: Final = 12
"""CBOR heads of a record, its key and its value."""


@dataclass(frozen=True, slots=True)
class StateRecord:
    """One record of the state."""

    key: Annotated[bytes, Octets(1, STATE_KEY_BYTES_MAX)]
    value: Annotated[bytes, Octets(0, STATE_RECORD_BYTES_MAX)]

    @property
    def size(self) -> int:
        """Return at most how many bytes it takes in a chunk."""
        return len(self.key) + len(self.value) + RECORD_OVERHEAD_BYTES


@dataclass(frozen=True, slots=True)
class StateChunk:
    """Records in ascending order of their keys, as many as fit."""

    records: Annotated[tuple[StateRecord, ...], Many(CHUNK_BYTES // 3)]


@dataclass(frozen=True, slots=True)
class SnapshotManifest:
    """The parts of a snapshot: chunk 0 is the block, the others are the state after it."""

    chain_id: ChainField
    height: HeightField
    block_hash: DigestField
    size: Annotated[int, Uint(BLOB_BYTES_MAX + 1)]
    """Of all chunks together."""
    digests: Annotated[bytes, Octets(DIGEST_BYTES, SNAPSHOT_CHUNKS_MAX * DIGEST_BYTES)]
    """SHA-256 of each chunk, concatenated."""

    @property
    def chunks(self) -> int:
        """Return the number of chunks."""
        return len(self.digests) // DIGEST_BYTES

    def chunk_digest(self, index: int) -> Digest:
        """Return what a chunk must hash to."""
        return Digest(self.digests[index * DIGEST_BYTES : (index + 1) * DIGEST_BYTES])


@dataclass(frozen=True, slots=True)
class SnapshotOffer:
    """One snapshot that a peer serves, with what proves its header."""

    manifest: DigestField
    header: Header
    seal: Seal


@dataclass(frozen=True, slots=True)
class SnapshotOffers:
    """Everything that a peer serves, newest first."""

    offers: Annotated[tuple[SnapshotOffer, ...], Many(OFFERS_MAX)]


@dataclass(frozen=True, slots=True)
class OffersRequest:
    """What snapshots are there?"""

    KIND: ClassVar = 1
    count: Annotated[int, Uint(OFFERS_MAX + 1)]
    """The newest so many."""


@dataclass(frozen=True, slots=True)
class SnapshotManifestRequest:
    """The chunk list of a snapshot."""

    KIND: ClassVar = 2
    height: HeightField


@dataclass(frozen=True, slots=True)
class SnapshotChunkRequest:
    """One chunk of a snapshot."""

    KIND: ClassVar = 3
    height: HeightField
    index: Annotated[int, Uint(SNAPSHOT_CHUNKS_MAX)]


@dataclass(frozen=True, slots=True)
class TrustPathRequest:
    """What leads from one decided header to the seats of a later height."""

    KIND: ClassVar = 4
    start: HeightField
    target: HeightField


@dataclass(frozen=True, slots=True)
class SnapshotRequest:
    """What crosses the SNAPSHOTS stream."""

    wanted: OffersRequest | SnapshotManifestRequest | SnapshotChunkRequest | TrustPathRequest


@dataclass(frozen=True, slots=True)
class TrustPath:
    """
    The header at the start, who seals the height after it, and the ends of the epochs between.

    Each link's header is sealed by the seats that the one before announced.
    """

    header: Header
    validators: ValidatorSet
    links: Annotated[tuple[EpochLink, ...], Many(EPOCHS_PER_REQUEST_MAX)]


def manifest_digest(manifest: SnapshotManifest) -> Digest:
    """Return the name of a snapshot's bytes."""
    return tagged_hash(MANIFEST_DOMAIN, encode(manifest))
