"""What a claim costs whose payload was not attested: a part of what its lease would have paid."""

from typing import Final

from potp2p.foundation.types import Amount, NodeId, TaskId
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.incentives.rewards import LeasePrice
from potp2p.protocol.ledger.context import BlockContext
from potp2p.protocol.ledger.money import burn, slash_amount
from potp2p.protocol.ledger.state import State
from potp2p.protocol.ledger.tasks import price_of
from potp2p.protocol.wire.genesis import MoneyParameters

PPM: Final = 1_000_000


def fine_unserved(state: State, context: BlockContext, task_id: TaskId, node: NodeId) -> Amount:
    """
    Take the fine for one claim from a miner's bond, or what is there, and burn it whole.

    Nobody gains by a rival's claim that fails, neither client nor validators; and what is burned
    here is no task's, so that it buys no weight. A miner that falls below the least bond by it is a
    newcomer until its pay has filled the bond again. One that has no bond loses the lease alone: a
    fresh key costs as little.
    """
    task = state.task(task_id)
    price = price_of(task.rules, task.budget, context.genesis)
    taken = slash_amount(state, account_of(node), unserved_fine(price, context.genesis.money))
    burn(state, taken, by_task=False)
    return Amount(taken)


def unserved_fine(price: LeasePrice, money: MoneyParameters) -> int:
    """Return the fine for a claim of a lease at this price."""
    return price.miner * money.unserved_fine // PPM
