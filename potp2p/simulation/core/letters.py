"""What members of a simulated committee send each other: consensus frames and catch-up."""

from dataclasses import dataclass

from potp2p.foundation.types import Digest
from potp2p.protocol.wire.blocks import Seal
from potp2p.protocol.wire.consensus import ConsensusFrame


@dataclass(frozen=True, slots=True)
class BlockFacts:
    """What executing a block would tell."""

    height: int
    parent: Digest
    rank: int
    primary: int
    view: int


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """Asks for final blocks from a height on."""

    height: int


@dataclass(frozen=True, slots=True)
class SyncReply:
    """Final blocks in order."""

    blocks: tuple[Seal, ...]


Letter = ConsensusFrame | SyncRequest | SyncReply
