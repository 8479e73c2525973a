"""What a replica knows about the one height it works on: bookkeeping without decisions."""

from dataclasses import dataclass, field

from potp2p.foundation.committee import quorum, weak_quorum
from potp2p.foundation.types import FIRST_VIEW, Digest, Rank, ValidatorIndex, View
from potp2p.protocol.consensus.effects import Cast
from potp2p.protocol.consensus.events import BlockChecked, HeightStarted
from potp2p.protocol.consensus.quorum import VoteBook
from potp2p.protocol.consensus.view_change import Timing, ViewChangeBook
from potp2p.protocol.wire.blocks import Seal
from potp2p.protocol.wire.consensus import (
    PreparedCertificate,
    Proposal,
    SignedCommit,
    SignedMessage,
    SignedPrepare,
)


@dataclass(slots=True)
class HeightState:
    """Votes, proposal, certificate and own words of one height; gone when the next begins."""

    facts: HeightStarted
    timing: Timing
    view: View = FIRST_VIEW
    """Never decreases."""
    proposal: Proposal | None = None
    """The first valid one of this view."""
    checked: dict[tuple[Digest, bool], BlockChecked] = field(default_factory=dict)
    """By hash and whether it came as a first proposal; only of blocks that were proposed to us."""
    better_rank: Rank | None = None
    """Best rank heard in time."""
    prepares: VoteBook[SignedPrepare] = field(default_factory=VoteBook)
    commits: VoteBook[SignedCommit] = field(default_factory=VoteBook)
    view_changes: ViewChangeBook = field(default_factory=ViewChangeBook)
    prepared: PreparedCertificate | None = None
    """The highest quorum of prepares that we committed on."""
    decided: Seal | None = None
    casting: dict[type, Cast] = field(default_factory=dict)
    """Own statements that have not come back signed."""
    own: dict[type, SignedMessage] = field(default_factory=dict)
    """Latest own message of each kind, to be said again."""
    requested_view: View | None = None
    """View for which our own choice was asked for."""
    timer_view: View | None = None
    """View whose timer runs."""
    timers_started: int = 0
    """Timers of views above 0."""
    accused: set[ValidatorIndex] = field(default_factory=set)
    quorum: int = field(init=False)
    weak_quorum: int = field(init=False)

    def __post_init__(self) -> None:
        size = len(self.facts.validators)
        self.quorum, self.weak_quorum = quorum(size), weak_quorum(size)

    @property
    def verdict(self) -> BlockChecked | None:
        """What executing the proposal of this view came to, once known."""
        proposal = self.proposal
        if proposal is None:
            return None
        block_hash = proposal.statement.block_hash
        first = self.checked.get((block_hash, True))
        if proposal.certificate is None or (first is not None and first.valid):
            return first
        return self.checked.get((block_hash, False))

    def leads(self) -> bool:
        """Tell whether this view is ours to propose in."""
        return self.facts.seat is not None and self.facts.primary(self.view) == self.facts.seat

    def has_cast(self, kind: type) -> bool:
        """Tell whether we said, or are about to say, something of this kind in this view."""
        casting = self.casting.get(kind)
        if casting is not None and casting.statement.view >= self.view:
            return True
        own = self.own.get(kind)
        return own is not None and own.statement.view >= self.view

    def cast(self, cast: Cast) -> Cast:
        """Remember an own statement until it comes back signed."""
        self.casting[type(cast.statement)] = cast
        return cast
