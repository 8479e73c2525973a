"""What a transaction costs: what was said, or what the network asks for, and agreed to."""

from collections.abc import Callable
from functools import partial

import trio

from cli.work.confirm import confirm
from potp2p.client.session import Client
from potp2p.foundation.amounts import format_amount, parse_amount
from potp2p.foundation.types import Amount
from potp2p.protocol.wire.transactions import Paid


def read_fee(text: str | None) -> Amount | None:
    """Read a fee that somebody typed; None: what the network asks for."""
    return None if text is None else parse_amount(text)


async def agree(
    client: Client,
    action: Paid,
    given: Amount | None,
    question: Callable[[str], str],
    *,
    yes: bool,
) -> Amount:
    """Return the fee, once a person has agreed to the question that names it."""
    fee = await client.quote(action) if given is None else given
    await trio.to_thread.run_sync(partial(confirm, question(format_amount(fee)), yes=yes))
    return fee
