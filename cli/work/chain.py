"""Chain commands."""

from dataclasses import asdict
from typing import cast

import trio

from cli.output import print_document, print_lines
from cli.work.identity import Access, bootstrap_of, client_of, genesis_on_disk, obtain_genesis
from potp2p.client.genesis import chain_id_of
from potp2p.foundation.amounts import format_amount
from potp2p.foundation.types import AccountId
from potp2p.protocol.crypto.identity import encode_address
from potp2p.protocol.ledger.records import Chain
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.schema import decode

Document = dict[str, object]


def show_head(access: Access, *, json_output: bool) -> None:
    """Print the chain record."""
    document = trio.run(_head, access)
    if json_output:
        print_document(document)
    else:
        print_lines(*(f"{name:<12} {value}" for name, value in document.items()))


async def _head(access: Access) -> Document:
    async with client_of(access) as client:
        height = await client.height()
        return chain_document(height, await client.chain())
    raise AssertionError("the client's context returns or raises")


def chain_document(height: int, chain: Chain) -> Document:
    """Return the chain record as JSON values."""
    return {
        "schema": "potp2p.chain/1",
        "height": height,
        "epoch": chain.epoch,
        "cycle": chain.cycle,
        "beacon": chain.beacon.hex(),
        "validators": len(chain.seats),
        "miners": len(chain.miners),
        "tasks": len(chain.tasks),
        "supply": format_amount(chain.supply),
        "issued": format_amount(chain.issued),
        "burned": format_amount(chain.burned),
    }


def show_genesis(access: Access, *, json_output: bool) -> None:
    """Print the genesis document, from disk when it is there."""
    found = genesis_on_disk(access)
    if found is None:
        found = trio.run(obtain_genesis, access, bootstrap_of(access))
    document = genesis_document(found)
    if json_output:
        print_document(document)
        return
    for name, value in document.items():
        if isinstance(value, dict):
            print_lines(f"{name}", *(f"  {key:<24} {each}" for key, each in value.items()))
        elif isinstance(value, list):
            print_lines(f"{name}", *(f"  {each}" for each in value))
        else:
            print_lines(f"{name:<26} {value}")


def genesis_document(encoded: bytes) -> Document:
    """Return a genesis document as JSON values; amounts stay base units, as they are hashed."""
    genesis = decode(Genesis, encoded)
    return {
        "schema": "potp2p.genesis/1",
        "chain_id": chain_id_of(encoded).hex(),
        "network": genesis.network,
        "time_milliseconds": genesis.time_milliseconds,
        "consensus": cast("Document", asdict(genesis.consensus)),
        "money": cast("Document", asdict(genesis.money)),
        "training": cast("Document", asdict(genesis.training)),
        "accounts": [
            {
                "address": encode_address(AccountId(each.account)),
                "balance": format_amount(each.balance),
                "bond": format_amount(each.bond),
            }
            for each in genesis.accounts
        ],
        "validators": [each.node.hex() for each in genesis.validators],
        "sponsor": None if genesis.sponsor is None else encode_address(AccountId(genesis.sponsor)),
    }
