"""What a block knows besides the state: height, genesis rules, author, parent's frame."""

from dataclasses import dataclass

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.types import AccountId, ChainId, Height, NodeId, Rank, ValidatorIndex
from potp2p.protocol.ledger.records import Chain
from potp2p.protocol.wire.blocks import RANK_NONE
from potp2p.protocol.wire.genesis import Genesis


@dataclass(frozen=True, slots=True)
class BlockContext:
    """The frame of reference of one block."""

    chain_id: ChainId
    genesis: Genesis
    height: Height
    author: NodeId
    rank: Rank
    revealer: NodeId | None
    """
    Primary that revealed in the parent's frame, which may have lost its seat since.

    None at height 1, and where it had no secret to reveal.
    """

    @property
    def ranked(self) -> bool:
        """Tell whether a miner's lottery win wrote this block."""
        return self.rank != RANK_NONE


@dataclass(frozen=True, slots=True)
class Sender:
    """Who signed a transaction."""

    node: NodeId
    account: AccountId


def seat_of(chain: Chain, node: NodeId) -> ValidatorIndex | None:
    """Return a node's seat in the epoch in force."""
    for index, seat in enumerate(chain.seats):
        if seat.node == node:
            return ValidatorIndex(index)
    return None


def require(condition: bool, reason: RejectionReason, detail: str) -> None:  # noqa: FBT001
    """Raise PeerError unless a rule is kept."""
    if not condition:
        raise PeerError(reason, detail)
