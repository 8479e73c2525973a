"""What members of a simulated committee send each other: consensus frames, bodies, catch-up."""

from dataclasses import dataclass
from typing import ClassVar

from potp2p.foundation.types import Digest
from potp2p.protocol.wire.blocks import Seal
from potp2p.protocol.wire.consensus import (
    BlockPush,
    BlockRequest,
    BlockSketch,
    ConsensusFrame,
    Proposal,
    ProvenViewChange,
    SealNotice,
    SignedCommit,
    SignedPrepare,
    Status,
    TransactionsReply,
    TransactionsRequest,
)

SIGNED = (SignedPrepare, SignedCommit, ProvenViewChange, Proposal)


@dataclass(frozen=True, slots=True)
class Body:
    """What a ranked author hands to the validators."""

    KIND: ClassVar = 9
    height: int
    parent: Digest
    rank: int
    author: int
    variant: int
    """An author that signs two bodies of a height numbers them."""
    valid: bool
    """False: well formed and truly signed, but executing it shows another state root."""
    lacks: bool = False
    """It leaves an overdue statement out."""


@dataclass(frozen=True, slots=True)
class BlockFacts:
    """What executing a block would tell."""

    height: int
    parent: Digest
    rank: int
    primary: int
    view: int
    valid: bool = True
    lacks: bool = False


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """Asks for final blocks from a height on."""

    KIND: ClassVar = 10
    height: int


@dataclass(frozen=True, slots=True)
class SyncReply:
    """Final blocks in order."""

    KIND: ClassVar = 11
    blocks: tuple[Seal, ...]


Unsigned = (
    Status
    | SealNotice
    | BlockRequest
    | BlockPush
    | BlockSketch
    | TransactionsRequest
    | TransactionsReply
    | Body
    | SyncRequest
    | SyncReply
)
Letter = ConsensusFrame | Body | SyncRequest | SyncReply
