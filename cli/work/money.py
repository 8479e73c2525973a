"""
Counts all money of the chain, account by account, and compares it with what should exist.

Every record is proved under a sealed header, and all under the same one: the sum is of one moment.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

import trio

from cli.output import print_document, print_lines, say
from cli.work.identity import Access, client_of, read_address
from potp2p.client.history import accounts_in_blocks
from potp2p.client.session import Client
from potp2p.foundation.amounts import CURRENCY, format_amount
from potp2p.foundation.errors import OperatingError
from potp2p.foundation.types import AccountId, Digest
from potp2p.protocol.crypto.identity import account_of, encode_address
from potp2p.protocol.ledger.keys import account_key, chain_key, miner_key, task_key
from potp2p.protocol.ledger.records import Account, Chain, Miner, Task
from potp2p.protocol.wire.schema import decode

ATTEMPTS_MAX: Final = 40
"""A block that comes between two answers spoils the sum; devnet blocks come twice a second."""

Record = TypeVar("Record")
Document = dict[str, object]


class _Moved(Exception):
    """A block came between two answers."""


@dataclass(slots=True)
class _Moment:
    """Reads records under one sealed header."""

    client: Client
    height: int | None = None
    _root: Digest | None = field(default=None)

    async def read(self, kind: type[Record], key: bytes) -> Record | None:
        """Return a record as of the moment, None when it does not exist."""
        proved = await self.client.query(key)
        body = proved.header.body
        if self._root is None:
            self._root, self.height = body.state_root, body.height
        if (body.state_root, body.height) != (self._root, self.height):
            raise _Moved
        return None if proved.value is None else decode(kind, proved.value)


def count_money(access: Access, texts: Sequence[str], *, json_output: bool) -> None:
    """Print the sum and what it should be; an error when they differ."""
    more = [read_address(text) for text in texts]
    document = trio.run(_count_at_one_height, access, more)
    if json_output:
        print_document(document)
    else:
        print_lines(
            f"height    {document['height']}",
            f"expected  {document['expected']} {CURRENCY}",
            f"actual    {document['actual']} {CURRENCY}",
        )
    if document["expected"] != document["actual"]:
        raise OperatingError("the accounts of the chain do not add up to what should exist")
    say("all money is accounted for")


async def _count_at_one_height(access: Access, more: Sequence[AccountId]) -> Document:
    named = False
    async with client_of(access) as client:
        for _ in range(ATTEMPTS_MAX):
            try:
                document = await _count(client, more)
            except _Moved:
                continue
            if document["expected"] == document["actual"] or named:
                return document
            # Somebody was paid whom the chain record does not name: the blocks do.
            named = True
            more = (*more, *await accounts_in_blocks(client, await client.height()))
    raise OperatingError(f"blocks came faster than {ATTEMPTS_MAX} attempts to count")


async def _count(client: Client, more: Sequence[AccountId]) -> Document:
    moment = _Moment(client)
    chain = await moment.read(Chain, chain_key())
    assert chain is not None, "the chain record always exists"
    genesis = {
        AccountId(each.account): each.balance + each.bond for each in client.genesis.accounts
    }
    miners: dict[AccountId, Miner] = {}
    for account_id in chain.miners:
        miner = await moment.read(Miner, miner_key(AccountId(account_id)))
        assert miner is not None, "the chain record names registered miners"
        miners[AccountId(account_id)] = miner
    tasks: dict[bytes, Task] = {}
    for task_id in dict.fromkeys((*chain.tasks, *chain.unsettled)):
        task = await moment.read(Task, task_key(task_id))
        assert task is not None, "the chain record names tasks that exist"
        tasks[task_id] = task
    named = (
        *genesis,
        *(account_of(seat.node) for seat in chain.seats),
        *miners,
        *(AccountId(miner.payout) for miner in miners.values()),
        *(account_of(task.client) for task in tasks.values()),
        *more,
    )
    totals: dict[AccountId, int] = {}
    for account_id in dict.fromkeys(named):
        account = await moment.read(Account, account_key(account_id))
        totals[account_id] = 0 if account is None else _total(account)
    held = sum(task.escrow for task in tasks.values()) + chain.pending_tips
    sponsored = client.genesis.money.sponsor_bond
    gains = {
        account_id: total - genesis.get(account_id, sponsored if account_id in miners else 0)
        for account_id, total in totals.items()
    }
    return {
        "schema": "potp2p.money/1",
        "height": moment.height,
        "expected": format_amount(sum(genesis.values()) + chain.issued - chain.burned),
        "actual": format_amount(sum(totals.values()) + held),
        "recorded": format_amount(chain.supply),
        "issued": format_amount(chain.issued),
        "burned": format_amount(chain.burned),
        "held": format_amount(held),
        "unsettled": [task_id.hex() for task_id in tasks],
        "accounts": {encode_address(key): format_amount(total) for key, total in totals.items()},
        "gains": {encode_address(key): format_amount(gain) for key, gain in gains.items()},
    }


def _total(account: Account) -> int:
    return account.balance + account.bond + sum(part.amount for part in account.unbonding)
