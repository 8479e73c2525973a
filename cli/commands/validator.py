"""`potp2p validator`: who holds the seats, and how one is got and left."""

from pathlib import Path
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

application = typer.Typer(help="Seats and their bonds.", no_args_is_help=True)

Amount = Annotated[str, typer.Argument(metavar="AMOUNT", help="In POT, such as 1000.")]


@application.command("list")
def list_(
    datadir: DataFolder = None,
    bootstrap: Bootstrap = None,
    genesis: GenesisFile = None,
    chain_id: ChainHex = None,
    json_output: Json = False,
) -> None:
    """Show the seats of this epoch, who asks for one, and when they change."""
    from cli.work.identity import access_of
    from cli.work.validator import list_validators

    list_validators(access_of(datadir, bootstrap, genesis, chain_id), json_output=json_output)


@application.command("bond")
def bond(
    amount: Amount,
    validator: Annotated[
        str | None,
        typer.Option(
            "--validator",
            metavar="ADDRESS",
            help="Whose bond, also a miner's or your own. [default: this folder's node]",
        ),
    ] = None,
    datadir: DataFolder = None,
    key: KeyFile = None,
    bootstrap: Bootstrap = None,
    genesis: GenesisFile = None,
    chain_id: ChainHex = None,
    fee: Fee = None,
    yes: Yes = False,
    json_output: Json = False,
) -> None:
    """Lock money as a bond; a validator with enough of it asks for a seat while it runs."""
    from cli.work.identity import access_of
    from cli.work.validator import bond_money

    access = access_of(datadir, bootstrap, genesis, chain_id, key)
    bond_money(access, amount, validator, fee, yes=yes, json_output=json_output)


@application.command("unbond")
def unbond(
    amount: Amount,
    datadir: DataFolder = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="Key file of the bond [default: the node's]."),
    ] = None,
    bootstrap: Bootstrap = None,
    genesis: GenesisFile = None,
    chain_id: ChainHex = None,
    fee: Fee = "0",
    yes: Yes = False,
    json_output: Json = False,
) -> None:
    """Ask for a bond back; what a seat needs starts its way only once the seat is left."""
    from cli.work.identity import access_of
    from cli.work.validator import unbond_money

    access = access_of(datadir, bootstrap, genesis, chain_id, key)
    unbond_money(access, amount, fee, yes=yes, json_output=json_output)
