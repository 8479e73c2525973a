"""One height of a committee in plain values: facts, stub signatures and ready-made messages."""

from potp2p.foundation.types import (
    Digest,
    Epoch,
    Height,
    NodeId,
    Signature,
    ValidatorIndex,
    View,
)
from potp2p.protocol.consensus.events import BlockChecked, HeightStarted
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
    SignedPrepare,
    SignedViewChange,
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


def checked(  # noqa: PLR0913  # one keyword for each thing a header may say
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


def quorum_of(size: int) -> int:
    """Return the quorum of a committee of this size."""
    return Committee(size).quorum


def _signatures(signers: tuple[int, ...]) -> tuple[CommitSignature, ...]:
    return tuple(
        CommitSignature(ValidatorIndex(signer), stub_signature(signer)) for signer in signers
    )
