"""Blocks without contents: how they are framed and judged, and what the chain learns from them."""

from dataclasses import dataclass, field
from hashlib import sha256

from potp2p.foundation.types import Digest, Rank, ValidatorIndex, View
from potp2p.protocol.consensus.effects import CheckBlock, RequestBlock
from potp2p.protocol.consensus.events import BlockChecked
from potp2p.protocol.wire.blocks import RANK_NONE, Seal
from potp2p.simulation.core.faults import Faults
from potp2p.simulation.core.letters import BlockFacts
from potp2p.simulation.core.members import Member
from potp2p.simulation.core.stubs import GENESIS_HEAD
from potp2p.simulation.core.turns import Turns

Outlook = tuple[tuple[int, ...], tuple[int, ...]]
"""Seats in the order of views; ranked authors, best first."""


@dataclass(slots=True)
class ChainRecord:
    """Every block of a run by hash, and the chain's turns after each decided one."""

    size: int
    faults: Faults
    blocks: dict[Digest, BlockFacts] = field(default_factory=dict[Digest, BlockFacts])
    turns: dict[Digest, Turns] = field(default_factory=dict[Digest, Turns])

    _outlooks: dict[Digest, Outlook] = field(default_factory=dict[Digest, Outlook])

    def __post_init__(self) -> None:
        self.turns[GENESIS_HEAD] = Turns.first(self.size)

    def outlook(self, height: int, head: Digest) -> Outlook:
        """Return who leads the views of a height and who may author it."""
        known = self._outlooks.get(head)
        if known is None:
            turns = self.turns[head]
            ranking = turns.ranking(height, head) if self.faults.authors else ()
            known = self._outlooks[head] = turns.order(height), ranking
        return known

    def frame(self, member: Member, request: RequestBlock) -> Digest:
        """Frame the best sound body that a primary holds, else an own one."""
        holds = self.holds(member)
        sound = [
            body for body in member.bodies.values() if body.valid and not (holds and body.lacks)
        ]
        if member.seat in self.faults.skippers:
            sound = []
        body = min(sound, key=lambda each: each.rank, default=None)
        rank = RANK_NONE if body is None else body.rank
        writer = (member.name,) if body is None else (body.author, body.variant)
        lacks = self.faults.forgetful and not holds if body is None else body.lacks
        facts = BlockFacts(
            request.height, member.head, rank, member.seat, request.view, lacks=lacks
        )
        block_hash = Digest(sha256(f"{facts} {writer}".encode()).digest())
        self.blocks[block_hash] = facts
        member.held.add(block_hash)
        return block_hash

    def execute(self, member: Member, check: CheckBlock) -> BlockChecked:
        """Return what executing a block on a member's chain comes to."""
        facts = self.blocks[check.block_hash]
        fits = facts.height == member.height and facts.parent == member.head
        return BlockChecked(
            check.height,
            check.block_hash,
            check.first_proposal,
            fits and facts.valid,
            Rank(facts.rank),
            ValidatorIndex(facts.primary),
            View(facts.view),
            facts.lacks and self.holds(member),
        )

    def holds(self, member: Member) -> bool:
        """
        Tell whether a member holds the overdue statement of its height: every other one does.

        Nothing ever brings it to the others: more than any network does to the honest.
        """
        if not self.faults.forgetful:
            return False
        return bool(sha256(member.head + bytes([member.name])).digest()[0] & 1)

    def extend(self, parent: Digest, seal: Seal) -> None:
        """Note the turns that were missed and the authors that were passed over before a block."""
        if seal.block_hash in self.turns or parent not in self.turns:
            return
        facts, before = self.blocks[seal.block_hash], self.turns[parent]
        _, ranking = self.outlook(seal.height, parent)
        better = ranking if facts.rank == RANK_NONE else ranking[: facts.rank]
        after = before.after(seal.height, facts.view, facts.primary, better)
        self.turns[seal.block_hash] = after
