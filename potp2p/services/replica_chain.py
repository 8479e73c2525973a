"""The chain as the consensus service sees it: it chooses, executes and stores blocks."""

from collections.abc import Callable
from dataclasses import dataclass

import trio

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.types import Digest, Height, NodeId, ValidatorIndex, View
from potp2p.protocol.consensus.events import HeightStarted
from potp2p.protocol.wire.blocks import RANK_NONE, Block, Seal
from potp2p.services.authoring import AuthoringService
from potp2p.services.chain import ChainService
from potp2p.services.consensus_ports import BlockVerdict


@dataclass(slots=True)
class ReplicaChain:
    """Joins the chain and the authors' bodies for a validator's replica."""

    own: NodeId
    chain: ChainService
    authoring: AuthoringService
    say: Callable[[str, str], None]

    def seat(self) -> ValidatorIndex | None:
        """Return our seat at the next height, if we hold one."""
        nodes = self.chain.prospects.nodes
        return ValidatorIndex(nodes.index(self.own)) if self.own in nodes else None

    async def candidate(self, height: Height, view: View) -> Block:
        """Return our choice for a view that we lead."""
        seat = self.seat()
        assert seat is not None, "only a seat is asked for a block"
        return await self.authoring.candidate(height, view, seat)

    async def check(
        self, block: Block, _block_hash: Digest, *, first_proposal: bool
    ) -> BlockVerdict:
        """Execute a block on an overlay."""
        await trio.lowlevel.checkpoint()
        try:
            outcome = await self.chain.verify(block)
        except PeerError as error:
            if error.reason is RejectionReason.TOO_LATE:
                return BlockVerdict.BROKEN
            kind = "proposal" if first_proposal else "prepared block"
            self.say("chain", f"refused a {kind} at {block.header.body.height}: {error}")
            return BlockVerdict.BROKEN
        missing = [each for each in outcome.left_out if each in self.chain.overdue.refusing]
        if not missing or not first_proposal:
            return BlockVerdict.SOUND
        self.say("chain", f"block {block.header.body.height} leaves out {len(missing)} due")
        return BlockVerdict.WITHHOLDING

    async def decided(self, block: Block, seal: Seal) -> HeightStarted:
        """Store a final block durably and return the facts of the next height."""
        await self.chain.commit(block, seal)
        body, frame = block.header.body, block.header.frame
        author = "primary" if body.rank == RANK_NONE else f"rank {body.rank}"
        self.say(
            "chain",
            f"height {body.height}  view {seal.view}  primary {frame.primary}  by {author}  "
            f"votes {len(seal.signatures)}/{len(self.chain.head_validators)}  "
            f"{len(block.transactions)} tx",
        )
        return self.next_height()

    def next_height(self) -> HeightStarted:
        """Return the facts of the height after the stored head."""
        prospects, head = self.chain.prospects, self.chain.head
        return HeightStarted(
            height=prospects.height,
            epoch=prospects.epoch,
            head_hash=head.hash,
            validators=prospects.nodes,
            seat=self.seat(),
            primaries=prospects.primaries,
            head_seal=head.seal,
        )
