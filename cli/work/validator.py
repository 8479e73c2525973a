"""Validator commands."""

from dataclasses import replace
from functools import partial

import trio

from cli.output import print_document, print_lines, say
from cli.work.confirm import confirm, expect_answer
from cli.work.fees import agree, read_fee
from cli.work.identity import Access, client_of, node_account, read_address, wallet_key
from potp2p.client.session import Client
from potp2p.foundation.amounts import CURRENCY, format_amount, parse_amount
from potp2p.foundation.errors import ConfigurationError
from potp2p.foundation.types import Amount, NodeId
from potp2p.protocol.crypto.identity import KeyPair, account_of, encode_address
from potp2p.protocol.ledger.heights import last_of
from potp2p.protocol.ledger.seat_records import Seat
from potp2p.protocol.wire.transactions import Bond
from potp2p.settings.keys import load_key

Document = dict[str, object]


def list_validators(access: Access, *, json_output: bool) -> None:
    """Print the seats, who asks for one, and the rules of their change."""
    document = trio.run(_listed, access)
    if json_output:
        print_document(document)
    else:
        print_lines(*validator_lines(document))


async def _listed(access: Access) -> Document:
    async with client_of(access) as client:
        return await validators_document(client)
    raise AssertionError("the client's context returns or raises")


async def validators_document(client: Client) -> Document:
    """Return seats and candidates as JSON values, each account proved under a sealed header."""
    height, chain = await client.height(), await client.chain()
    candidates = await client.candidates()
    rules = client.genesis.consensus
    return {
        "schema": "potp2p.validators/1",
        "height": height,
        "epoch": chain.epoch,
        "last_height_of_epoch": last_of(chain.epoch, rules),
        "seats_max": rules.seats_max,
        "bond_min": format_amount(client.genesis.money.validator_bond),
        "seats": [await _seat(client, index, seat) for index, seat in enumerate(chain.seats)],
        "candidates": [await _account(client, row.node) for row in candidates.rows],
        "next": [each.hex() for each in chain.next_seats] or None,
    }


async def _seat(client: Client, index: int, seat: Seat) -> Document:
    return {
        "seat": index,
        **await _account(client, seat.node),
        "missed_turns": seat.misses,
        "leaving": format_amount(seat.leaving) if seat.leaving else None,
        "convicted_at": seat.convicted or None,
    }


async def _account(client: Client, node: NodeId) -> Document:
    account = await client.account(account_of(node))
    return {
        "address": encode_address(account_of(node)),
        "node": node.hex(),
        "bond": format_amount(account.bond),
        "unbonding": format_amount(sum(part.amount for part in account.unbonding)),
    }


def validator_lines(document: Document) -> list[str]:
    """Return a list of validators in words."""
    seats, candidates = document["seats"], document["candidates"]
    assert isinstance(seats, list)
    assert isinstance(candidates, list)
    lines = [
        f"epoch {document['epoch']}  height {document['height']}  seats change after height "
        f"{document['last_height_of_epoch']}  least bond {document['bond_min']} {CURRENCY}"
    ]
    lines += [
        f"seat {row['seat']:<3} {row['address']}  bond {row['bond']}{_marks(row)}" for row in seats
    ]
    lines += [f"asks     {row['address']}  bond {row['bond']}" for row in candidates]
    return lines


def _marks(row: Document) -> str:
    marks = [
        f"missed {row['missed_turns']}" if row["missed_turns"] else "",
        f"leaves with {row['leaving']}" if row["leaving"] else "",
        f"signed twice (height {row['convicted_at']})" if row["convicted_at"] else "",
    ]
    return "".join(f"  {mark}" for mark in marks if mark)


def bond_money(  # what its flags say
    access: Access,
    amount_text: str,
    validator: str | None,
    fee_text: str | None,
    *,
    yes: bool,
    json_output: bool,
) -> None:
    """Quote, confirm, lock, and wait until it stands on the chain."""
    beneficiary = (
        node_account(access, "--validator ADDRESS")
        if validator is None
        else read_address(validator)
    )
    amount, fee = _some(amount_text), read_fee(fee_text)
    secret = wallet_key(access)
    expect_answer(yes=yes)
    document = trio.run(partial(_bond, access, secret, Bond(beneficiary, amount), fee, yes=yes))
    if json_output:
        print_document(document)
        return
    print_lines(str(document["transaction"]))
    say(f"on the chain; the bond is {document['bond']} {CURRENCY}")


async def _bond(
    access: Access, secret: bytes, action: Bond, given: Amount | None, *, yes: bool
) -> Document:
    beneficiary = action.beneficiary
    async with client_of(access, secret) as client:
        fee = await agree(
            client,
            action,
            given,
            lambda fee: (
                f"lock {format_amount(action.amount)} {CURRENCY} and pay a fee of {fee} from "
                f"{client.keys.address} as the bond of {encode_address(beneficiary)}?"
            ),
            yes=yes,
        )
        transaction = await client.bond(beneficiary, action.amount, fee)
        after = await client.account(beneficiary)
        least = client.genesis.money.validator_bond
        return {
            "schema": "potp2p.bond/1",
            "transaction": transaction.hex(),
            "validator": encode_address(beneficiary),
            "bond": format_amount(after.bond),
            "bond_min": format_amount(least),
            "may_ask_for_a_seat": after.bond >= least,
        }
    raise AssertionError("the client's context returns or raises")


def unbond_money(
    access: Access, amount_text: str, fee_text: str | None, *, yes: bool, json_output: bool
) -> None:
    """Quote, confirm, ask, and say what happens when; a way out has no base fee."""
    amount, fee = _some(amount_text), read_fee(fee_text) or Amount(0)
    access = replace(access, key=access.key or access.paths.identity)
    secret = _bond_key(access)
    confirm(
        f"ask for {format_amount(amount)} {CURRENCY} of the bond of "
        f"{KeyPair.from_secret(secret).address} back?",
        yes=yes,
    )
    document = trio.run(_unbond, access, secret, amount, fee)
    if json_output:
        print_document(document)
        return
    print_lines(str(document["transaction"]))
    say(
        f"the seat is left after height {document['seat_until']} at the earliest; the bond comes "
        f"{document['unbonding_blocks']} blocks later"
        if document["leaves_seat"]
        else f"comes back {document['unbonding_blocks']} blocks from now"
    )


async def _unbond(access: Access, secret: bytes, amount: Amount, fee: Amount) -> Document:
    # The bond's key is that of a node, which goes on validating meanwhile.
    async with client_of(access, secret, apart=True) as client:
        transaction = await client.unbond(amount, fee)
        return {
            "schema": "potp2p.unbond/1",
            "transaction": transaction.hex(),
            **await unbonding_document(client),
        }
    raise AssertionError("the client's context returns or raises")


async def unbonding_document(client: Client) -> Document:
    """Return what became of the client's own bond."""
    chain = await client.chain()
    after = await client.account(client.keys.account)
    leaves = any(seat.node == client.keys.node_id and seat.leaving for seat in chain.seats)
    return {
        "validator": client.keys.address,
        "bond": format_amount(after.bond),
        "unbonding": format_amount(sum(part.amount for part in after.unbonding)),
        "leaves_seat": leaves,
        "seat_until": last_of(chain.epoch, client.genesis.consensus) if leaves else None,
        "unbonding_blocks": client.genesis.money.unbonding_blocks,
    }


def _some(text: str) -> Amount:
    amount = parse_amount(text)
    if not amount:
        raise ConfigurationError(f"amount {text!r}: nothing to lock or to ask for")
    return amount


def _bond_key(access: Access) -> bytes:
    if not access.key_path.exists():
        raise ConfigurationError(f"{access.key_path}: no key here; give --key FILE")
    return load_key(access.key_path)
