"""
Beacon chains: each seat registers the end of its next one during the epoch before.

A node without a seat asks for one by the same statement: it needs nothing else, its first chain
must be registered before its first epoch anyway, and who asks in every epoch is there.
"""

from dataclasses import replace

from potp2p.foundation.errors import RejectionReason
from potp2p.foundation.limits import CANDIDATES_MAX
from potp2p.foundation.types import NodeId
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.ledger.context import BlockContext, Sender, require, seat_of
from potp2p.protocol.ledger.seat_records import Candidate, Candidates
from potp2p.protocol.ledger.state import State
from potp2p.protocol.wire.blocks import NO_DIGEST
from potp2p.protocol.wire.transactions import Anchor


def apply_anchor(state: State, sender: Sender, action: Anchor, context: BlockContext) -> None:
    """Take an anchor for the next epoch, once: a seat's, or with the wish for a seat."""
    chain = state.chain()
    index = seat_of(chain, sender.node)
    require(
        index is not None or may_ask(state, sender.node, context.genesis.money.validator_bond),
        RejectionReason.WRONG_SENDER,
        "neither a seat nor the bond of one",
    )
    require(
        action.epoch == chain.epoch + 1,
        RejectionReason.TOO_LATE if action.epoch <= chain.epoch else RejectionReason.TOO_EARLY,
        f"anchor for epoch {action.epoch} in epoch {chain.epoch}",
    )
    require(action.anchor != NO_DIGEST, RejectionReason.OUT_OF_BOUNDS, "empty anchor")
    if index is None:
        _ask(state, sender.node, action)
        return
    seat = chain.seats[index]
    require(seat.next_anchor == NO_DIGEST, RejectionReason.DUPLICATE, "the anchor is registered")
    seats = list(chain.seats)
    seats[index] = replace(seat, next_anchor=action.anchor)
    state.put_chain(replace(chain, seats=tuple(seats)))


def may_ask(state: State, node: NodeId, bond_min: int) -> bool:
    """Tell whether a node's bond and past let it ask for a seat."""
    account = account_of(node)
    return state.account(account).bond >= bond_min and state.convict(account) is None


def _ask(state: State, node: NodeId, action: Anchor) -> None:
    """Note a wish; a list that is full makes room for a higher bond."""
    rows = {row.node: row for row in state.candidates().rows}
    require(
        not state.chain().next_seats,
        RejectionReason.TOO_LATE,
        f"the seats of epoch {action.epoch} are fixed",
    )
    require(node not in rows, RejectionReason.DUPLICATE, "the seat was asked for")
    if len(rows) >= CANDIDATES_MAX:
        bonds = {each: state.account(account_of(each)).bond for each in rows}
        lowest = min(bonds, key=lambda each: (bonds[each], each))
        require(
            state.account(account_of(node)).bond > bonds[lowest],
            RejectionReason.RATE,
            "as many higher bonds ask for a seat as an epoch hears",
        )
        del rows[lowest]
    rows[node] = Candidate(node, action.anchor)
    state.put_candidates(Candidates(tuple(rows[each] for each in sorted(rows))))
