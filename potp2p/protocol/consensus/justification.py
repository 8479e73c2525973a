"""Does a message prove what it claims? Predicates; signatures are checked elsewhere."""

from typing import assert_never

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.types import ValidatorIndex
from potp2p.protocol.consensus.events import HeightStarted
from potp2p.protocol.consensus.quorum import Committee
from potp2p.protocol.wire.consensus import (
    PreparedCertificate,
    PreparedClaim,
    Proposal,
    ProvenViewChange,
    SignedCommit,
    SignedMessage,
    SignedPrepare,
    SignedViewChange,
    Statement,
    ViewChange,
)


def verify_message(facts: HeightStarted, message: SignedMessage) -> None:
    """Raise PeerError unless a message of this height is complete and consistent."""
    _verify_place(facts, message.statement)
    match message:  # Votes first: most messages are.
        case SignedPrepare() | SignedCommit():
            return
        case ProvenViewChange(statement, _, certificate):
            _verify_view_change(facts, statement)
            _verify_claim(facts, statement.prepared, certificate)
        case Proposal():
            _verify_proposal(facts, message)
        case _:
            assert_never(message)


def highest_claim(view_changes: tuple[SignedViewChange, ...]) -> PreparedClaim | None:
    """Return the claim of the highest view in a set of view changes."""
    claims = [
        each.statement.prepared for each in view_changes if each.statement.prepared is not None
    ]
    return max(claims, key=lambda claim: claim.view, default=None)


def _verify_place(facts: HeightStarted, statement: Statement) -> None:
    if statement.epoch != facts.epoch or statement.height != facts.height:
        raise PeerError(RejectionReason.BAD_JUSTIFICATION, "another epoch or height")
    if statement.signer >= len(facts.validators):
        raise PeerError(RejectionReason.WRONG_SENDER, f"no seat {statement.signer}")


def _verify_view_change(facts: HeightStarted, statement: ViewChange) -> None:
    _verify_place(facts, statement)
    if statement.view == 0:
        raise PeerError(RejectionReason.BAD_JUSTIFICATION, "view change to view 0")
    if statement.head_hash != facts.head_hash:
        raise PeerError(RejectionReason.BAD_JUSTIFICATION, "view change on another parent")
    if statement.prepared is not None and statement.prepared.view >= statement.view:
        raise PeerError(RejectionReason.BAD_JUSTIFICATION, "prepared in a view not yet entered")


def _verify_claim(
    facts: HeightStarted, claim: PreparedClaim | None, certificate: PreparedCertificate | None
) -> None:
    if claim is None and certificate is None:
        return
    if claim is None or certificate is None:
        raise PeerError(RejectionReason.BAD_JUSTIFICATION, "claim and certificate go together")
    if (certificate.epoch, certificate.height) != (facts.epoch, facts.height):
        raise PeerError(RejectionReason.BAD_JUSTIFICATION, "certificate of another place")
    if (certificate.view, certificate.block_hash) != (claim.view, claim.block_hash):
        raise PeerError(RejectionReason.BAD_JUSTIFICATION, "certificate of another claim")
    _verify_signers(facts, [each.signer for each in certificate.signatures])


def _verify_proposal(facts: HeightStarted, proposal: Proposal) -> None:
    statement = proposal.statement
    if statement.signer != facts.primary(statement.view):
        raise PeerError(RejectionReason.NOT_PRIMARY, f"view {statement.view}")
    if statement.view == 0:
        if proposal.view_changes or proposal.certificate is not None:
            raise PeerError(RejectionReason.BAD_JUSTIFICATION, "view 0 needs no proof")
        return
    for each in proposal.view_changes:
        _verify_view_change(facts, each.statement)
        if each.statement.view != statement.view:
            raise PeerError(RejectionReason.BAD_JUSTIFICATION, "view change to another view")
    _verify_signers(facts, [each.statement.signer for each in proposal.view_changes])
    claim = highest_claim(proposal.view_changes)
    _verify_claim(facts, claim, proposal.certificate)
    if claim is None:
        return
    # A lower claim may lie, for only the highest is proved; one as high must be the same.
    for each in proposal.view_changes:
        prepared = each.statement.prepared
        if prepared is not None and prepared.view == claim.view and prepared != claim:
            raise PeerError(RejectionReason.BAD_JUSTIFICATION, "two claims of one view")
    if statement.block_hash != claim.block_hash:
        raise PeerError(RejectionReason.BAD_JUSTIFICATION, "prepared block was dropped")


def _verify_signers(facts: HeightStarted, signers: list[ValidatorIndex]) -> None:
    """Count distinct seats, recomputed from the signatures themselves."""
    if signers != sorted(set(signers)) or (signers and signers[-1] >= len(facts.validators)):
        raise PeerError(RejectionReason.BAD_JUSTIFICATION, "signers of a proof")
    if len(signers) < Committee(len(facts.validators)).quorum:
        raise PeerError(RejectionReason.BAD_JUSTIFICATION, f"proof by {len(signers)}")
