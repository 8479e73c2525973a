"""Paid actions on money: transfer, bond, unbond."""

from potp2p.foundation.errors import RejectionReason
from potp2p.foundation.types import Height
from potp2p.protocol.ledger.context import BlockContext, Sender, require, seat_of
from potp2p.protocol.ledger.money import add_bond, credit, debit, start_unbonding
from potp2p.protocol.ledger.state import State
from potp2p.protocol.wire.transactions import Bond, Transfer, Unbond


def apply_transfer(state: State, sender: Sender, action: Transfer) -> None:
    """Move money from the sender to anyone."""
    require(action.amount > 0, RejectionReason.OUT_OF_BOUNDS, "transfer of nothing")
    debit(state, sender.account, action.amount)
    credit(state, action.recipient, action.amount)


def apply_bond(state: State, sender: Sender, action: Bond) -> None:
    """Lock the sender's money as anyone's bond."""
    require(action.amount > 0, RejectionReason.OUT_OF_BOUNDS, "bond of nothing")
    debit(state, sender.account, action.amount)
    add_bond(state, action.beneficiary, action.amount)


def apply_unbond(state: State, sender: Sender, action: Unbond, context: BlockContext) -> None:
    """Start the way back of an own bond; a seat keeps its bond until it is left."""
    require(action.amount > 0, RejectionReason.OUT_OF_BOUNDS, "unbonding of nothing")
    money = context.genesis.money
    if seat_of(state.chain(), sender.node) is not None:
        left = state.account(sender.account).bond - action.amount
        require(
            left >= money.validator_bond,
            RejectionReason.TOO_EARLY,
            "a validator's bond stays while it holds its seat",
        )
    elif context.genesis.sponsor is not None and state.miner(sender.account) is not None:
        left = state.account(sender.account).bond - action.amount
        require(
            left >= money.sponsor_bond,
            RejectionReason.TOO_EARLY,
            "what the sponsor bonded is not the miner's to take",
        )
    due = Height(context.height + money.unbonding_blocks)
    start_unbonding(state, sender.account, action.amount, due)
