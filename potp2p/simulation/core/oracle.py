"""What must never happen in a committee, judged without a line of the core's own arithmetic."""

from dataclasses import dataclass, field

from potp2p.foundation.types import Digest
from potp2p.protocol.wire.blocks import Seal
from potp2p.protocol.wire.consensus import SignedMessage, Statement
from potp2p.simulation.core.letters import BlockFacts
from potp2p.simulation.core.members import Member
from potp2p.simulation.core.stubs import EPOCH


@dataclass(slots=True)
class Oracle:
    """Remembers everything that left the honest and everything that anyone decided."""

    size: int
    violations: list[str] = field(default_factory=list[str])
    decided: dict[int, Digest] = field(default_factory=dict[int, Digest])
    views: list[int] = field(default_factory=list[int])
    """View of the seal of each height, at the first who decided it."""
    _said: dict[tuple[int, int, int, type], Statement] = field(
        default_factory=dict[tuple[int, int, int, type], Statement]
    )

    def note_said(self, sender: Member, message: SignedMessage) -> None:
        """Compare what an honest seat says with all that it ever said in the same place."""
        statement = message.statement
        if statement.signer != sender.seat or not sender.is_honest:
            return
        place = (statement.signer, statement.height, statement.view, type(statement))
        if self._said.setdefault(place, statement) != statement:
            self.violations.append(f"honest seat {sender.seat} said two things at {place}")

    def note_decided(self, member: Member, seal: Seal, facts: BlockFacts) -> None:
        """Recount a seal and compare a decision with those of the others."""
        signers = {each.signer for each in seal.signatures}
        if 3 * len(signers) <= 2 * self.size or not signers <= set(range(self.size)):
            self.violations.append(f"seal of {seal.height} by {sorted(signers)}")
        if seal.epoch != EPOCH:
            self.violations.append(f"seal of {seal.height} in epoch {seal.epoch}")
        if member.is_honest and (facts.height, facts.parent) != (member.height, member.head):
            self.violations.append(f"block of {facts.height} decided at {member.height}")
        if not member.is_honest:
            return
        if seal.height not in self.decided:
            self.decided[seal.height] = seal.block_hash
            self.views.append(seal.view)
        if self.decided[seal.height] != seal.block_hash:
            self.violations.append(f"two blocks at height {seal.height}")
