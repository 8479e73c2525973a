"""What leaves for other validators: frames, our own blocks ahead of proposals, and pulls."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from potp2p.foundation.types import Digest, NodeId
from potp2p.network.ports import StreamProtocol, Streams
from potp2p.protocol.consensus.effects import FetchBlock
from potp2p.protocol.wire.consensus import (
    BlockRequest,
    ConsensusFrame,
    Proposal,
    encode_frame,
)
from potp2p.services.consensus_blocks import BlockShelf, ShelvedBlock
from potp2p.services.consensus_sketches import ahead_of_proposal

ASKED_AT_ONCE = 2
"""Peers asked for a missing block in one go; the next tick asks others."""


@dataclass(slots=True)
class Voice:
    """Posts without waiting: a peer that does not listen costs nobody else anything."""

    node: NodeId
    streams: Streams
    shelf: BlockShelf
    unpushed: set[Digest] = field(default_factory=set[Digest])
    """Own choices that the others have not been sent."""
    _turn: int = 0

    def send(self, peer: NodeId, frame: ConsensusFrame) -> None:
        """Post a frame to one validator."""
        self.streams.post(peer, StreamProtocol.CONSENSUS, encode_frame(frame))

    def broadcast(self, validators: Sequence[NodeId], frame: ConsensusFrame) -> ShelvedBlock | None:
        """
        Post a frame to all others; the first time, an own block goes ahead of its proposal.

        Returns the block that went.
        """
        ahead: ShelvedBlock | None = None
        if isinstance(frame, Proposal) and frame.statement.block_hash in self.unpushed:
            ahead = self.shelf.held[frame.statement.block_hash]
            self.unpushed.discard(ahead.block_hash)
            self.broadcast(validators, ahead_of_proposal(ahead))
        encoded = encode_frame(frame)
        for peer in validators:
            if peer != self.node:
                self.streams.post(peer, StreamProtocol.CONSENSUS, encoded)
        return ahead

    def fetch(self, validators: Sequence[NodeId], fetch: FetchBlock) -> None:
        """Ask some of those who should have a block, others the next time."""
        if fetch.block_hash in self.shelf.held:
            return
        self.shelf.wanted.add(fetch.block_hash)
        hints = fetch.hints
        for ahead in range(min(ASKED_AT_ONCE, len(hints))):
            seat = hints[(self._turn + ahead) % len(hints)]
            self.send(validators[seat], BlockRequest(fetch.height, fetch.block_hash))
        self._turn += 1
