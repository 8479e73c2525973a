"""Committee arithmetic and vote counting: distinct signers, first vote of each."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from potp2p.foundation.committee import faulty_max, quorum, weak_quorum
from potp2p.foundation.limits import VALIDATORS_MAX, VIEWS_KEPT_MAX
from potp2p.foundation.types import Digest, ValidatorIndex, View
from potp2p.protocol.wire.blocks import CommitSignature
from potp2p.protocol.wire.consensus import SignedCommit, SignedPrepare

Vote = TypeVar("Vote", SignedPrepare, SignedCommit)


@dataclass(frozen=True, slots=True)
class Committee:
    """The size of one epoch's validator set and what follows from it."""

    size: int

    def __post_init__(self) -> None:
        assert 1 <= self.size <= VALIDATORS_MAX, self.size

    @property
    def faults_max(self) -> int:
        """Largest number of arbitrary members that the committee survives."""
        return faulty_max(self.size)

    @property
    def quorum(self) -> int:
        """Two such sets share an honest member; equals size - faults_max for every size."""
        return quorum(self.size)

    @property
    def weak_quorum(self) -> int:
        """Such a set has an honest member."""
        return weak_quorum(self.size)


@dataclass(slots=True)
class VoteBook(Generic[Vote]):
    """
    First vote of each signer in each view of one height; a second, different one never counts.

    Holds at most VIEWS_KEPT_MAX views of one signer, the highest it was heard in.
    """

    by_view: dict[View, dict[ValidatorIndex, Vote]] = field(default_factory=dict)

    def find(self, view: View, signer: ValidatorIndex) -> Vote | None:
        """Return the vote that counts, if there is one."""
        votes = self.by_view.get(view)
        return None if votes is None else votes.get(signer)

    def has_room(self, view: View, signer: ValidatorIndex) -> bool:
        """Tell whether a first vote of this view would be kept."""
        if len(self.by_view) < VIEWS_KEPT_MAX:
            return True
        views = self._views_of(signer)
        return len(views) < VIEWS_KEPT_MAX or view > min(views)

    def add(self, vote: Vote) -> Vote | None:
        """Keep a vote unless its signer has voted in this view already; return that first vote."""
        statement = vote.statement
        view, signer = statement.view, statement.signer
        known = self.find(view, signer)
        if known is not None or not self.has_room(view, signer):
            return known
        if len(self.by_view) >= VIEWS_KEPT_MAX:
            views = self._views_of(signer)
            if len(views) == VIEWS_KEPT_MAX:
                self._forget(min(views), signer)
        self.by_view.setdefault(view, {})[signer] = vote
        return None

    def count(self, view: View) -> int:
        """Return how many voted in a view, for whatever block."""
        return len(self.by_view.get(view, ()))

    def signers(self, view: View) -> tuple[ValidatorIndex, ...]:
        """Return who voted in a view, ascending."""
        return tuple(sorted(self.by_view.get(view, {})))

    def voters(self, view: View, block_hash: Digest) -> list[ValidatorIndex]:
        """Return who voted for one block in one view, ascending."""
        votes = self.by_view.get(view)
        if votes is None:
            return []
        return [each for each in sorted(votes) if votes[each].statement.block_hash == block_hash]

    def signatures(self, view: View, block_hash: Digest) -> tuple[CommitSignature, ...]:
        """Return the signatures for one block in one view, ascending by signer."""
        votes = self.by_view.get(view, {})
        return tuple(
            [
                CommitSignature(signer, votes[signer].signature)
                for signer in sorted(votes)
                if votes[signer].statement.block_hash == block_hash
            ]
        )

    def _views_of(self, signer: ValidatorIndex) -> list[View]:
        return [view for view, votes in self.by_view.items() if signer in votes]

    def _forget(self, view: View, signer: ValidatorIndex) -> None:
        del self.by_view[view][signer]
        if not self.by_view[view]:
            del self.by_view[view]


def bitmap_of(signers: Iterable[ValidatorIndex]) -> bytes:
    """Write a set of seats as bits, low bits first, without trailing zero byte."""
    number = sum(1 << signer for signer in set(signers))
    return number.to_bytes((number.bit_length() + 7) // 8, "little")


def has_bit(bitmap: bytes, signer: ValidatorIndex) -> bool:
    """Tell whether a seat is in a bitmap."""
    return signer // 8 < len(bitmap) and bool(bitmap[signer // 8] >> (signer % 8) & 1)
