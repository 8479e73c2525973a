"""
A validator's replica as a deterministic machine: one event in, ordered effects out.

Rule 1: every consensus decision is taken in this folder, and `step` is the only way in.
Rule 2: nothing here reads a clock, draws a random number, waits, or logs.
Rule 3: our own words count by the same path as everyone else's, once they are signed.
"""

from dataclasses import dataclass
from typing import assert_never

from potp2p.foundation.errors import PeerError
from potp2p.foundation.limits import (
    REBROADCAST_MILLISECONDS,
    REFUSAL_VIEW_MAX,
    STATUS_MILLISECONDS,
)
from potp2p.foundation.types import View
from potp2p.protocol.consensus import catch_up
from potp2p.protocol.consensus.effects import (
    Accuse,
    Broadcast,
    CancelTimer,
    Cast,
    CheckBlock,
    Decide,
    Effect,
    FetchBlock,
    RequestBlock,
    Send,
    SetTimer,
)
from potp2p.protocol.consensus.events import (
    BetterBodyHeard,
    BlockChecked,
    BlockOffered,
    Event,
    HeightStarted,
    MessageReceived,
    Resumed,
    SealReceived,
    StatusReceived,
    Timer,
    TimerFired,
)
from potp2p.protocol.consensus.height import HeightState
from potp2p.protocol.consensus.justification import highest_claim, verify_message
from potp2p.protocol.consensus.view_change import Timing, is_proven, without_proof
from potp2p.protocol.wire.blocks import Seal
from potp2p.protocol.wire.consensus import (
    Commit,
    Prepare,
    PreparedCertificate,
    PreparedClaim,
    Proposal,
    Propose,
    ProvenViewChange,
    SealNotice,
    SignedCommit,
    SignedMessage,
    SignedPrepare,
    ViewChange,
)


@dataclass(slots=True)
class Replica:
    """One validator, seen from the inside, at one height."""

    timing: Timing
    at: HeightState | None = None

    def step(self, event: Event) -> tuple[Effect, ...]:
        """Advance by one event; effects are carried out in the order returned."""
        if isinstance(event, HeightStarted):
            assert self.at is None or event.height > self.at.facts.height, "height moves back"
            self.at = HeightState(event)
            return tuple(self._start(self.at))
        if self.at is None:
            return ()
        return tuple(self._on_event(self.at, event))

    def is_news(self, message: SignedMessage) -> bool:
        """Tell whether a verified message of any height could change anything here."""
        at = self.at
        if at is None or message.statement.height != at.facts.height or at.decided is not None:
            return False
        signer, view = message.statement.signer, message.statement.view
        if signer in at.accused:
            return False
        match message:
            case SignedPrepare(statement):
                prepare = at.prepares.find(view, signer)
                if prepare is None:
                    return at.prepares.has_room(view, signer)
                return prepare.statement != statement
            case SignedCommit(statement):
                commit = at.commits.find(view, signer)
                if commit is None:
                    return at.commits.has_room(view, signer)
                return commit.statement != statement
            case ProvenViewChange(statement):
                known = at.view_changes.find(signer)
                return (
                    known is None
                    or view > known.statement.view
                    or (view == known.statement.view and known.statement != message.statement)
                    or (view == known.statement.view and not is_proven(known))
                )
            case Proposal(statement):
                if view != at.view or at.proposal is None:
                    return view >= at.view
                return at.proposal.statement != statement
            case _:
                assert_never(message)

    def _on_event(self, at: HeightState, event: Event) -> list[Effect]:
        match event:
            case MessageReceived(message):
                return self._on_message(at, message)
            case TimerFired():
                return self._on_timer(at, event)
            case BlockOffered():
                return self._on_offer(at, event)
            case BlockChecked():
                return self._on_checked(at, event)
            case SealReceived(seal):
                return self._decide(at, seal)
            case BetterBodyHeard(height, rank):
                if height == at.facts.height:
                    at.better_rank = rank if at.better_rank is None else min(rank, at.better_rank)
                return []
            case StatusReceived(sender, status):
                return [Send(sender, frame) for frame in catch_up.answer(at, status)]
            case Resumed():
                return self._resume(at)
            case HeightStarted():
                raise AssertionError("step handles it")
            case _:
                assert_never(event)

    # Beginning of a height, and of a process

    def _start(self, at: HeightState) -> list[Effect]:
        height, interval = at.facts.height, self.timing.block_interval
        if at.facts.seat is None:
            return []
        at.timer_view = at.view
        first = interval + self.timing.view_timeout
        return [
            SetTimer(Timer.VIEW, height, at.view, first),
            SetTimer(Timer.REBROADCAST, height, at.view, interval + REBROADCAST_MILLISECONDS),
            SetTimer(Timer.STATUS, height, at.view, interval + STATUS_MILLISECONDS),
            *self._lead(at),
        ]

    def _resume(self, at: HeightState) -> list[Effect]:
        """Say again what was said and ask again for what is open; replay let nothing out."""
        height = at.facts.height
        if at.decided is not None:
            return self._announce(at, at.decided)
        if at.facts.seat is None:
            return []
        effects: list[Effect] = [
            SetTimer(Timer.REBROADCAST, height, at.view, REBROADCAST_MILLISECONDS),
            SetTimer(Timer.STATUS, height, at.view, STATUS_MILLISECONDS),
        ]
        if at.timer_view is not None:
            effects.append(SetTimer(Timer.VIEW, height, at.view, self._view_delay(at)))
        effects += [Broadcast(message) for message in at.own.values()]
        effects.append(Broadcast(catch_up.status_of(at)))
        effects += at.casting.values()
        at.requested_view = None
        return [*effects, *self._lead(at), *self._consider(at)]

    def _view_delay(self, at: HeightState) -> int:
        if at.view == 0:
            return self.timing.block_interval + self.timing.view_timeout
        return self.timing.delay_of(at.timers_started - 1)

    # Messages

    def _on_message(self, at: HeightState, message: SignedMessage) -> list[Effect]:
        statement = message.statement
        if statement.height < at.facts.height or at.decided is not None:
            return self._help_late(at, message)
        try:
            verify_message(at.facts, message)
        except PeerError:
            return []  # The driver, which knows who brought it, has refused it before.
        effects = self._own_came_back(at, message)
        match message:
            case SignedPrepare():
                known = at.prepares.find(statement.view, statement.signer)
                at.prepares.add(message)
                return [*effects, *self._accuse(at, known, message), *self._try_commit(at)]
            case SignedCommit():
                first = at.commits.find(statement.view, statement.signer)
                at.commits.add(message)
                return [*effects, *self._accuse(at, first, message), *self._tally(at, message)]
            case ProvenViewChange():
                effects += self._accuse_view_change(at, message)
                at.view_changes.add(message)
                return [*effects, *self._after_view_changes(at)]
            case Proposal():
                return [*effects, *self._on_proposal(at, message)]
            case _:
                assert_never(message)

    def _help_late(self, at: HeightState, message: SignedMessage) -> list[Effect]:
        """Answer who is stuck in a decided height with its seal; others get there alone."""
        seal = at.decided or at.facts.head_seal
        if not isinstance(message, ProvenViewChange) or seal is None:
            return []
        signer = message.statement.signer
        if signer == at.facts.seat or signer >= len(at.facts.validators):
            return []
        if seal.height < message.statement.height:
            return []
        return [Send(signer, SealNotice(seal))]

    def _own_came_back(self, at: HeightState, message: SignedMessage) -> list[Effect]:
        kind = type(message.statement)
        casting = at.casting.get(kind)
        if casting is None or casting.statement != message.statement:
            return []
        del at.casting[kind]
        at.own[kind] = message
        return [Broadcast(message)]

    def _accuse(
        self, at: HeightState, first: SignedMessage | None, second: SignedMessage
    ) -> list[Effect]:
        """Report two bodies in one place, once per signer; other signatures are no offence."""
        signer = second.statement.signer
        if first is None or first.statement == second.statement or signer in at.accused:
            return []
        at.accused.add(signer)
        return [Accuse(first, second)]

    def _accuse_view_change(self, at: HeightState, message: ProvenViewChange) -> list[Effect]:
        known = at.view_changes.find(message.statement.signer)
        if known is None or known.statement.view != message.statement.view:
            return []
        return self._accuse(at, known, message)

    # Proposal, prepare, commit, decide

    def _on_proposal(self, at: HeightState, proposal: Proposal) -> list[Effect]:
        view = proposal.statement.view
        if view < at.view:
            return []
        if view == at.view and at.proposal is not None:
            return self._accuse(at, at.proposal, proposal)
        effects: list[Effect] = []
        claim = highest_claim(proposal.view_changes)
        for each in proposal.view_changes:
            proof = proposal.certificate if each.statement.prepared == claim else None
            message = ProvenViewChange(each.statement, each.signature, proof)
            effects += self._accuse_view_change(at, message)
            at.view_changes.add(message)
        if view > at.view:
            effects += self._enter(at, view)
        at.proposal = proposal
        return [*effects, *self._after_view_changes(at), *self._consider(at)]

    def _consider(self, at: HeightState) -> list[Effect]:
        """Have the proposal of this view executed, or judge it if it was."""
        if at.proposal is None:
            return []
        if at.verdict is not None:
            return [*self._prepare(at), *self._try_commit(at)]
        statement = at.proposal.statement
        free = at.proposal.certificate is None
        return [
            CheckBlock(at.facts.height, at.view, statement.block_hash, first_proposal=free),
            self._fetch_proposed(at, at.proposal),
        ]

    def _fetch_proposed(self, at: HeightState, proposal: Proposal) -> FetchBlock:
        hints = [proposal.statement.signer]
        if proposal.certificate is not None:
            hints += [each.signer for each in proposal.certificate.signatures]
        votes = at.prepares.signatures(at.view, proposal.statement.block_hash)
        hints += [each.signer for each in votes]
        others = tuple(hint for hint in dict.fromkeys(hints) if hint != at.facts.seat)
        return FetchBlock(at.facts.height, proposal.statement.block_hash, others)

    def _on_checked(self, at: HeightState, checked: BlockChecked) -> list[Effect]:
        key = (checked.block_hash, checked.first_proposal)
        if checked.height != at.facts.height or at.decided is not None or key in at.checked:
            return []
        had_verdict = at.verdict is not None
        at.checked[key] = checked
        if had_verdict or at.verdict is None:
            return []
        return self._consider(at)

    def _is_acceptable(self, at: HeightState) -> bool:
        """Tell whether the proposal's block is valid and framed by its first primary."""
        if at.proposal is None or at.verdict is None or not at.verdict.valid:
            return False
        framed_by, framed_in = at.verdict.primary, at.verdict.first_view
        if at.proposal.certificate is None:
            return framed_in == at.view and framed_by == at.proposal.statement.signer
        return framed_in <= at.proposal.certificate.view and framed_by == at.facts.primary(
            framed_in
        )

    def _is_refused(self, at: HeightState) -> bool:
        """Tell whether a better body was heard; only early, and never against a certificate."""
        if at.proposal is None or at.verdict is None or at.better_rank is None:
            return False
        if at.view > REFUSAL_VIEW_MAX or at.proposal.certificate is not None:
            return False
        return at.verdict.rank > at.better_rank

    def _prepare(self, at: HeightState) -> list[Effect]:
        if at.proposal is None or not self._is_acceptable(at) or self._is_refused(at):
            return []
        if at.has_cast(Prepare):
            return []
        return self._cast_vote(at, Prepare, at.proposal)

    def _try_commit(self, at: HeightState) -> list[Effect]:
        """Commit on a quorum of prepares for the acceptable proposal of this view."""
        if at.proposal is None or not self._is_acceptable(at) or at.has_cast(Commit):
            return []
        block_hash, quorum = at.proposal.statement.block_hash, at.committee.quorum
        signatures = at.prepares.signatures(at.view, block_hash)
        if len(signatures) < quorum:
            return []
        at.prepared = PreparedCertificate(
            at.facts.epoch, at.facts.height, at.view, block_hash, signatures[:quorum]
        )
        return self._cast_vote(at, Commit, at.proposal)

    def _cast_vote(
        self, at: HeightState, kind: type[Prepare | Commit], proposal: Proposal
    ) -> list[Effect]:
        seat = at.facts.seat
        if seat is None:
            return []
        block_hash = proposal.statement.block_hash
        return self._cast(
            at, Cast(kind(at.facts.epoch, at.facts.height, at.view, seat, block_hash))
        )

    def _cast(self, at: HeightState, cast: Cast) -> list[Effect]:
        at.casting[type(cast.statement)] = cast
        return [cast]

    def _tally(self, at: HeightState, vote: SignedCommit) -> list[Effect]:
        """Decide on a quorum of commits for one block in one view, whichever view it is."""
        view, block_hash = vote.statement.view, vote.statement.block_hash
        signatures = at.commits.signatures(view, block_hash)
        if len(signatures) < at.committee.quorum:
            return []
        return self._decide(at, Seal(at.facts.epoch, at.facts.height, view, block_hash, signatures))

    def _decide(self, at: HeightState, seal: Seal) -> list[Effect]:
        if seal.height != at.facts.height or at.decided is not None:
            return []
        at.decided = seal
        at.timer_view = None
        at.casting.clear()
        return [CancelTimer(Timer.VIEW), *self._announce(at, seal)]

    def _announce(self, at: HeightState, seal: Seal) -> list[Effect]:
        hints = tuple(each.signer for each in seal.signatures if each.signer != at.facts.seat)
        return [
            FetchBlock(at.facts.height, seal.block_hash, hints),
            SetTimer(Timer.REBROADCAST, at.facts.height, at.view, REBROADCAST_MILLISECONDS),
            Decide(seal),
        ]

    # Views

    def _on_timer(self, at: HeightState, fired: TimerFired) -> list[Effect]:
        if fired.height != at.facts.height:
            return []
        match fired.timer:
            case Timer.VIEW:
                if at.decided is not None or fired.view != at.timer_view:
                    return []
                return [*self._enter(at, View(at.view + 1)), *self._after_view_changes(at)]
            case Timer.REBROADCAST:
                return self._rebroadcast(at)
            case Timer.STATUS:
                if at.decided is not None:
                    return []
                again = SetTimer(Timer.STATUS, at.facts.height, at.view, STATUS_MILLISECONDS)
                return [again, Broadcast(catch_up.status_of(at))]
            case _:
                assert_never(fired.timer)

    def _rebroadcast(self, at: HeightState) -> list[Effect]:
        if at.decided is not None:
            return self._announce(at, at.decided)[:2]
        effects: list[Effect] = [
            SetTimer(Timer.REBROADCAST, at.facts.height, at.view, REBROADCAST_MILLISECONDS),
            *(
                Broadcast(message)
                for kind, message in at.own.items()
                if kind is not Propose or message.statement.view == at.view
            ),
        ]
        if at.proposal is not None and at.verdict is None:
            effects.append(self._fetch_proposed(at, at.proposal))
        return effects

    def _enter(self, at: HeightState, view: View) -> list[Effect]:
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
        statement = ViewChange(
            at.facts.epoch, at.facts.height, view, seat, at.facts.head_hash, claim
        )
        return [*effects, *self._cast(at, Cast(statement, certificate=at.prepared))]

    def _after_view_changes(self, at: HeightState) -> list[Effect]:
        effects: list[Effect] = []
        higher = at.view_changes.view_to_join(at.view, at.committee.weak_quorum)
        if higher is not None:
            effects += self._enter(at, higher)
        in_step = len(at.view_changes.signers_from(at.view)) >= at.committee.quorum
        if at.view > 0 and at.timer_view != at.view and at.facts.seat is not None and in_step:
            at.timer_view = at.view
            at.timers_started += 1
            delay = self._view_delay(at)
            effects.append(SetTimer(Timer.VIEW, at.facts.height, at.view, delay))
        return [*effects, *self._lead(at)]

    def _lead(self, at: HeightState) -> list[Effect]:
        """As primary with a right to propose: repeat the certified block, else ask for a choice."""
        if not at.leads() or at.proposal is not None or at.has_cast(Propose):
            return []
        if at.view > 0:
            if len(at.view_changes.exactly(at.view)) < at.committee.quorum:
                return []
            again = self._propose_again(at)
            if again is not None:
                return self._cast(at, again)
        if at.requested_view == at.view:
            return []
        at.requested_view = at.view
        delay = self.timing.block_interval if at.view == 0 else 0
        return [RequestBlock(at.facts.height, at.view, delay)]

    def _propose_again(self, at: HeightState) -> Cast | None:
        """Return the proposal of the highest certified block, if the view changes claim one."""
        shown = at.view_changes.exactly(at.view)[: at.committee.quorum]
        view_changes = tuple(without_proof(message) for message in shown)
        claim = highest_claim(view_changes)
        if claim is None:
            return None
        proof = next(each.certificate for each in shown if each.statement.prepared == claim)
        statement = Propose(
            at.facts.epoch, at.facts.height, at.view, at.facts.primary(at.view), claim.block_hash
        )
        return Cast(statement, view_changes, proof)

    def _on_offer(self, at: HeightState, offer: BlockOffered) -> list[Effect]:
        if (offer.height, offer.view) != (at.facts.height, at.view) or at.decided is not None:
            return []
        if not at.leads() or at.proposal is not None or at.has_cast(Propose):
            return []
        again = self._propose_again(at) if at.view > 0 else None
        if again is not None:
            return self._cast(at, again)
        shown = at.view_changes.exactly(at.view)[: at.committee.quorum] if at.view > 0 else ()
        statement = Propose(
            at.facts.epoch, at.facts.height, at.view, at.facts.primary(at.view), offer.block_hash
        )
        return self._cast(at, Cast(statement, tuple(without_proof(each) for each in shown)))
