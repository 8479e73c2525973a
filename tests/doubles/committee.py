"""One height of a committee in plain values: facts, stub signatures and ready-made messages."""

from dataclasses import dataclass, field

from potp2p.foundation.types import (
    Digest,
    Epoch,
    Height,
    NodeId,
    Signature,
    ValidatorIndex,
    View,
)
from potp2p.protocol.consensus.effects import Cast, Decide, Effect
from potp2p.protocol.consensus.events import (
    BlockChecked,
    Event,
    HeightStarted,
    MessageReceived,
    Timer,
    TimerFired,
)
from potp2p.protocol.consensus.height import HeightState
from potp2p.protocol.consensus.machine import Replica
from potp2p.protocol.consensus.quorum import Committee
from potp2p.protocol.consensus.view_change import Timing
from potp2p.protocol.wire.blocks import RANK_NONE, CommitSignature, Seal
from potp2p.protocol.wire.consensus import (
    Commit,
    Prepare,
    PreparedCertificate,
    PreparedClaim,
    Proposal,
    Propose,
    ProvenViewChange,
    SignedCommit,
    SignedMessage,
    SignedPrepare,
    SignedViewChange,
    Statement,
    ViewChange,
)

TIMING = Timing(block_interval=500, view_timeout=3_000, view_step=2_000, view_cap=30_000)
EPOCH = Epoch(0)
HEIGHT = Height(1)
HEAD = Digest(bytes(32))
APPLE, PEAR = Digest(b"a" * 32), Digest(b"p" * 32)


def stub_signature(signer: int) -> Signature:
    """Stand for a signature of a seat; the machine never looks inside."""
    return Signature(bytes([signer]) * 64)


def start(
    size: int,
    seat: int | None,
    *,
    height: int = HEIGHT,
    head: Digest = HEAD,
    head_seal: Seal | None = None,
    primaries: tuple[int, ...] | None = None,
) -> HeightStarted:
    """Return the facts of a height whose view v is led by seat v, or by the order given."""
    order = tuple(range(size)) if primaries is None else primaries
    return HeightStarted(
        Height(height),
        EPOCH,
        head,
        tuple(NodeId(bytes([2, *bytes(31), index])) for index in range(size)),
        None if seat is None else ValidatorIndex(seat),
        tuple(ValidatorIndex(index) for index in order),
        head_seal,
    )


def propose(
    signer: int,
    block_hash: Digest,
    *,
    view: int = 0,
    height: int = HEIGHT,
    view_changes: tuple[ProvenViewChange, ...] = (),
    certificate: PreparedCertificate | None = None,
) -> Proposal:
    """Return a proposal with its justification."""
    statement = Propose(EPOCH, Height(height), View(view), ValidatorIndex(signer), block_hash)
    shown = tuple(SignedViewChange(each.statement, each.signature) for each in view_changes)
    return Proposal(statement, stub_signature(signer), shown, certificate)


def prepare(
    signer: int, block_hash: Digest, *, view: int = 0, height: int = HEIGHT
) -> SignedPrepare:
    """Return a prepare."""
    statement = Prepare(EPOCH, Height(height), View(view), ValidatorIndex(signer), block_hash)
    return SignedPrepare(statement, stub_signature(signer))


def commit(signer: int, block_hash: Digest, *, view: int = 0, height: int = HEIGHT) -> SignedCommit:
    """Return a commit."""
    statement = Commit(EPOCH, Height(height), View(view), ValidatorIndex(signer), block_hash)
    return SignedCommit(statement, stub_signature(signer))


def view_change(
    signer: int,
    view: int,
    *,
    certificate: PreparedCertificate | None = None,
    height: int = HEIGHT,
    head: Digest = HEAD,
) -> ProvenViewChange:
    """Return a view change that claims what its certificate proves."""
    claim = None if certificate is None else PreparedClaim(certificate.view, certificate.block_hash)
    statement = ViewChange(EPOCH, Height(height), View(view), ValidatorIndex(signer), head, claim)
    return ProvenViewChange(statement, stub_signature(signer), certificate)


def certificate(
    block_hash: Digest, signers: tuple[int, ...], *, view: int = 0, height: int = HEIGHT
) -> PreparedCertificate:
    """Return a quorum of prepares, or something that only looks like one."""
    return PreparedCertificate(EPOCH, Height(height), View(view), block_hash, _signatures(signers))


def seal(
    block_hash: Digest, signers: tuple[int, ...], *, view: int = 0, height: int = HEIGHT
) -> Seal:
    """Return a quorum of commits."""
    return Seal(EPOCH, Height(height), View(view), block_hash, _signatures(signers))


def checked(
    block_hash: Digest,
    *,
    valid: bool = True,
    rank: int = RANK_NONE,
    primary: int = 0,
    first_view: int = 0,
    first_proposal: bool = True,
    height: int = HEIGHT,
) -> BlockChecked:
    """Return the answer to CheckBlock for a block framed by the primary of a view."""
    return BlockChecked(
        Height(height),
        block_hash,
        first_proposal,
        valid,
        RANK_NONE if rank == RANK_NONE else type(RANK_NONE)(rank),
        ValidatorIndex(primary),
        View(first_view),
    )


@dataclass
class Bench:
    """One replica under test, whose own statements come back signed at once."""

    facts: HeightStarted
    replica: Replica = field(default_factory=lambda: Replica(TIMING))

    def __post_init__(self) -> None:
        self.started = self.step(self.facts)

    def step(self, event: Event) -> list[Effect]:
        """Return every effect of an event and of the own statements that it leads to."""
        effects: list[Effect] = []
        for effect in self.replica.step(event):
            effects.append(effect)
            if isinstance(effect, Cast):
                seat = effect.statement.signer
                signed = effect.signed(stub_signature(seat))
                effects += self.step(MessageReceived(signed))
        return effects

    def hear(self, *messages: SignedMessage) -> list[Effect]:
        """Return the effects of messages of others."""
        return [effect for message in messages for effect in self.step(MessageReceived(message))]

    def time_out(self) -> list[Effect]:
        """Let the view timer run out if it runs."""
        at = self.at
        if at.timer_view is None:
            return []
        return self.step(TimerFired(Timer.VIEW, at.facts.height, at.timer_view))

    def tick(self, timer: Timer) -> list[Effect]:
        """Let another timer run out."""
        return self.step(TimerFired(timer, self.at.facts.height, self.at.view))

    @property
    def at(self) -> HeightState:
        """Return the replica's own bookkeeping."""
        assert self.replica.at is not None
        return self.replica.at


def cast_of(effects: list[Effect]) -> list[Statement]:
    """Return what a replica wants to sign."""
    return [effect.statement for effect in effects if isinstance(effect, Cast)]


def decided_in(effects: list[Effect]) -> list[Seal]:
    """Return the decisions among effects."""
    return [effect.seal for effect in effects if isinstance(effect, Decide)]


def quorum_of(size: int) -> int:
    """Return the quorum of a committee of this size."""
    return Committee(size).quorum


def _signatures(signers: tuple[int, ...]) -> tuple[CommitSignature, ...]:
    return tuple(
        CommitSignature(ValidatorIndex(signer), stub_signature(signer)) for signer in signers
    )
