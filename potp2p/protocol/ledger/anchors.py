"""Beacon chains: each seat registers the end of its next one during the epoch before."""

from dataclasses import replace

from potp2p.foundation.errors import RejectionReason
from potp2p.protocol.ledger.context import Sender, require, require_seat
from potp2p.protocol.ledger.state import State
from potp2p.protocol.wire.blocks import NO_DIGEST
from potp2p.protocol.wire.transactions import Anchor


def apply_anchor(state: State, sender: Sender, action: Anchor) -> None:
    """Take a seat's anchor for the next epoch, once."""
    chain = state.chain()
    index = require_seat(chain, sender.node)
    seat = chain.seats[index]
    require(
        action.epoch == chain.epoch + 1,
        RejectionReason.TOO_LATE if action.epoch <= chain.epoch else RejectionReason.TOO_EARLY,
        f"anchor for epoch {action.epoch} in epoch {chain.epoch}",
    )
    require(action.anchor != NO_DIGEST, RejectionReason.OUT_OF_BOUNDS, "empty anchor")
    require(seat.next_anchor == NO_DIGEST, RejectionReason.DUPLICATE, "the anchor is registered")
    seats = list(chain.seats)
    seats[index] = replace(seat, next_anchor=action.anchor)
    state.put_chain(replace(chain, seats=tuple(seats)))
