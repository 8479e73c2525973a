"""Requests between nodes: hello, sealed blocks, chunks, state records with proof, submission."""

from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Annotated, ClassVar, Final

from potp2p.foundation.limits import (
    BLOCK_BYTES_MAX,
    CHUNK_BYTES,
    DIGEST_BYTES,
    GOSSIP_BYTES_MAX,
    MANIFEST_CHUNKS_MAX,
    MESSAGE_BYTES_MAX,
    TRANSACTION_BYTES_MAX,
)
from potp2p.protocol.wire.blocks import Block, Header, Seal
from potp2p.protocol.wire.fields import (
    AccountField,
    BlobField,
    ChainField,
    CountField,
    DigestField,
    HeightField,
    RoundField,
    ShardField,
    TaskField,
)
from potp2p.protocol.wire.schema import Many, Octets, Text, Uint

BLOCKS_PER_REQUEST_MAX: Final = 64
STATE_KEY_BYTES_MAX: Final = 64
RECEIPT_BYTES_MAX: Final = 1 << 16
"""Lines and rewards of 200 auditors and 100 judges take 30 KB."""
RECEIPT_SIBLINGS_MAX: Final = 11
"""Merkle steps over SHARDS_PER_ROUND_MAX receipts, and one for leases given out twice."""
RECEIPT_LINKS_MAX: Final = 16_384
"""Digests of settled rounds in one reply: half a frame; who needs more asks on."""
RECEIPTS_LISTED_MAX: Final = 100


@unique
class Role(IntEnum):
    """What a node does."""

    OBSERVER = 0
    MINER = 1
    VALIDATOR = 2
    BOOTSTRAP = 3
    CLIENT = 4


@dataclass(frozen=True, slots=True)
class Hello:
    """Asked and answered on connecting, and every few seconds between neighbours."""

    chain_id: ChainField
    role: Role
    height: HeightField
    version: Annotated[str, Text(32)]


@dataclass(frozen=True, slots=True)
class BlocksRequest:
    """Sealed blocks from a height on."""

    first: HeightField
    count: Annotated[int, Uint(BLOCKS_PER_REQUEST_MAX + 1)]


@dataclass(frozen=True, slots=True)
class SealedBlock:
    """A block and the seal that makes it final."""

    block: Block
    seal: Seal


@dataclass(frozen=True, slots=True)
class BlocksReply:
    """As many of the blocks asked for as fit in one frame; encoded one by one."""

    blocks: Annotated[
        tuple[Annotated[bytes, Octets(1, MESSAGE_BYTES_MAX)], ...], Many(BLOCKS_PER_REQUEST_MAX)
    ]


@dataclass(frozen=True, slots=True)
class ManifestRequest:
    """The chunk list of a blob."""

    KIND: ClassVar = 1
    blob: BlobField
    part: CountField
    """Manifests above one frame travel in parts of MANIFEST_PART_CHUNKS digests."""


@dataclass(frozen=True, slots=True)
class ChunkRequest:
    """One chunk of a blob."""

    KIND: ClassVar = 2
    blob: BlobField
    index: Annotated[int, Uint(MANIFEST_CHUNKS_MAX)]


@dataclass(frozen=True, slots=True)
class BlobRequest:
    """What crosses the BLOBS stream."""

    wanted: ManifestRequest | ChunkRequest


MANIFEST_PART_CHUNKS: Final = CHUNK_BYTES // (DIGEST_BYTES + 2)


@dataclass(frozen=True, slots=True)
class QueryRequest:
    """One record of the state after the latest sealed block."""

    key: Annotated[bytes, Octets(1, STATE_KEY_BYTES_MAX)]


@dataclass(frozen=True, slots=True)
class QueryReply:
    """The record, its proof under the state root of the header, and the header's seal."""

    header: Header
    seal: Seal
    value: Annotated[bytes, Octets(0, BLOCK_BYTES_MAX)] | None
    proof: Annotated[bytes, Octets(0, 1 << 16)]
    """Encoded proof of the authenticated map."""


@dataclass(frozen=True, slots=True)
class TransactionBatch:
    """What the TRANSACTIONS topic carries: several in one message, since deliveries are dear."""

    transactions: Annotated[
        tuple[Annotated[bytes, Octets(1, TRANSACTION_BYTES_MAX)], ...],
        Many(GOSSIP_BYTES_MAX // 100),
    ]


@dataclass(frozen=True, slots=True)
class BlockNotice:
    """What the BLOCKS topic carries: a new height is final; who lacks the block asks its bearer."""

    header: Header
    seal: Seal


@dataclass(frozen=True, slots=True)
class ReceiptRequest:
    """The receipt of one settled lease."""

    KIND: ClassVar = 1
    task: TaskField
    round: RoundField
    shard: ShardField


@dataclass(frozen=True, slots=True)
class LinksRequest:
    """The links of a task's rounds that were settled after a receipts root."""

    KIND: ClassVar = 2
    task: TaskField
    after: DigestField


@dataclass(frozen=True, slots=True)
class MinerReceiptsRequest:
    """The settled leases of a miner, newest first, from below a height."""

    KIND: ClassVar = 3
    miner: AccountField
    below: HeightField
    count: Annotated[int, Uint(RECEIPTS_LISTED_MAX + 1)]


@dataclass(frozen=True, slots=True)
class ReceiptAtRequest:
    """A receipt of a settled round by its place among them: each proof says how many there are."""

    KIND: ClassVar = 4
    task: TaskField
    round: RoundField
    index: Annotated[int, Uint(1 << RECEIPT_SIBLINGS_MAX)]


@dataclass(frozen=True, slots=True)
class ReceiptsRequest:
    """What crosses the RECEIPTS stream."""

    wanted: ReceiptRequest | LinksRequest | MinerReceiptsRequest | ReceiptAtRequest


@dataclass(frozen=True, slots=True)
class ReceiptProof:
    """A receipt and what leads from it to the root of its task after its round."""

    receipt: Annotated[bytes, Octets(1, RECEIPT_BYTES_MAX)]
    index: Annotated[int, Uint(1 << RECEIPT_SIBLINGS_MAX)]
    """Of the receipt among those of its round."""
    count: Annotated[int, Uint((1 << RECEIPT_SIBLINGS_MAX) + 1)]
    siblings: Annotated[tuple[DigestField, ...], Many(RECEIPT_SIBLINGS_MAX)]
    """From the leaf upwards."""
    link: DigestField
    """Merkle root over the round's receipts."""
    previous: DigestField
    """The task's receipts root before the round."""


@dataclass(frozen=True, slots=True)
class ReceiptReply:
    """As far as one reply goes; the task's record says whether the links are complete."""

    task: QueryReply
    """The task's record under the newest sealed header."""
    found: ReceiptProof | None
    """None where only links were asked for."""
    links: Annotated[tuple[DigestField, ...], Many(RECEIPT_LINKS_MAX)]
    """Of the rounds settled afterwards, in order."""


@dataclass(frozen=True, slots=True)
class ReceiptPlace:
    """Where a receipt can be found."""

    height: HeightField
    task: TaskField
    round: RoundField
    shard: ShardField


@dataclass(frozen=True, slots=True)
class MinerReceiptsReply:
    """Names only: each receipt is proved by itself."""

    places: Annotated[tuple[ReceiptPlace, ...], Many(RECEIPTS_LISTED_MAX)]
    below: HeightField
    """Where to go on; zero when there is nothing below."""
