"""The only places where money moves: every function here keeps the supply or changes it by name."""

from dataclasses import replace
from typing import Final

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.types import AccountId, Amount, Height, NodeId, TaskId
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.ledger.records import (
    DUE_MAX,
    UNBONDINGS_MAX,
    Account,
    Chain,
    Due,
    Task,
    Unbonding,
)
from potp2p.protocol.ledger.state import State

PPM: Final = 1_000_000


def credit(state: State, account: AccountId, amount: int) -> None:
    """Add money to a balance; the caller took it from somewhere."""
    assert amount >= 0
    if amount:
        record = state.account(account)
        state.put_account(account, replace(record, balance=Amount(record.balance + amount)))


def debit(state: State, account: AccountId, amount: int) -> None:
    """Take money from a balance or raise PeerError; the caller puts it somewhere."""
    assert amount >= 0
    record = state.account(account)
    if record.balance < amount:
        raise PeerError(
            RejectionReason.INSUFFICIENT_FUNDS, f"balance {record.balance} is below {amount}"
        )
    state.put_account(account, replace(record, balance=Amount(record.balance - amount)))


def issue(state: State, account: AccountId, amount: int) -> None:
    """Create money as block subsidy."""
    chain = state.chain()
    state.put_chain(
        replace(chain, supply=Amount(chain.supply + amount), issued=Amount(chain.issued + amount))
    )
    credit(state, account, amount)


def burn(state: State, amount: int, *, by_task: bool) -> None:
    """Destroy money that the caller took; only what tasks burn feeds subsidies and weights."""
    chain = state.chain()
    state.put_chain(
        replace(
            chain,
            supply=Amount(chain.supply - amount),
            burned=Amount(chain.burned + amount),
            burned_in_cycle=Amount(chain.burned_in_cycle + (amount if by_task else 0)),
        )
    )


def spend(state: State, task_id: TaskId, amount: int) -> None:
    """Take money out of a task's escrow for its training; the caller puts it somewhere."""
    task = state.task(task_id)
    assert 0 <= amount <= task.escrow, "pay beyond the escrow"
    state.put_task(
        task_id,
        replace(task, escrow=Amount(task.escrow - amount), paid=Amount(task.paid + amount)),
    )


def add_bond(
    state: State, account: AccountId, amount: int, backer: AccountId | None = None
) -> None:
    """Add money to a bond; the caller took it from somewhere, perhaps from another account."""
    record = replace(state.account(account), bond=Amount(state.account(account).bond + amount))
    if backer is not None and backer != account:
        backed = amount + (record.backed if record.backer == backer else 0)
        if backed > record.backed or record.backer == backer:
            record = replace(record, backer=backer, backed=Amount(backed))
    state.put_account(account, record)


def start_unbonding(state: State, account: AccountId, amount: int, due: Height) -> None:
    """Move part of a bond on its way back; it can still be slashed until it arrives."""
    record = state.account(account)
    free = free_bond(record)
    if amount > free:
        raise PeerError(RejectionReason.INSUFFICIENT_FUNDS, f"free bond {free} below {amount}")
    if len(record.unbonding) >= UNBONDINGS_MAX:
        raise PeerError(RejectionReason.RATE, "too many unbondings on their way")
    waiting = state.due(due)
    if len(waiting.accounts) >= DUE_MAX:
        raise PeerError(RejectionReason.RATE, "too many unbondings end at that height")
    release_bond(state, account, amount, due)


def release_bond(state: State, account: AccountId, amount: int, due: Height) -> None:
    """Put part of a bond on its way back, whatever else is: at most one per seat and epoch."""
    record = state.account(account)
    assert amount <= record.bond
    state.put_due(due, Due((*state.due(due).accounts, account)))
    state.put_account(
        account,
        replace(
            record,
            bond=Amount(record.bond - amount),
            unbonding=(*record.unbonding, Unbonding(Amount(amount), due)),
        ),
    )


def pay_due(state: State, height: Height) -> None:
    """Pay out every unbonding that ends at a height."""
    due = state.due(height)
    for account in dict.fromkeys(due.accounts):
        record = state.account(account)
        arrived = sum(each.amount for each in record.unbonding if each.due <= height)
        state.put_account(
            account,
            replace(
                record,
                balance=Amount(record.balance + arrived),
                unbonding=tuple(each for each in record.unbonding if each.due > height),
            ),
        )
    if due.accounts:
        state.put_due(height, None)


def free_bond(record: Account) -> int:
    """Return the part of a bond that is not staked on a challenge."""
    return max(0, record.bond - record.locked)


def at_risk(record: Account) -> int:
    """Return all that a slash can reach: the bond and what is on its way back."""
    return record.bond + sum(each.amount for each in record.unbonding)


def slash(state: State, account: AccountId, share: int) -> int:
    """Take a share (ppm) of all that is bonded; returns what the caller now holds."""
    return slash_amount(state, account, at_risk(state.account(account)) * share // PPM)


def slash_amount(state: State, account: AccountId, wanted: int) -> int:
    """Take an amount, or all there is, bond first; returns what the caller now holds."""
    record = state.account(account)
    amount = min(wanted, at_risk(record))
    left = amount
    from_bond = min(left, record.bond)
    left -= from_bond
    unbonding: list[Unbonding] = []
    for each in record.unbonding:
        part = min(left, each.amount)
        left -= part
        unbonding.append(replace(each, amount=Amount(each.amount - part)))
    assert left == 0
    state.put_account(
        account,
        replace(record, bond=Amount(record.bond - from_bond), unbonding=tuple(unbonding)),
    )
    return amount


def payout_of(state: State, node: NodeId) -> AccountId:
    """Return where a node wants its pay: a miner's payout account, else its own."""
    account = account_of(node)
    miner = state.miner(account)
    return account if miner is None else miner.payout


def held(record: object | None) -> int:
    """Return the money that lies in one record; the sum over all records is the supply."""
    match record:
        case Account():
            return record.balance + at_risk(record)
        case Task():
            return record.escrow
        case Chain():
            return record.pending_tips
        case _:
            return 0
