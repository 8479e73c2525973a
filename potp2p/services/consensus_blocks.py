"""Blocks of the height in work, of the next and of the one before: bounded, looked up by hash."""

from collections.abc import Collection
from dataclasses import dataclass, field

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.limits import UNASKED_BLOCKS_MAX
from potp2p.foundation.types import Digest, Height, NodeId
from potp2p.protocol.consensus.effects import CheckBlock
from potp2p.protocol.consensus.events import BlockChecked
from potp2p.protocol.ledger.validity import block_hash, seal_hash, transactions_root
from potp2p.protocol.wire.blocks import Block
from potp2p.protocol.wire.consensus import BlockPush
from potp2p.protocol.wire.schema import decode
from potp2p.services.consensus_ports import BlockVerdict


@dataclass(frozen=True, slots=True)
class ShelvedBlock:
    """A block whose hash stands for all of it."""

    block: Block
    block_hash: Digest
    encoded: bytes
    source: NodeId | None
    """Who brought it unasked; None for our own and for those asked for."""

    @property
    def height(self) -> Height:
        """Where the block wants to be."""
        return self.block.header.body.height

    def checked(self, check: CheckBlock, verdict: BlockVerdict) -> BlockChecked:
        """Return the replica's answer to a check, with what the header says."""
        frame = self.block.header.frame
        return BlockChecked(
            check.height,
            self.block_hash,
            check.first_proposal,
            verdict is not BlockVerdict.BROKEN,
            self.block.header.body.rank,
            frame.primary,
            frame.view,
            verdict is BlockVerdict.WITHHOLDING,
        )


def shelved(block: Block, encoded: bytes, source: NodeId | None) -> ShelvedBlock:
    """
    Raise unless the header's digests are those of the parts that travel with it.

    Else anyone could ruin a good proposal by pairing its header with other transactions.
    """
    body = block.header.body
    if body.transactions_root != transactions_root(block.transactions):
        raise PeerError(RejectionReason.BAD_BLOCK, "transactions of another block")
    if body.previous_seal_hash != seal_hash(block.previous_seal):
        raise PeerError(RejectionReason.BAD_BLOCK, "seal of another block")
    return ShelvedBlock(block, block_hash(block.header), encoded, source)


@dataclass(slots=True)
class BlockShelf:
    """What is held, and what is wanted."""

    held: dict[Digest, ShelvedBlock] = field(default_factory=dict[Digest, ShelvedBlock])
    wanted: set[Digest] = field(default_factory=set[Digest])

    def put(self, kept: ShelvedBlock) -> None:
        """Keep a block that is ours or already trusted."""
        self.held.setdefault(kept.block_hash, kept)
        self.wanted.discard(kept.block_hash)

    def restore(self, encoded: bytes) -> None:
        """Keep a block from our own journal."""
        kept = shelved(decode(Block, encoded), encoded, None)
        self.held[kept.block_hash] = kept

    def receive(self, source: NodeId, push: BlockPush, current: Height) -> ShelvedBlock | None:
        """Keep a block that is wanted or within its bearer's share; None if nothing is new."""
        if not current <= push.height <= current + 1:
            return None
        unasked = sum(each.source == source for each in self.held.values())
        if not self.wanted and unasked >= UNASKED_BLOCKS_MAX:
            return None
        kept = shelved(decode(Block, push.block), push.block, source)
        if kept.height != push.height:
            raise PeerError(RejectionReason.MALFORMED, "block of another height")
        if kept.block_hash in self.held:
            return None
        if kept.block_hash in self.wanted:
            self.wanted.discard(kept.block_hash)
            kept = ShelvedBlock(kept.block, kept.block_hash, kept.encoded, None)
        elif unasked >= UNASKED_BLOCKS_MAX:
            return None
        self.held[kept.block_hash] = kept
        return kept

    def keep_only(self, wanted: Collection[Digest]) -> None:
        """Let go of all other blocks: of a height that does not end, each view may bring one."""
        self.held = {key: kept for key, kept in self.held.items() if key in wanted}

    def turn(self, height: Height, last: Digest) -> None:
        """Begin a height: of those below, only the last final block is kept, for who missed it."""
        self.held = {
            key: kept for key, kept in self.held.items() if kept.height >= height or key == last
        }
        self.wanted.clear()
