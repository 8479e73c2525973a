"""What a replica's height looks like from outside."""

from potp2p.observability.status import ConsensusStatus
from potp2p.protocol.consensus.height import HeightState
from potp2p.protocol.wire.consensus import Commit, Prepare


def status_of(at: HeightState, view_changes: int) -> ConsensusStatus:
    """Return a frozen picture of a height in work."""
    seal = at.facts.head_seal
    signers = {each.signer for each in seal.signatures} if seal is not None else set()
    seats = range(len(at.facts.validators)) if seal is not None else range(0)
    return ConsensusStatus(
        height=at.facts.height,
        view=at.view,
        phase=_phase_of(at),
        seat=at.facts.seat,
        prepares=len(at.prepares.signers(at.view)),
        commits=len(at.commits.signers(at.view)),
        quorum=at.quorum,
        view_changes=view_changes,
        missing=tuple(seat for seat in seats if seat not in signers),
    )


def _phase_of(at: HeightState) -> str:
    if at.decided is not None:
        return "decided"
    if at.has_cast(Commit):
        return "committing"
    if at.has_cast(Prepare):
        return "preparing"
    if at.proposal is not None:
        return "executing"
    return "proposing" if at.leads() else "waiting"
