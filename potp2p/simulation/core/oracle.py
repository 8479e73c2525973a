"""
What must never happen in a committee, judged without a line of the core's own arithmetic.

It sees every statement that a process signs, every letter that leaves, every decision and every
replica's tables, and recounts quorums as sets of seats. Honest is a process that runs one instance
of the machine under its key; what seats with twins or liars sign is nobody's fault.
"""

from dataclasses import dataclass, field

from potp2p.foundation.types import Digest
from potp2p.protocol.wire.blocks import CommitSignature, Seal
from potp2p.protocol.wire.consensus import (
    Commit,
    Prepare,
    PreparedCertificate,
    Proposal,
    ProvenViewChange,
    SignedMessage,
    Statement,
)
from potp2p.simulation.core.letters import BlockFacts
from potp2p.simulation.core.members import PHASES, Member
from potp2p.simulation.core.stubs import EPOCH

Place = tuple[int, int, int, int]
"""Seat, height, view, phase."""
VIEWS_OF_A_SIGNER_MAX = 4
"""Votes of one signer and phase that a replica may keep."""


@dataclass(slots=True)
class Oracle:
    """Remembers everything that the honest said and everything that anyone decided."""

    size: int
    violations: list[str] = field(default_factory=list[str])
    decided: dict[int, Digest] = field(default_factory=dict[int, Digest])
    views: list[int] = field(default_factory=list[int])
    """View of the seal of each height, at the first who decided it."""
    honest: frozenset[int] = frozenset()
    """Seats."""
    _said: dict[Place, Statement] = field(default_factory=dict[Place, Statement])
    """What left the honest."""
    _latest: dict[int, tuple[int, int, int]] = field(
        default_factory=dict[int, tuple[int, int, int]]
    )
    """Highest place in which each honest seat spoke."""
    _signed: set[tuple[type, int, int, int, Digest]] = field(
        default_factory=set[tuple[type, int, int, int, Digest]]
    )
    """Votes that the honest signed: kind, seat, height, view, block."""
    _grown: dict[int, int] = field(default_factory=dict[int, int])
    """Length of every member's chain."""

    def accuse(self, what: str) -> None:
        """Note a violation."""
        self.violations.append(what)

    def note_signed(self, member: Member, statement: Statement) -> None:
        """Remember a signature of an honest seat."""
        if member.is_honest and isinstance(statement, (Prepare, Commit)):
            self._signed.add(_vote(type(statement), statement.signer, statement))

    def note_said(self, sender: Member, message: SignedMessage) -> None:
        """Compare what leaves an honest seat with all that it ever said, across restarts."""
        statement = message.statement
        if statement.signer != sender.seat or not sender.is_honest:
            return
        spot = (statement.height, statement.view, PHASES[type(statement)])
        known = self._said.get((sender.seat, *spot))
        if known is statement:
            return
        if known is None:
            self._said[sender.seat, *spot] = statement
            if spot <= self._latest.get(sender.seat, (0, 0, -1)):
                self.accuse(f"honest seat {sender.seat} spoke in {spot} after it had gone on")
            self._latest[sender.seat] = max(spot, self._latest.get(sender.seat, spot))
            self._inspect_proof(sender, message)
        elif known != statement:
            self.accuse(f"honest seat {sender.seat} said two things in {spot}")

    def note_decided(self, member: Member, seal: Seal, facts: BlockFacts) -> None:
        """Recount a seal and compare a decision with those of the others."""
        if not member.is_honest:
            return
        self._inspect_quorum(Commit, seal, f"seal of {seal.height}")
        self._inspect_memory(member)
        if (facts.height, facts.parent) != (member.height, member.head):
            self.accuse(f"block of {facts.height} decided at {member.height}")
        if not facts.valid:
            self.accuse(f"broken block decided at {facts.height}")
        if self.decided.setdefault(seal.height, seal.block_hash) != seal.block_hash:
            self.accuse(f"two blocks at height {seal.height}")
        elif seal.height > len(self.views):
            self.views.append(seal.view)
        if seal.height != self._grown.get(member.name, 0) + 1:
            self.accuse(f"member {member.name} decided {seal.height} out of turn")
        self._grown[member.name] = seal.height

    def _inspect_proof(self, sender: Member, message: SignedMessage) -> None:
        """Recount the certificates that an honest member shows."""
        if isinstance(message, (ProvenViewChange, Proposal)) and message.certificate is not None:
            self._inspect_quorum(Prepare, message.certificate, f"proof by seat {sender.seat}")
        if isinstance(message, Proposal) and message.statement.view > 0:
            shown: set[int] = {each.statement.signer for each in message.view_changes}
            if not self._is_quorum(shown):
                self.accuse(f"seat {sender.seat} led on the word of {sorted(shown)}")

    def _inspect_quorum(self, kind: type, proof: Seal | PreparedCertificate, name: str) -> None:
        signers: set[int] = {each.signer for each in proof.signatures}
        if not self._is_quorum(signers) or len(signers) != len(proof.signatures):
            self.accuse(f"{name} by {sorted(signers)}")
        if proof.epoch != EPOCH:
            self.accuse(f"{name} in epoch {proof.epoch}")
        unsigned = [each.signer for each in proof.signatures if self._is_forged(kind, proof, each)]
        if unsigned:
            self.accuse(f"{name} without a signature of {unsigned}")

    def _is_quorum(self, signers: set[int]) -> bool:
        """More than two thirds of the seats, all of them real."""
        # A seat is a number from 0 on, so all are real if the highest is.
        return 3 * len(signers) > 2 * self.size and max(signers) < self.size

    def _is_forged(
        self, kind: type, proof: Seal | PreparedCertificate, signature: CommitSignature
    ) -> bool:
        signer = signature.signer
        if signer not in self.honest:
            return False
        return (kind, signer, proof.height, proof.view, proof.block_hash) not in self._signed

    def _inspect_memory(self, member: Member) -> None:
        """Recount the tables of a replica, whatever the others sent it."""
        at = member.replica.at
        assert at is not None
        bound = VIEWS_OF_A_SIGNER_MAX * self.size
        prepares, commits = at.prepares.by_view.values(), at.commits.by_view.values()
        for table, size, most in (
            ("prepares", sum(map(len, prepares)), bound),
            ("commits", sum(map(len, commits)), bound),
            ("view changes", len(at.view_changes.by_signer), self.size),
            ("accused", len(at.accused), self.size),
            ("checked", len(at.checked), 2 * (at.view + 1)),
        ):
            if size > most:
                self.accuse(f"member {member.name} keeps {size} in {table}")


def _vote(kind: type, seat: int, vote: Prepare | Commit) -> tuple[type, int, int, int, Digest]:
    return kind, seat, vote.height, vote.view, vote.block_hash
