"""What travels between simulated nodes, and the words for what becomes of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique

from potp2p.foundation.errors import PeerError
from potp2p.foundation.types import NodeId
from potp2p.network.peers import Conduct, Judgement
from potp2p.network.ports import StreamProtocol, Topic


@dataclass(frozen=True, slots=True)
class Transit:
    """One message on its way, as fault hooks see it; a reply counts as its request."""

    sender: NodeId
    receiver: NodeId
    channel: Topic | StreamProtocol
    body: bytes


@dataclass(frozen=True, slots=True)
class Penalty:
    """A fault that one node held against another."""

    judge: NodeId
    offender: NodeId
    error: PeerError

    @property
    def is_grave(self) -> bool:
        """Return whether three of them would ban."""
        conduct = Conduct(lambda: 0.0)
        judgements = [conduct.fault(self.offender, self.error.reason) for _ in range(3)]
        return judgements[-1] is Judgement.BAN


@unique
class Fate(StrEnum):
    """What became of a message."""

    SENT = "sent"
    LOST = "lost"
    """By the weather, a cut, or for want of a receiver."""
    ARRIVED = "arrived"
    ASKED = "asked"
    """A request reached the one who answers it."""
    ANSWERED = "answered"


Address = bytes
"""Where the hub finds a network: the node's id, or a name where several bear one id."""
Tamper = Callable[[Transit], Sequence[Transit]]
"""What a liar sends instead of a message."""
Forger = Callable[[StreamProtocol, bytes], bytes]
"""What a liar answers instead of the truth."""
