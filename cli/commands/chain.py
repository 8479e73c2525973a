"""`potp2p chain`: what the chain says, proved under a sealed header."""

from typing import Annotated

import typer

from cli.options import Bootstrap, ChainHex, DataFolder, GenesisFile, Json

application = typer.Typer(help="What the chain says.", no_args_is_help=True)


@application.command("head")
def head(
    datadir: DataFolder = None,
    bootstrap: Bootstrap = None,
    genesis: GenesisFile = None,
    chain_id: ChainHex = None,
    json_output: Json = False,
) -> None:
    """Show the newest sealed height and the money of the whole chain."""
    from cli.work.chain import show_head
    from cli.work.identity import access_of

    show_head(access_of(datadir, bootstrap, genesis, chain_id), json_output=json_output)


@application.command("genesis")
def genesis_(
    datadir: DataFolder = None,
    bootstrap: Bootstrap = None,
    genesis: GenesisFile = None,
    chain_id: ChainHex = None,
    json_output: Json = False,
) -> None:
    """Show the parameters and first accounts of the chain."""
    from cli.work.chain import show_genesis
    from cli.work.identity import access_of

    show_genesis(access_of(datadir, bootstrap, genesis, chain_id), json_output=json_output)


@application.command("block")
def block(
    height: Annotated[int, typer.Argument(metavar="HEIGHT", min=1, help="Height of the block.")],
    datadir: DataFolder = None,
    bootstrap: Bootstrap = None,
    genesis: GenesisFile = None,
    chain_id: ChainHex = None,
    json_output: Json = False,
) -> None:
    """Show a decided block, its seal checked from the genesis document on."""
    from cli.work.blocks import show_block
    from cli.work.identity import access_of

    access = access_of(datadir, bootstrap, genesis, chain_id)
    show_block(access, height, json_output=json_output)


@application.command("snapshot")
def snapshot(
    datadir: DataFolder = None,
    bootstrap: Bootstrap = None,
    genesis: GenesisFile = None,
    chain_id: ChainHex = None,
    json_output: Json = False,
) -> None:
    """List the checkpoints whose state peers serve, and how a new node begins with one."""
    from cli.work.blocks import show_snapshots
    from cli.work.identity import access_of

    access = access_of(datadir, bootstrap, genesis, chain_id)
    show_snapshots(access, json_output=json_output)


@application.command("money")
def money(
    addresses: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ADDRESS]...", help="Accounts that neither record nor blocks name."
        ),
    ] = None,
    datadir: DataFolder = None,
    bootstrap: Bootstrap = None,
    genesis: GenesisFile = None,
    chain_id: ChainHex = None,
    json_output: Json = False,
) -> None:
    """Count all money under one sealed header and compare it with what should exist."""
    from cli.work.identity import access_of
    from cli.work.money import count_money

    access = access_of(datadir, bootstrap, genesis, chain_id)
    count_money(access, tuple(addresses or ()), json_output=json_output)


@application.command("repair")
def repair(
    datadir: DataFolder = None,
    yes: Annotated[
        bool, typer.Option("-y", "--yes", help="Put damaged files aside without asking.")
    ] = False,
    anyway: Annotated[
        bool,
        typer.Option(
            "--anyway", help="Also when nothing looks damaged: the disk is a copy or a backup."
        ),
    ] = False,
    json_output: Json = False,
) -> None:
    """Explain a validator's log of signatures, and put it aside where it is damaged."""
    from cli.work.repair import repair_records

    repair_records(datadir, yes=yes, anyway=anyway, json_output=json_output)
