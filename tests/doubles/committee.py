"""One replica under test, whose own statements come back signed at once."""

from dataclasses import dataclass, field

from potp2p.foundation.types import Digest
from potp2p.protocol.consensus.effects import Cast, Decide, Effect
from potp2p.protocol.consensus.events import (
    Event,
    HeightStarted,
    MessageReceived,
    Timer,
    TimerFired,
)
from potp2p.protocol.consensus.height import HeightState
from potp2p.protocol.consensus.machine import Replica
from potp2p.protocol.consensus.quorum import Committee
from potp2p.protocol.wire.blocks import Seal
from potp2p.protocol.wire.consensus import SignedMessage, Statement
from potp2p.simulation.core.stubs import TIMING, stub_signature

APPLE, PEAR = Digest(b"a" * 32), Digest(b"p" * 32)


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
