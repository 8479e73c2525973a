"""`potp2p wallet`: a key that holds money, apart from the keys of rigs."""

from typing import Annotated

import typer

from cli.options import (
    Bootstrap,
    ChainHex,
    DataFolder,
    Fee,
    GenesisFile,
    Json,
    KeyFile,
    Yes,
)

application = typer.Typer(help="Keys and money.", no_args_is_help=True)


@application.command("new")
def new(datadir: DataFolder = None, key: KeyFile = None, json_output: Json = False) -> None:
    """Make a key file that only you can read, and show its address."""
    from cli.work.wallet import new_wallet

    new_wallet(datadir, key, json_output=json_output)


@application.command("show")
def show(datadir: DataFolder = None, key: KeyFile = None, json_output: Json = False) -> None:
    """Show the address of the wallet; needs no network."""
    from cli.work.wallet import show_wallet

    show_wallet(datadir, key, json_output=json_output)


@application.command("balance")
def balance(
    addresses: Annotated[
        list[str] | None, typer.Argument(metavar="[ADDRESS]...", help="Others than your own.")
    ] = None,
    datadir: DataFolder = None,
    key: KeyFile = None,
    bootstrap: Bootstrap = None,
    genesis: GenesisFile = None,
    chain_id: ChainHex = None,
    json_output: Json = False,
) -> None:
    """Show balances, each proved under a sealed header."""
    from cli.work.identity import access_of
    from cli.work.wallet import show_balances

    access = access_of(datadir, bootstrap, genesis, chain_id, key)
    show_balances(access, tuple(addresses or ()), json_output=json_output)


@application.command("send")
def send(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Who is paid.")],
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="In POT, such as 1.25.")],
    datadir: DataFolder = None,
    key: KeyFile = None,
    bootstrap: Bootstrap = None,
    genesis: GenesisFile = None,
    chain_id: ChainHex = None,
    fee: Fee = None,
    yes: Yes = False,
    json_output: Json = False,
) -> None:
    """Pay somebody; returns once the transfer stands on the chain."""
    from cli.work.identity import access_of
    from cli.work.wallet import send_money

    access = access_of(datadir, bootstrap, genesis, chain_id, key)
    send_money(access, address, amount, fee, yes=yes, json_output=json_output)
