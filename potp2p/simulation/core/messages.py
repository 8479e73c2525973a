"""Ready-made messages with stub signatures: true, false and half-true."""

from potp2p.foundation.types import Digest, Height, Rank, ValidatorIndex, View
from potp2p.protocol.consensus.events import BlockChecked
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
from potp2p.simulation.core.stubs import EPOCH, FIRST_HEIGHT, GENESIS_HEAD, stub_signature


def propose(  # noqa: PLR0913  # what a proposal is made of
    signer: int,
    block_hash: Digest,
    *,
    view: int = 0,
    height: int = FIRST_HEIGHT,
    view_changes: tuple[ProvenViewChange, ...] = (),
    certificate: PreparedCertificate | None = None,
) -> Proposal:
    """Return a proposal with its justification."""
    statement = Propose(EPOCH, Height(height), View(view), ValidatorIndex(signer), block_hash)
    shown = tuple(SignedViewChange(each.statement, each.signature) for each in view_changes)
    return Proposal(statement, stub_signature(signer), shown, certificate)


def prepare(
    signer: int, block_hash: Digest, *, view: int = 0, height: int = FIRST_HEIGHT
) -> SignedPrepare:
    """Return a prepare."""
    statement = Prepare(EPOCH, Height(height), View(view), ValidatorIndex(signer), block_hash)
    return SignedPrepare(statement, stub_signature(signer))


def commit(
    signer: int, block_hash: Digest, *, view: int = 0, height: int = FIRST_HEIGHT
) -> SignedCommit:
    """Return a commit."""
    statement = Commit(EPOCH, Height(height), View(view), ValidatorIndex(signer), block_hash)
    return SignedCommit(statement, stub_signature(signer))


def view_change(
    signer: int,
    view: int,
    *,
    certificate: PreparedCertificate | None = None,
    height: int = FIRST_HEIGHT,
    head: Digest = GENESIS_HEAD,
) -> ProvenViewChange:
    """Return a view change that claims what its certificate proves."""
    claim = None if certificate is None else PreparedClaim(certificate.view, certificate.block_hash)
    statement = ViewChange(EPOCH, Height(height), View(view), ValidatorIndex(signer), head, claim)
    return ProvenViewChange(statement, stub_signature(signer), certificate)


def certificate(
    block_hash: Digest, signers: tuple[int, ...], *, view: int = 0, height: int = FIRST_HEIGHT
) -> PreparedCertificate:
    """Return a quorum of prepares, or something that only looks like one."""
    return PreparedCertificate(EPOCH, Height(height), View(view), block_hash, _signatures(signers))


def seal(
    block_hash: Digest, signers: tuple[int, ...], *, view: int = 0, height: int = FIRST_HEIGHT
) -> Seal:
    """Return a quorum of commits."""
    return Seal(EPOCH, Height(height), View(view), block_hash, _signatures(signers))


def checked(  # noqa: PLR0913  # what a header says
    block_hash: Digest,
    *,
    valid: bool = True,
    rank: int = RANK_NONE,
    primary: int = 0,
    first_view: int = 0,
    first_proposal: bool = True,
    height: int = FIRST_HEIGHT,
    withholds: bool = False,
) -> BlockChecked:
    """Return the answer to CheckBlock for a block framed by the primary of a view."""
    return BlockChecked(
        Height(height),
        block_hash,
        first_proposal,
        valid,
        Rank(rank),
        ValidatorIndex(primary),
        View(first_view),
        withholds,
    )


def _signatures(signers: tuple[int, ...]) -> tuple[CommitSignature, ...]:
    return tuple(
        CommitSignature(ValidatorIndex(signer), stub_signature(signer)) for signer in signers
    )
