"""
Everything that can happen to a replica: the only inputs of the machine.

Those of `LoggedEvent` change its state; they are messages too, so that the journal can keep them.
"""

from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Annotated, ClassVar, TypeAlias

from potp2p.foundation.limits import VALIDATORS_MAX
from potp2p.foundation.types import ValidatorIndex, View
from potp2p.protocol.wire.blocks import Seal
from potp2p.protocol.wire.consensus import SignedMessage, Status
from potp2p.protocol.wire.fields import (
    DigestField,
    EpochField,
    HeightField,
    NodeField,
    RankField,
    ValidatorField,
    ViewField,
)
from potp2p.protocol.wire.schema import Many


@unique
class Timer(IntEnum):
    """Which clock ran out."""

    VIEW = 0
    REBROADCAST = 1
    STATUS = 2


@dataclass(frozen=True, slots=True)
class HeightStarted:
    """The parent is final; everything that the next height needs to know."""

    KIND: ClassVar = 1
    height: HeightField
    epoch: EpochField
    head_hash: DigestField
    """Hash of the parent block."""
    validators: Annotated[tuple[NodeField, ...], Many(VALIDATORS_MAX)]
    """In seat order."""
    seat: ValidatorField | None
    """Ours; None watches and never votes."""
    primaries: Annotated[tuple[ValidatorField, ...], Many(VALIDATORS_MAX)]
    """Seats in the order of views; later views begin again at the first."""
    head_seal: Seal | None
    """Of the parent, to help those who miss it; None at height 1."""

    def primary(self, view: View) -> ValidatorIndex:
        """Return the seat that leads a view."""
        return self.primaries[view % len(self.primaries)]


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A signed message whose every signature verifies against this height's validators."""

    KIND: ClassVar = 2
    message: SignedMessage


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer that was set ran out."""

    KIND: ClassVar = 3
    timer: Timer
    height: HeightField
    view: ViewField


@dataclass(frozen=True, slots=True)
class BlockOffered:
    """Our own choice, in answer to RequestBlock."""

    KIND: ClassVar = 4
    height: HeightField
    view: ViewField
    block_hash: DigestField


@dataclass(frozen=True, slots=True)
class BlockChecked:
    """A block was executed, in answer to CheckBlock; the rest is what its header says."""

    KIND: ClassVar = 5
    height: HeightField
    block_hash: DigestField
    first_proposal: bool
    """As CheckBlock said: a first proposal may meet refusals that a certified one does not."""
    valid: bool
    rank: RankField
    primary: ValidatorField
    """In the frame: who proposed it first."""
    first_view: ViewField
    """In the frame: where it was proposed first."""
    withholds: bool = False
    """It leaves out what we have held for too long though it has room: a refusal, not a fault."""


@dataclass(frozen=True, slots=True)
class SealReceived:
    """A verified seal of this height, from a peer or from catch-up."""

    KIND: ClassVar = 6
    seal: Seal


@dataclass(frozen=True, slots=True)
class BetterBodyHeard:
    """A valid ranked body came in the first half of the author window."""

    KIND: ClassVar = 7
    height: HeightField
    rank: RankField


@dataclass(frozen=True, slots=True)
class StatusReceived:
    """A validator told what it holds."""

    sender: ValidatorIndex
    status: Status


@dataclass(frozen=True, slots=True)
class Resumed:
    """Replay is over: say again what was said, and ask again for what was not answered."""


LoggedEvent: TypeAlias = (
    HeightStarted
    | MessageReceived
    | TimerFired
    | BlockOffered
    | BlockChecked
    | SealReceived
    | BetterBodyHeard
)
Event: TypeAlias = LoggedEvent | StatusReceived | Resumed
