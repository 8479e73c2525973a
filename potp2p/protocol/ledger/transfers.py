"""Paid actions on money: transfer, bond, unbond."""

from dataclasses import replace

from potp2p.foundation.errors import RejectionReason
from potp2p.foundation.types import Height, ValidatorIndex
from potp2p.protocol.ledger.context import BlockContext, Sender, require, seat_of
from potp2p.protocol.ledger.miners import note_bond
from potp2p.protocol.ledger.money import add_bond, credit, debit, start_unbonding
from potp2p.protocol.ledger.state import State
from potp2p.protocol.wire.transactions import Bond, Transfer, Unbond


def apply_transfer(state: State, sender: Sender, action: Transfer) -> None:
    """Move money from the sender to anyone."""
    require(action.amount > 0, RejectionReason.OUT_OF_BOUNDS, "transfer of nothing")
    debit(state, sender.account, action.amount)
    credit(state, action.recipient, action.amount)


def apply_bond(state: State, sender: Sender, action: Bond, context: BlockContext) -> None:
    """Lock the sender's money as anyone's bond."""
    require(action.amount > 0, RejectionReason.OUT_OF_BOUNDS, "bond of nothing")
    debit(state, sender.account, action.amount)
    before = state.account(action.beneficiary).bond
    add_bond(state, action.beneficiary, action.amount, sender.account)
    note_bond(state, action.beneficiary, before, context)


def apply_unbond(state: State, sender: Sender, action: Unbond, context: BlockContext) -> None:
    """
    Start the way back of an own bond; a seat keeps the least bond until it is left.

    Asking for more than what lies above it is how a validator leaves: the way back of what it
    asked for starts with the first epoch in which it holds no seat.
    """
    require(action.amount > 0, RejectionReason.OUT_OF_BOUNDS, "unbonding of nothing")
    money, chain = context.genesis.money, state.chain()
    left = state.account(sender.account).bond - action.amount
    if context.genesis.sponsor is not None and state.miner(sender.account) is not None:
        require(
            left >= money.sponsor_bond,
            RejectionReason.TOO_EARLY,
            "what the sponsor bonded is not the miner's to take",
        )
    index = seat_of(chain, sender.node)
    if index is not None and left < money.validator_bond:
        _leave(state, sender, action, index)
        return
    require(
        sender.node not in chain.next_seats or left >= money.validator_bond,
        RejectionReason.TOO_EARLY,
        "the sender was given a seat in the next epoch",
    )
    due = Height(context.height + money.unbonding_blocks)
    start_unbonding(state, sender.account, action.amount, due)


def _leave(state: State, sender: Sender, action: Unbond, index: ValidatorIndex) -> None:
    """Note that a seat is to be left with the epoch, as soon as the others can do without it."""
    chain = state.chain()
    seat, bond = chain.seats[index], state.account(sender.account).bond
    require(seat.leaving == 0, RejectionReason.DUPLICATE, "the sender leaves its seat already")
    require(
        action.amount <= bond,
        RejectionReason.INSUFFICIENT_FUNDS,
        f"bond {bond} below {action.amount}",
    )
    seats = list(chain.seats)
    seats[index] = replace(seat, leaving=action.amount)
    state.put_chain(replace(chain, seats=tuple(seats)))
