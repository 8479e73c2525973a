"""The first state of a local network: bonded validators, a client with money, a sponsor."""

import time
from dataclasses import replace
from typing import Final

from potp2p.devnet.layout import Layout
from potp2p.devnet.plan import Plan
from potp2p.foundation.types import POT, Amount
from potp2p.protocol.ledger.genesis import DevnetAccounts, devnet_genesis
from potp2p.protocol.wire.genesis import GenesisAccount
from potp2p.protocol.wire.schema import encode

CLIENT_BALANCE: Final = Amount(100_000 * POT)
"""Enough for many examples."""
SPONSOR_BALANCE: Final = Amount(10_000 * POT)
"""Bonds 500 newly registered miners at 20 POT."""
PURSE_BALANCE: Final = Amount(1_000 * POT)
"""What a client that deals with itself has to play with."""
SEEDED_TIME: Final = 1_767_225_600_000
"""2026-01-01: a seed fixes the whole document, and with it the chain id."""


def genesis_document(plan: Plan, layout: Layout) -> bytes:
    """Return the document; miners are not in it, so that their number changes nothing."""
    now = time.time_ns() // 1_000_000
    genesis = devnet_genesis(
        [validator.keys for validator in layout.validators],
        DevnetAccounts(
            client=layout.client.keys.node_id,
            client_balance=CLIENT_BALANCE,
            sponsor=layout.sponsor.node_id,
            sponsor_balance=SPONSOR_BALANCE,
        ),
        time_milliseconds=now if plan.seed is None else SEEDED_TIME,
    )
    purses = [
        GenesisAccount(purse.keys.account, PURSE_BALANCE, Amount(0)) for purse in layout.purses
    ]
    accounts = sorted((*genesis.accounts, *purses), key=lambda each: each.account)
    genesis = replace(genesis, accounts=tuple(accounts))
    if plan.block_milliseconds is not None:
        consensus = replace(genesis.consensus, block_interval=plan.block_milliseconds)
        genesis = replace(genesis, consensus=consensus)
    return encode(genesis)
