"""
What this node may have signed as an author before it started: its disk cannot be asked.

A disk put back from a backup is whole and knows nothing of the bodies that were signed after it was
copied, and a second body for a height costs an author its rank, weight and leases. Nothing on such
a disk tells that it is old, so every start is treated as if it were.

A body of height h is signed on head h - 1 only. Let E be the highest head of the earlier self: what
it signed is of heights up to E + 1. A quorum (n - f) committed E, each of it with E - 1 stored, and
of any 2f + 1 others that answer after our start f + 1 belong to it, one of them honest. So 2f + 1
answers of at most a prove E <= a + 1, and the first height at which nothing was signed is a + 3.
The lowest 2f + 1 count: a few that say too much delay nobody, and as few that say too little are
not enough. Answers count, greetings do not: those may have been written before.

It costs an author its turn in the first heights after a start, unless the body that it stored
for one of them can be said again. Two processes that use one key at once are not covered.

A body without rank is not asked about here. It leaves with a proposal only, which the signing guard
refuses where a validator's past is unknown (consensus_guard.py); to wait for a quorum of others
would let n = 3f + 1 validators stand still after a power cut that f of them do not come back from.
"""

from dataclasses import dataclass, field
from typing import Final

from potp2p.foundation.committee import faulty_max
from potp2p.foundation.types import Height, NodeId
from potp2p.services.chain import ChainService

HEIGHTS_UNKNOWN: Final = 2
"""Above what others answer: each may store one height less than was sealed, and the author of the
height after that may have signed already."""


@dataclass(slots=True)
class PastBodies:
    """Owner of what validators first answered since the start."""

    own: NodeId
    chain: ChainService
    _answers: dict[NodeId, Height] = field(default_factory=dict[NodeId, Height])
    _is_over: bool = False

    def hear(self, validator: NodeId, height: Height) -> None:
        """Note the head that somebody named when we asked; seats alone are remembered."""
        if validator in self._others():
            self._answers.setdefault(validator, height)

    def unheard(self) -> tuple[NodeId, ...]:
        """Return the validators whose answer could still be needed."""
        if self.may_sign(self.chain.prospects.height):
            return ()
        return tuple(each for each in self._others() if each not in self._answers)

    def may_sign(self, height: Height) -> bool:
        """Tell whether nothing was signed at a height before the start."""
        if not self._is_over:
            others = self._others()
            answers = sorted(self._answers[each] for each in others if each in self._answers)
            needed = 2 * faulty_max(len(self.chain.prospects.nodes)) + 1
            is_known = len(answers) >= needed
            self._is_over = is_known and height > answers[needed - 1] + HEIGHTS_UNKNOWN
        return self._is_over

    def _others(self) -> tuple[NodeId, ...]:
        """Return the present seats but for our own: we do not remember for ourselves."""
        return tuple(each for each in self.chain.prospects.nodes if each != self.own)
