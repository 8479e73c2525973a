"""Everything a replica can ask of the world: the only outputs of the machine."""

from dataclasses import dataclass
from typing import TypeAlias, assert_never

from potp2p.foundation.types import Digest, Height, Signature, ValidatorIndex, View
from potp2p.protocol.consensus.events import Timer
from potp2p.protocol.wire.blocks import Seal
from potp2p.protocol.wire.consensus import (
    Commit,
    ConsensusFrame,
    Prepare,
    PreparedCertificate,
    Proposal,
    Propose,
    ProvenViewChange,
    SignedCommit,
    SignedMessage,
    SignedPrepare,
    SignedViewChange,
    Statement,
    ViewChange,
)


@dataclass(frozen=True, slots=True)
class Cast:
    """
    Sign a statement of our own and step on it like on anyone's; that step sends it.

    The driver refuses to sign two different statements in one place, and lets nothing out before
    the causes and the signature itself are durable.
    """

    statement: Statement
    view_changes: tuple[SignedViewChange, ...] = ()
    certificate: PreparedCertificate | None = None

    def signed(self, signature: Signature) -> SignedMessage:
        """Join statement, signature and proof."""
        match self.statement:
            case Prepare():
                return SignedPrepare(self.statement, signature)
            case Commit():
                return SignedCommit(self.statement, signature)
            case ViewChange():
                return ProvenViewChange(self.statement, signature, self.certificate)
            case Propose():
                return Proposal(self.statement, signature, self.view_changes, self.certificate)
            case _:
                assert_never(self.statement)


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Send a frame to every other validator."""

    frame: ConsensusFrame


@dataclass(frozen=True, slots=True)
class Send:
    """Send a frame to one validator."""

    to: ValidatorIndex
    frame: ConsensusFrame


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Fire a timer after this long, replacing an earlier one of the same name."""

    timer: Timer
    height: Height
    view: View
    delay_milliseconds: int


@dataclass(frozen=True, slots=True)
class CancelTimer:
    """Forget a timer."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class RequestBlock:
    """We lead this view and choose freely: offer a block after this long."""

    height: Height
    view: View
    delay_milliseconds: int


@dataclass(frozen=True, slots=True)
class FetchBlock:
    """Get a block by hash unless it is here; these validators should have it."""

    height: Height
    block_hash: Digest
    hints: tuple[ValidatorIndex, ...]


@dataclass(frozen=True, slots=True)
class CheckBlock:
    """Execute a block as soon as it is here, and say what came of it."""

    height: Height
    view: View
    block_hash: Digest
    first_proposal: bool
    """False: a quorum has prepared it before."""


@dataclass(frozen=True, slots=True)
class Decide:
    """A block is final; no effect of this height follows."""

    seal: Seal


@dataclass(frozen=True, slots=True)
class Accuse:
    """One validator signed two different statements where one is allowed."""

    first: SignedMessage
    second: SignedMessage


Effect: TypeAlias = (
    Cast
    | Broadcast
    | Send
    | SetTimer
    | CancelTimer
    | RequestBlock
    | FetchBlock
    | CheckBlock
    | Decide
    | Accuse
)
