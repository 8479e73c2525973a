"""Liars for the cluster: each is a hand on what members of some seats send."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from potp2p.foundation.types import Digest, View
from potp2p.protocol.wire.consensus import (
    BlockPush,
    Commit,
    Prepare,
    PreparedClaim,
    Proposal,
    Propose,
    ProvenViewChange,
    SignedCommit,
    SignedPrepare,
    Status,
)
from potp2p.simulation.core.cluster import Cluster, Tamper
from potp2p.simulation.core.letters import SIGNED, BlockFacts, Letter
from potp2p.simulation.core.members import Member
from potp2p.simulation.core.messages import commit, prepare, view_change
from potp2p.simulation.core.stubs import TIMING

BRINK_MILLISECONDS = 150
VOTES = (SignedPrepare, SignedCommit)
Named = TypeVar("Named", Prepare, Commit, Propose)


def _is_liar(cluster: Cluster, member: Member) -> bool:
    return member.seat in cluster.faults.untrusted


def _signs(cluster: Cluster, sender: Member, letter: Letter) -> bool:
    """Tell whether a liar sends his own words; those of others he can pass on but not forge."""
    if not isinstance(letter, SIGNED):
        return False
    return _is_liar(cluster, sender) and letter.statement.signer == sender.seat


@dataclass
class Equivocator:
    """Proposes another block to every other validator and votes for whatever each was shown."""

    other: dict[Digest, Digest] = field(default_factory=dict[Digest, Digest])

    def __call__(
        self, cluster: Cluster, sender: Member, receiver: Member, letter: Letter
    ) -> Letter | None:
        """Tell odd seats another story."""
        if not _is_liar(cluster, sender) or receiver.seat % 2 == 0:
            return letter
        if isinstance(letter, BlockPush):
            return BlockPush(letter.height, self._twin(cluster, Digest(letter.block)))
        if not _signs(cluster, sender, letter):
            return letter
        if isinstance(letter, Proposal) and letter.certificate is None:
            return replace(letter, statement=self._lie(cluster, letter.statement))
        if isinstance(letter, SignedPrepare):
            return SignedPrepare(self._lie(cluster, letter.statement), letter.signature)
        if isinstance(letter, SignedCommit):
            return SignedCommit(self._lie(cluster, letter.statement), letter.signature)
        return letter

    def _lie(self, cluster: Cluster, statement: Named) -> Named:
        return replace(statement, block_hash=self._twin(cluster, statement.block_hash))

    def _twin(self, cluster: Cluster, block_hash: Digest) -> Digest:
        if block_hash not in self.other:
            name = Digest(bytes(byte ^ 0xFF for byte in block_hash))
            facts = cluster.record.blocks[block_hash]
            cluster.record.blocks[name] = BlockFacts(
                facts.height, facts.parent, facts.rank, facts.primary, facts.view
            )
            self.other[block_hash] = name
            for member in cluster.members:
                if not member.is_honest:
                    member.held.add(name)
        return self.other[block_hash]


def withholder(cluster: Cluster, sender: Member, receiver: Member, letter: Letter) -> Letter | None:
    """Propose without ever handing the block to more than one other validator."""
    if _is_liar(cluster, sender) and isinstance(letter, BlockPush) and receiver.seat != 1:
        return None
    return letter


def mute_primary(
    cluster: Cluster, sender: Member, receiver: Member, letter: Letter
) -> Letter | None:
    """Vote like the honest, but never propose."""
    if _signs(cluster, sender, letter) and isinstance(letter, Proposal):
        return None
    return letter


def view_racer(cluster: Cluster, sender: Member, receiver: Member, letter: Letter) -> Letter | None:
    """Turn every vote into a change to an absurd view."""
    if _signs(cluster, sender, letter) and isinstance(letter, VOTES):
        return view_change(
            sender.seat,
            1_000_000 + cluster.now,
            height=letter.statement.height,
            head=sender.head,
        )
    return letter


def false_claimer(
    cluster: Cluster, sender: Member, receiver: Member, letter: Letter
) -> Letter | None:
    """Claim, without certificate, to have prepared a block of one's own."""
    if not _signs(cluster, sender, letter) or not isinstance(letter, ProvenViewChange):
        return letter
    claim = PreparedClaim(View(letter.statement.view - 1), Digest(b"\x66" * 32))
    statement = replace(letter.statement, prepared=claim)
    return ProvenViewChange(statement, letter.signature, None)


def claim_hider(
    cluster: Cluster, sender: Member, receiver: Member, letter: Letter
) -> Letter | None:
    """Deny every certificate, in view changes and as primary."""
    if not _signs(cluster, sender, letter):
        return letter
    if isinstance(letter, ProvenViewChange):
        statement = replace(letter.statement, prepared=None)
        return ProvenViewChange(statement, letter.signature, None)
    if isinstance(letter, Proposal):
        return replace(letter, certificate=None)
    return letter


def double_voter(
    cluster: Cluster, sender: Member, receiver: Member, letter: Letter
) -> Letter | None:
    """Commit at once on whatever is proposed, and prepare what nobody proposed."""
    if not _signs(cluster, sender, letter) or not isinstance(letter, SignedPrepare):
        return letter
    statement = letter.statement
    if receiver.seat % 2:
        return commit(
            sender.seat, statement.block_hash, view=statement.view, height=statement.height
        )
    return prepare(sender.seat, Digest(b"\x77" * 32), view=statement.view, height=statement.height)


def status_liar(
    cluster: Cluster, sender: Member, receiver: Member, letter: Letter
) -> Letter | None:
    """Pretend to lack everything, always."""
    if _is_liar(cluster, sender) and isinstance(letter, Status):
        return Status(
            letter.height, View(0), has_proposal=False, prepares=b"", commits=b"", view_changes=b""
        )
    return letter


def brinkman(cluster: Cluster, sender: Member, receiver: Member, letter: Letter) -> Letter | None:
    """Propose just before the timers of the first view run out: prepared by some, by others not."""
    if not isinstance(letter, Proposal) or not _signs(cluster, sender, letter):
        return letter
    if letter.statement.view > 0:
        return letter
    due = sender.decided_at + TIMING.block_interval + TIMING.view_timeout
    wait = max(0, due - BRINK_MILLISECONDS - cluster.now)
    cluster.plan(wait, partial(cluster.arrive, sender, receiver, letter))
    return None


LIARS: dict[str, Callable[[], Tamper]] = {
    "equivocator": Equivocator,
    "withholder": lambda: withholder,
    "mute primary": lambda: mute_primary,
    "view racer": lambda: view_racer,
    "false claimer": lambda: false_claimer,
    "claim hider": lambda: claim_hider,
    "double voter": lambda: double_voter,
    "status liar": lambda: status_liar,
    "brinkman": lambda: brinkman,
}
