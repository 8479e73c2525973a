"""Status exchange: say what is held, and send a peer exactly what it lacks."""

from potp2p.foundation.types import ValidatorIndex
from potp2p.protocol.consensus.height import HeightState
from potp2p.protocol.consensus.quorum import bitmap_of, has_bit
from potp2p.protocol.consensus.view_change import is_proven
from potp2p.protocol.wire.consensus import ConsensusFrame, SealNotice, Status


def status_of(at: HeightState) -> Status:
    """Return what this replica holds of its height."""
    return Status(
        height=at.facts.height,
        view=at.view,
        has_proposal=at.proposal is not None,
        prepares=bitmap_of(at.prepares.signers(at.view)),
        commits=bitmap_of(at.commits.signers(at.view)),
        view_changes=bitmap_of(at.view_changes.signers_from(at.view)),
    )


def answer(at: HeightState, status: Status) -> list[ConsensusFrame]:
    """
    Return what the sender of a status lacks; at most one proposal and three votes per validator.

    Everything is signed by its origin, so anyone may pass it on.
    """
    seal = at.decided or at.facts.head_seal
    if status.height < at.facts.height or at.decided is not None:
        return [SealNotice(seal)] if seal is not None and seal.height >= status.height else []
    if status.height > at.facts.height:
        return []
    frames: list[ConsensusFrame] = [
        message
        for signer, message in sorted(at.view_changes.by_signer.items())
        if message.statement.view >= status.view
        and not has_bit(status.view_changes, signer)
        and is_proven(message)
    ]
    if at.view < status.view:
        return frames
    if at.proposal is not None and (at.view > status.view or not status.has_proposal):
        frames.append(at.proposal)
    frames += _missing_votes(at, status)
    return frames


def _missing_votes(at: HeightState, status: Status) -> list[ConsensusFrame]:
    same_view = status.view == at.view

    def lacks(bitmap: bytes, signer: ValidatorIndex) -> bool:
        return not (same_view and has_bit(bitmap, signer))

    prepares = at.prepares.by_view.get(at.view, {})
    commits = at.commits.by_view.get(at.view, {})
    return [
        *(vote for signer, vote in sorted(prepares.items()) if lacks(status.prepares, signer)),
        *(vote for signer, vote in sorted(commits.items()) if lacks(status.commits, signer)),
    ]
