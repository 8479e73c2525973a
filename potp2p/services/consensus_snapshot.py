"""
What still matters of a height, in one record: hundreds of failed views in a few hundred kilobytes.

Every field of `HeightState` is here; a test fails when one is added there and not here. Replay puts
the state back as it was and goes on with the events that came later.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, ClassVar, TypeVar

from potp2p.foundation.limits import CHECKS_KEPT_MAX, VALIDATORS_MAX, VIEWS_KEPT_MAX
from potp2p.foundation.types import Digest
from potp2p.protocol.consensus.effects import Cast
from potp2p.protocol.consensus.events import BlockChecked, HeightStarted
from potp2p.protocol.consensus.height import HeightState
from potp2p.protocol.consensus.quorum import VoteBook
from potp2p.protocol.consensus.view_change import Timing, ViewChangeBook
from potp2p.protocol.wire.blocks import Seal
from potp2p.protocol.wire.consensus import (
    PreparedCertificate,
    Proposal,
    Propose,
    ProvenViewChange,
    SignedCommit,
    SignedMessage,
    SignedPrepare,
    SignedViewChange,
    Statement,
)
from potp2p.protocol.wire.fields import CountField, RankField, ValidatorField, ViewField
from potp2p.protocol.wire.schema import Many

KINDS_OF_STATEMENT = 4
Vote = TypeVar("Vote", SignedPrepare, SignedCommit)


@dataclass(frozen=True, slots=True)
class CastKept:
    """An own statement that has not come back signed."""

    statement: Statement
    view_changes: Annotated[tuple[SignedViewChange, ...], Many(VALIDATORS_MAX)]
    certificate: PreparedCertificate | None


@dataclass(frozen=True, slots=True)
class HeightKept:
    """A whole `HeightState`, but for the genesis parameters."""

    KIND: ClassVar = 65
    facts: HeightStarted
    view: ViewField
    proposal: Proposal | None
    checked: Annotated[tuple[BlockChecked, ...], Many(CHECKS_KEPT_MAX)]
    better_rank: RankField | None
    prepares: Annotated[tuple[SignedPrepare, ...], Many(VIEWS_KEPT_MAX * VALIDATORS_MAX)]
    commits: Annotated[tuple[SignedCommit, ...], Many(VIEWS_KEPT_MAX * VALIDATORS_MAX)]
    view_changes: Annotated[tuple[ProvenViewChange, ...], Many(VALIDATORS_MAX)]
    prepared: PreparedCertificate | None
    decided: Seal | None
    casting: Annotated[tuple[CastKept, ...], Many(KINDS_OF_STATEMENT)]
    own: Annotated[tuple[SignedMessage, ...], Many(KINDS_OF_STATEMENT)]
    requested_view: ViewField | None
    timer_view: ViewField | None
    timers_started: CountField
    accused: Annotated[tuple[ValidatorField, ...], Many(VALIDATORS_MAX)]


def keep_height(at: HeightState) -> HeightKept:
    """Return the record of a height as it stands."""
    return HeightKept(
        facts=at.facts,
        view=at.view,
        proposal=at.proposal,
        checked=tuple(at.checked.values()),
        better_rank=at.better_rank,
        prepares=_votes(at.prepares),
        commits=_votes(at.commits),
        view_changes=tuple(at.view_changes.by_signer.values()),
        prepared=at.prepared,
        decided=at.decided,
        casting=tuple(
            CastKept(each.statement, each.view_changes, each.certificate)
            for each in at.casting.values()
        ),
        own=tuple(at.own.values()),
        requested_view=at.requested_view,
        timer_view=at.timer_view,
        timers_started=at.timers_started,
        accused=tuple(sorted(at.accused)),
    )


def restore_height(kept: HeightKept, timing: Timing) -> HeightState:
    """Return the height as it stood."""
    casts = (Cast(each.statement, each.view_changes, each.certificate) for each in kept.casting)
    return HeightState(
        facts=kept.facts,
        timing=timing,
        view=kept.view,
        proposal=kept.proposal,
        checked={(each.block_hash, each.first_proposal): each for each in kept.checked},
        better_rank=kept.better_rank,
        prepares=_book(kept.prepares),
        commits=_book(kept.commits),
        view_changes=ViewChangeBook({each.statement.signer: each for each in kept.view_changes}),
        prepared=kept.prepared,
        decided=kept.decided,
        casting={type(each.statement): each for each in casts},
        own={type(each.statement): each for each in kept.own},
        requested_view=kept.requested_view,
        timer_view=kept.timer_view,
        timers_started=kept.timers_started,
        accused=set(kept.accused),
    )


def blocks_that_matter(at: HeightState) -> frozenset[Digest]:
    """
    Return the hashes of blocks that others may rightly ask us for.

    What a quorum prepared is held by everyone in it who committed; what nobody committed on may be
    asked of those who are up.
    """
    hashes = {part.block_hash for part in (at.prepared, at.decided) if part is not None}
    own = at.own.get(Propose)
    for proposal in (at.proposal, own):
        if isinstance(proposal, Proposal):
            hashes.add(proposal.statement.block_hash)
    return frozenset(hashes)


def _votes(book: VoteBook[Vote]) -> tuple[Vote, ...]:
    return tuple(vote for votes in book.by_view.values() for vote in votes.values())


def _book(votes: Iterable[Vote]) -> VoteBook[Vote]:
    book = VoteBook[Vote]()
    for vote in votes:
        book.by_view.setdefault(vote.statement.view, {})[vote.statement.signer] = vote
    return book
