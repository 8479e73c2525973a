"""Wallet commands."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import trio

from cli.output import print_document, print_lines, say
from cli.work.confirm import expect_answer
from cli.work.fees import agree, read_fee
from cli.work.identity import Access, access_of, client_of, read_address, wallet_key
from potp2p.client.session import Client
from potp2p.foundation.amounts import CURRENCY, format_amount, parse_amount
from potp2p.foundation.types import AccountId, Amount
from potp2p.protocol.crypto.identity import KeyPair, encode_address
from potp2p.protocol.wire.transactions import Transfer
from potp2p.settings.keys import create_key

Document = dict[str, object]


def new_wallet(datadir: Path | None, key: Path | None, *, json_output: bool) -> None:
    """Make the key file and show its address."""
    path = access_of(datadir, None, None, None, key).key_path
    address = KeyPair.from_secret(create_key(path)).address
    if json_output:
        print_document({"schema": "potp2p.wallet/1", "address": address, "file": str(path)})
        return
    say(f"wrote {path}: whoever has this file has the money. Keep a copy somewhere safe.")
    print_lines(address)


def show_wallet(datadir: Path | None, key: Path | None, *, json_output: bool) -> None:
    """Show address and file of the wallet."""
    access = access_of(datadir, None, None, None, key)
    address = KeyPair.from_secret(wallet_key(access)).address
    if json_output:
        document: Document = {"schema": "potp2p.wallet/1", "address": address}
        print_document({**document, "file": str(access.key_path)})
    else:
        print_lines(address)


def show_balances(access: Access, texts: Sequence[str], *, json_output: bool) -> None:
    """Show the accounts of addresses, or the wallet's own."""
    accounts = [read_address(text) for text in texts]
    if not accounts:
        accounts = [KeyPair.from_secret(wallet_key(access)).account]
    document = trio.run(_balances, access, accounts)
    if json_output:
        print_document(document)
        return
    rows = document["accounts"]
    assert isinstance(rows, list)
    for row in rows:
        print_lines(
            f"{row['address']}  {row['balance']} {CURRENCY}"
            + (f"  bond {row['bond']}" if row["bond"] != "0" else "")
            + (f"  unbonding {row['unbonding']}" if row["unbonding"] != "0" else "")
        )


async def _balances(access: Access, accounts: Sequence[AccountId]) -> Document:
    async with client_of(access) as client:
        rows = [await _row(client, account) for account in accounts]
        height = await client.height()
    return {"schema": "potp2p.balance/1", "height": height, "currency": CURRENCY, "accounts": rows}


async def _row(client: Client, account_id: AccountId) -> Document:
    account = await client.account(account_id)
    return {
        "address": encode_address(account_id),
        "balance": format_amount(account.balance),
        "bond": format_amount(account.bond),
        "unbonding": format_amount(sum(part.amount for part in account.unbonding)),
        "nonce": account.nonce,
    }


def send_money(
    access: Access,
    address: str,
    amount_text: str,
    fee_text: str | None,
    *,
    yes: bool,
    json_output: bool,
) -> None:
    """Quote, confirm, sign and wait until it stands on the chain."""
    recipient = read_address(address)
    amount, fee = parse_amount(amount_text), read_fee(fee_text)
    secret = wallet_key(access)
    expect_answer(yes=yes)
    document = trio.run(partial(_send, access, secret, Transfer(recipient, amount), fee, yes=yes))
    if json_output:
        print_document(document)
    else:
        print_lines(f"{document['transaction']}")
        say(f"on the chain; balance {document['balance']} {CURRENCY}")


async def _send(
    access: Access, secret: bytes, action: Transfer, given: Amount | None, *, yes: bool
) -> Document:
    async with client_of(access, secret, apart=True) as client:
        amount, address = format_amount(action.amount), encode_address(action.recipient)
        fee = await agree(
            client,
            action,
            given,
            lambda fee: (
                f"send {amount} {CURRENCY} and a fee of {fee} from {client.keys.address} "
                f"to {address}?"
            ),
            yes=yes,
        )
        transaction = await client.transfer(action.recipient, action.amount, fee)
        after = await client.account(client.keys.account)
        height = await client.height()
    return {
        "schema": "potp2p.transfer/1",
        "transaction": transaction.hex(),
        "height": height,
        "balance": format_amount(after.balance),
    }
