"""
Where PeerError ends up: strikes, rates and bans of every peer, by the clock it is given.

Pure bookkeeping: it decides, `host.py` disconnects. Points decay, so an honest peer that is late
now and then never collects enough; three grave faults within the window ban.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, unique
from typing import Final

from potp2p.foundation.errors import RejectionReason
from potp2p.foundation.types import NodeId

POINTS_GRAVE: Final = 40
"""What no honest program sends: three of them pass the limit, two never do."""
POINTS_LIGHT: Final = 1
"""What honest peers send when they lag, race or hurry."""
POINTS_BAN: Final = 100
POINTS_DECAY_PER_SECOND: Final = 0.1
"""A grave fault is forgotten after 400 s; ten late messages a minute never add up."""
BAN_SECONDS: Final = 600.0
"""Ten minutes; reference consensus.md section 7."""
PEERS_REMEMBERED_MAX: Final = 4_096
"""Peers with a record; the one not heard of longest is forgotten first."""

MESSAGES_PER_SECOND: Final = 1_000.0
"""A validator at an interval of zero says some 300 things a second to each other one."""
BYTES_PER_SECOND: Final = 8_000_000.0
"""Several times the blocks and transactions of a network that is as fast as its processors."""
USELESS_PER_SECOND: Final = 20.0
"""Batches of nothing new from an honest peer: a full pool, or blocks that were faster."""
BURST_SECONDS: Final = 3.0
"""A peer may save up this much: catch-up and round ends come in bursts."""

_GRAVE: Final = frozenset(
    {
        RejectionReason.MALFORMED,
        RejectionReason.OUT_OF_BOUNDS,
        RejectionReason.BAD_SIGNATURE,
        RejectionReason.WRONG_CHAIN,
        RejectionReason.EQUIVOCATION,
        RejectionReason.BAD_JUSTIFICATION,
        RejectionReason.BAD_BLOCK,
        RejectionReason.BAD_PAYLOAD,
        RejectionReason.BAD_PROOF,
    }
)


@unique
class Judgement(Enum):
    """What to do about a peer after a fault."""

    BEAR = "bear"
    BAN = "ban"


@dataclass(slots=True)
class _Record:
    """Conduct of one peer."""

    points: float
    points_at: float
    messages: float
    bytes: float
    rate_at: float
    useless: float = USELESS_PER_SECOND * BURST_SECONDS
    """What it may still send in vain."""
    banned_until: float = 0.0


@dataclass(slots=True)
class Conduct:
    """Strikes, allowances and bans of all peers."""

    clock: Callable[[], float]
    """Monotonic seconds."""
    _records: OrderedDict[NodeId, _Record] = field(default_factory=OrderedDict[NodeId, _Record])

    def fault(self, peer: NodeId, reason: RejectionReason) -> Judgement:
        """Count a fault, if it is one; the answer is BAN once the points pass the limit."""
        if reason is RejectionReason.UNPROVEN:
            return Judgement.BEAR
        record, now = self._record(peer), self.clock()
        decayed = (now - record.points_at) * POINTS_DECAY_PER_SECOND
        record.points = max(0.0, record.points - decayed)
        if reason is RejectionReason.USELESS and self._bears_useless(record, now):
            record.points_at = now
            return Judgement.BEAR
        record.points += POINTS_GRAVE if reason in _GRAVE else POINTS_LIGHT
        record.points_at = now
        if record.points < POINTS_BAN:
            return Judgement.BEAR
        record.points = 0.0
        record.banned_until = now + BAN_SECONDS
        return Judgement.BAN

    def _bears_useless(self, record: _Record, now: float) -> bool:
        """Take one from what a peer may send in vain, if it has that much left."""
        most = USELESS_PER_SECOND * BURST_SECONDS
        passed = now - record.points_at
        record.useless = min(most, record.useless + passed * USELESS_PER_SECOND)
        if record.useless < 1:
            return False
        record.useless -= 1
        return True

    def is_banned(self, peer: NodeId) -> bool:
        """Whether a peer may not connect now."""
        record = self._records.get(peer)
        return record is not None and record.banned_until > self.clock()

    def banned(self) -> int:
        """Return how many peers are banned now."""
        now = self.clock()
        return sum(1 for record in self._records.values() if record.banned_until > now)

    def allows(self, peer: NodeId, size: int) -> bool:
        """Take one message of a size from the peer's allowance, if it has that much left."""
        record, now = self._record(peer), self.clock()
        seconds = now - record.rate_at
        record.rate_at = now
        record.messages = min(
            MESSAGES_PER_SECOND * BURST_SECONDS, record.messages + seconds * MESSAGES_PER_SECOND
        )
        record.bytes = min(
            BYTES_PER_SECOND * BURST_SECONDS, record.bytes + seconds * BYTES_PER_SECOND
        )
        if record.messages < 1 or record.bytes < size:
            return False
        record.messages -= 1
        record.bytes -= size
        return True

    def _record(self, peer: NodeId) -> _Record:
        record = self._records.get(peer)
        if record is not None:
            self._records.move_to_end(peer)
            return record
        while len(self._records) >= PEERS_REMEMBERED_MAX:
            self._records.popitem(last=False)
        now = self.clock()
        record = _Record(
            points=0.0,
            points_at=now,
            messages=MESSAGES_PER_SECOND * BURST_SECONDS,
            bytes=BYTES_PER_SECOND * BURST_SECONDS,
            rate_at=now,
        )
        self._records[peer] = record
        return record
