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
    STATUS_MILLISECONDS,
)
from potp2p.foundation.types import View
from potp2p.protocol.consensus import catch_up
from potp2p.protocol.consensus.effects import (
    Accuse,
    Broadcast,
    Effect,
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
from potp2p.protocol.consensus.view_change import Timing, is_proven
from potp2p.protocol.consensus.views import after_view_changes, enter, lead, on_offer, view_delay
from potp2p.protocol.consensus.voting import (
    announce,
    consider,
    decide,
    fetch_proposed,
    on_checked,
    tally,
    try_commit,
)
from potp2p.protocol.wire.consensus import (
    Proposal,
    Propose,
    ProvenViewChange,
    SealNotice,
    SignedCommit,
    SignedMessage,
    SignedPrepare,
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
            self.at = HeightState(event, self.timing)
            return tuple(self._start(self.at))
        at = self.at
        if at is None:
            return ()
        if isinstance(event, MessageReceived):  # Most events are.
            return tuple(self._on_message(at, event.message))
        return tuple(self._on_event(at, event))

    def is_news(self, message: SignedMessage) -> bool:
        """Tell whether a verified message of any height could change anything here."""
        at, statement = self.at, message.statement
        if at is None or statement.height != at.facts.height or at.decided is not None:
            return False
        signer, view = statement.signer, statement.view
        if signer in at.accused:
            return False
        match message:
            case SignedPrepare():
                prepare = at.prepares.find(view, signer)
                if prepare is None:
                    return at.prepares.has_room(view, signer)
                return prepare.statement != statement
            case SignedCommit():
                commit = at.commits.find(view, signer)
                if commit is None:
                    return at.commits.has_room(view, signer)
                return commit.statement != statement
            case ProvenViewChange():
                known = at.view_changes.find(signer)
                return (
                    known is None
                    or view > known.statement.view
                    or (view == known.statement.view and known.statement != message.statement)
                    or (view == known.statement.view and not is_proven(known))
                )
            case Proposal():
                if view != at.view or at.proposal is None:
                    return view >= at.view
                return at.proposal.statement != message.statement
            case _:
                assert_never(message)

    def _on_event(self, at: HeightState, event: Event) -> list[Effect]:
        match event:
            case MessageReceived():
                return self._on_message(at, event.message)
            case TimerFired():
                return self._on_timer(at, event)
            case BlockOffered():
                return on_offer(at, event)
            case BlockChecked():
                return on_checked(at, event)
            case SealReceived(seal):
                return decide(at, seal)
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
            *lead(at),
        ]

    def _resume(self, at: HeightState) -> list[Effect]:
        """Say again what was said and ask again for what is open; replay let nothing out."""
        height = at.facts.height
        if at.decided is not None:
            return announce(at, at.decided)
        if at.facts.seat is None:
            return []
        effects: list[Effect] = [
            SetTimer(Timer.REBROADCAST, height, at.view, REBROADCAST_MILLISECONDS),
            SetTimer(Timer.STATUS, height, at.view, STATUS_MILLISECONDS),
        ]
        if at.timer_view is not None:
            effects.append(SetTimer(Timer.VIEW, height, at.view, view_delay(at)))
        effects += [Broadcast(message) for message in at.own.values()]
        effects.append(Broadcast(catch_up.status_of(at)))
        effects += at.casting.values()
        if at.requested_view == at.view:
            at.requested_view = None
        return [*effects, *lead(at), *consider(at)]

    # Messages

    def _on_message(self, at: HeightState, message: SignedMessage) -> list[Effect]:
        statement = message.statement
        if statement.height < at.facts.height or at.decided is not None:
            return self._help_late(at, message)
        try:
            verify_message(at.facts, message)
        except PeerError:
            return []  # The driver, which knows who brought it, has refused it before.
        effects = self._own_came_back(at, message) if at.casting else []
        match message:
            case SignedPrepare():
                prepare = at.prepares.add(message)
                if prepare is not None:
                    effects += self._accuse(at, prepare, message)
                effects += try_commit(at)
                return effects
            case SignedCommit():
                commit = at.commits.add(message)
                if commit is not None:
                    effects += self._accuse(at, commit, message)
                effects += tally(at, message)
                return effects
            case ProvenViewChange():
                effects += self._accuse_view_change(at, message)
                at.view_changes.add(message)
                effects += after_view_changes(at)
                return effects
            case Proposal():
                effects += self._on_proposal(at, message)
                return effects
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
        statement = message.statement
        kind = type(statement)
        casting = at.casting.get(kind)
        if casting is None:
            return []
        # The same object in most cases, and comparing field by field is slow.
        if casting.statement is not statement and casting.statement != statement:
            return []
        del at.casting[kind]
        at.own[kind] = message
        return [Broadcast(message)]

    def _accuse(
        self, at: HeightState, first: SignedMessage | None, second: SignedMessage
    ) -> list[Effect]:
        """Report two bodies in one place, once per signer; other signatures are no offence."""
        if first is None or first.statement == second.statement:
            return []
        signer = second.statement.signer
        if signer in at.accused:
            return []
        at.accused.add(signer)
        return [Accuse(first, second)]

    def _accuse_view_change(self, at: HeightState, message: ProvenViewChange) -> list[Effect]:
        known = at.view_changes.find(message.statement.signer)
        if known is None or known.statement.view != message.statement.view:
            return []
        return self._accuse(at, known, message)

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
            effects += enter(at, view)
        at.proposal = proposal
        return [*effects, *after_view_changes(at), *consider(at)]

    # Timers

    def _on_timer(self, at: HeightState, fired: TimerFired) -> list[Effect]:
        if fired.height != at.facts.height:
            return []
        match fired.timer:
            case Timer.VIEW:
                if at.decided is not None or fired.view != at.timer_view:
                    return []
                return [*enter(at, View(at.view + 1)), *after_view_changes(at)]
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
            return announce(at, at.decided)[:2]
        effects: list[Effect] = [
            SetTimer(Timer.REBROADCAST, at.facts.height, at.view, REBROADCAST_MILLISECONDS),
            *(
                Broadcast(message)
                for kind, message in at.own.items()
                if kind is not Propose or message.statement.view == at.view
            ),
        ]
        if at.proposal is not None and at.verdict is None:
            effects.append(fetch_proposed(at, at.proposal))
        return effects
