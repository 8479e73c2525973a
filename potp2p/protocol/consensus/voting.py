"""From a proposal to a decision: executing, preparing, committing, deciding."""

from potp2p.foundation.limits import REBROADCAST_MILLISECONDS, REFUSAL_VIEW_MAX
from potp2p.protocol.consensus.effects import (
    Accuse,
    CancelTimer,
    Cast,
    CheckBlock,
    Decide,
    Effect,
    FetchBlock,
    SetTimer,
)
from potp2p.protocol.consensus.events import BlockChecked, Timer
from potp2p.protocol.consensus.height import HeightState
from potp2p.protocol.wire.blocks import Seal
from potp2p.protocol.wire.consensus import (
    Commit,
    Prepare,
    PreparedCertificate,
    Proposal,
    SignedCommit,
)


def consider(at: HeightState) -> list[Effect]:
    """Have the proposal of this view executed, or judge it if it was."""
    if at.proposal is None:
        return []
    if at.verdict is not None:
        return [*_prepare(at), *try_commit(at)]
    block_hash, free = at.proposal.statement.block_hash, at.proposal.certificate is None
    return [
        CheckBlock(at.facts.height, at.view, block_hash, first_proposal=free),
        fetch_proposed(at, at.proposal),
    ]


def on_checked(at: HeightState, checked: BlockChecked) -> list[Effect]:
    """Take note of an execution; judge the proposal if it waited for this."""
    key = (checked.block_hash, checked.first_proposal)
    if checked.height != at.facts.height or at.decided is not None or key in at.checked:
        return []
    had_verdict = at.verdict is not None
    at.checked[key] = checked
    if had_verdict or at.verdict is None:
        return []
    return consider(at)


def fetch_proposed(at: HeightState, proposal: Proposal) -> FetchBlock:
    """Return whom to ask for a proposed block: its primary, and who voted for it."""
    hints = [proposal.statement.signer]
    if proposal.certificate is not None:
        hints += [each.signer for each in proposal.certificate.signatures]
    hints += at.prepares.voters(at.view, proposal.statement.block_hash)
    others = tuple(hint for hint in dict.fromkeys(hints) if hint != at.facts.seat)
    return FetchBlock(at.facts.height, proposal.statement.block_hash, others)


def is_acceptable(at: HeightState) -> bool:
    """Tell whether the proposal's block is valid and framed by its first primary."""
    verdict = at.verdict
    if at.proposal is None or verdict is None or not verdict.valid:
        return False
    framed_by, framed_in = verdict.primary, verdict.first_view
    if at.proposal.certificate is None:
        return framed_in == at.view and framed_by == at.proposal.statement.signer
    return framed_in <= at.proposal.certificate.view and framed_by == at.facts.primary(framed_in)


def is_refused(at: HeightState) -> bool:
    """
    Tell whether a better body was heard in time, or this one leaves out what it should not.

    Only early and never against a certificate: no refusal can keep a height from its end.
    """
    if at.proposal is None or at.verdict is None:
        return False
    if at.view > REFUSAL_VIEW_MAX or at.proposal.certificate is not None:
        return False
    is_worse = at.better_rank is not None and at.verdict.rank > at.better_rank
    return is_worse or at.verdict.withholds


def _prepare(at: HeightState) -> list[Effect]:
    if at.proposal is None or not is_acceptable(at) or is_refused(at) or at.has_cast(Prepare):
        return []
    return _cast_vote(at, Prepare, at.proposal)


def try_commit(at: HeightState) -> list[Effect]:
    """
    Commit on a quorum of prepares for the acceptable proposal of this view.

    Our own prepare need not be among them: a refusal ends where a quorum has prepared.
    """
    if at.proposal is None or at.prepares.count(at.view) < at.quorum:
        return []
    if not is_acceptable(at) or at.has_cast(Commit):
        return []
    block_hash, quorum = at.proposal.statement.block_hash, at.quorum
    signatures = at.prepares.signatures(at.view, block_hash)
    if len(signatures) < quorum:
        return []
    at.prepared = PreparedCertificate(
        at.facts.epoch, at.facts.height, at.view, block_hash, signatures[:quorum]
    )
    return _cast_vote(at, Commit, at.proposal)


def _cast_vote(at: HeightState, kind: type[Prepare | Commit], proposal: Proposal) -> list[Effect]:
    seat = at.facts.seat
    if seat is None:
        return []
    block_hash = proposal.statement.block_hash
    return [at.cast(Cast(kind(at.facts.epoch, at.facts.height, at.view, seat, block_hash)))]


def tally(at: HeightState, vote: SignedCommit) -> list[Effect]:
    """Decide on a quorum of commits for one block in one view, whichever view it is."""
    view, block_hash = vote.statement.view, vote.statement.block_hash
    if at.commits.count(view) < at.quorum:
        return []
    signatures = at.commits.signatures(view, block_hash)
    if len(signatures) < at.quorum:
        return []
    return decide(at, Seal(at.facts.epoch, at.facts.height, view, block_hash, signatures))


def decide(at: HeightState, seal: Seal) -> list[Effect]:
    """End the height; only the block itself may still be missing."""
    if (seal.epoch, seal.height) != (at.facts.epoch, at.facts.height) or at.decided is not None:
        return []
    at.decided = seal
    at.timer_view = None
    at.casting.clear()
    return [CancelTimer(Timer.VIEW), *accuse_by_seal(at, seal), *announce(at, seal)]


def accuse_by_seal(at: HeightState, seal: Seal) -> list[Effect]:
    """Report who committed to the sealed block and, to us, to another one in the same view."""
    accused: list[Effect] = []
    for each in seal.signatures:
        told = at.commits.find(seal.view, each.signer)
        if told is None or told.statement.block_hash == seal.block_hash:
            continue
        if each.signer in at.accused:
            continue
        sealed = Commit(seal.epoch, seal.height, seal.view, each.signer, seal.block_hash)
        at.accused.add(each.signer)
        accused.append(Accuse(told, SignedCommit(sealed, each.signature)))
    return accused


def announce(at: HeightState, seal: Seal) -> list[Effect]:
    """Get the decided block and hand it on."""
    hints = tuple(each.signer for each in seal.signatures if each.signer != at.facts.seat)
    return [
        FetchBlock(at.facts.height, seal.block_hash, hints),
        SetTimer(Timer.REBROADCAST, at.facts.height, at.view, REBROADCAST_MILLISECONDS),
        Decide(seal),
    ]
