"""Leaving a view, joining a higher one, and leading the one we are in."""

from potp2p.foundation.types import Digest, View
from potp2p.protocol.consensus.effects import CancelTimer, Cast, Effect, RequestBlock, SetTimer
from potp2p.protocol.consensus.events import BlockOffered, Timer
from potp2p.protocol.consensus.height import HeightState
from potp2p.protocol.consensus.justification import highest_claim
from potp2p.protocol.consensus.view_change import without_proof
from potp2p.protocol.wire.consensus import PreparedClaim, Propose, ViewChange


def enter(at: HeightState, view: View) -> list[Effect]:
    """Leave the view for a higher one; below it we never act again at this height."""
    assert view > at.view, "views only rise"
    at.view = view
    at.proposal = None
    at.timer_view = None
    at.casting.clear()
    effects: list[Effect] = [CancelTimer(Timer.VIEW)]
    seat = at.facts.seat
    if seat is None:
        return effects
    claim = None
    if at.prepared is not None:
        claim = PreparedClaim(at.prepared.view, at.prepared.block_hash)
    statement = ViewChange(at.facts.epoch, at.facts.height, view, seat, at.facts.head_hash, claim)
    return [*effects, at.cast(Cast(statement, certificate=at.prepared))]


def after_view_changes(at: HeightState) -> list[Effect]:
    """Join a higher view, start this one's timer, or lead it, if enough of the others are there."""
    effects: list[Effect] = []
    higher = at.view_changes.view_to_join(at.view, at.weak_quorum)
    if higher is not None:
        effects += enter(at, higher)
    # The timer waits for a quorum in this view or beyond; else dispersed replicas never meet.
    is_timed = at.view in (0, at.timer_view) or at.facts.seat is None
    if not is_timed and len(at.view_changes.signers_from(at.view)) >= at.quorum:
        at.timer_view = at.view
        at.timers_started += 1
        effects.append(SetTimer(Timer.VIEW, at.facts.height, at.view, view_delay(at)))
    return [*effects, *lead(at)]


def view_delay(at: HeightState) -> int:
    """Return the time that the running timer of this view began with."""
    if at.view == 0:
        return at.timing.block_interval + at.timing.view_timeout
    return at.timing.delay_of(at.timers_started - 1)


def lead(at: HeightState) -> list[Effect]:
    """As primary with a right to propose: repeat the certified block, else ask for a choice."""
    if not at.leads() or at.proposal is not None or at.has_cast(Propose):
        return []
    if at.view > 0:
        if len(at.view_changes.exactly(at.view)) < at.quorum:
            return []
        again = _propose_again(at)
        if again is not None:
            return [at.cast(again)]
    if at.requested_view == at.view:
        return []
    at.requested_view = at.view
    delay = at.timing.block_interval if at.view == 0 else 0
    return [RequestBlock(at.facts.height, at.view, delay)]


def on_offer(at: HeightState, offer: BlockOffered) -> list[Effect]:
    """Propose our own choice, unless the view has moved on or we proposed a certified block."""
    if (offer.height, offer.view) != (at.facts.height, at.view) or at.decided is not None:
        return []
    if not at.leads() or at.proposal is not None or at.has_cast(Propose):
        return []
    if at.view == 0:
        return [at.cast(Cast(_choice(at, offer.block_hash)))]
    if len(at.view_changes.exactly(at.view)) < at.quorum:
        return []
    shown = at.view_changes.exactly(at.view)[: at.quorum]
    view_changes = tuple(without_proof(each) for each in shown)
    assert highest_claim(view_changes) is None, "every view change that comes is led upon"
    return [at.cast(Cast(_choice(at, offer.block_hash), view_changes))]


def _propose_again(at: HeightState) -> Cast | None:
    """Return the proposal of the highest certified block, if the view changes claim one."""
    shown = at.view_changes.exactly(at.view)[: at.quorum]
    view_changes = tuple(without_proof(message) for message in shown)
    claim = highest_claim(view_changes)
    if claim is None:
        return None
    proof = next(each.certificate for each in shown if each.statement.prepared == claim)
    return Cast(_choice(at, claim.block_hash), view_changes, proof)


def _choice(at: HeightState, block_hash: Digest) -> Propose:
    seat = at.facts.primary(at.view)
    return Propose(at.facts.epoch, at.facts.height, at.view, seat, block_hash)
