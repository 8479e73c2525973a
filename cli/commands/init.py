"""`potp2p init`: set up a node on this machine."""

from typing import Annotated

import typer

from cli.options import Bootstrap, ChainHex, DataFolder, GenesisFile, RoleChoice


def init(
    role: Annotated[
        RoleChoice | None, typer.Option("--role", help="What this computer will do.")
    ] = None,
    bootstrap: Bootstrap = None,
    genesis: GenesisFile = None,
    chain_id: ChainHex = None,
    datadir: DataFolder = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Name shown to others.")
    ] = None,
    payout: Annotated[
        str | None,
        typer.Option(
            "--payout-address",
            "--payout",
            metavar="ADDRESS",
            help="Account that is paid [default: the node's own].",
        ),
    ] = None,
    listen: Annotated[
        list[str] | None,
        typer.Option("--listen", metavar="MULTIADDR", help="Where to listen; may be repeated."),
    ] = None,
    devices: Annotated[
        str | None,
        typer.Option("--devices", metavar="LIST", help="Devices to train on, such as cpu,cuda:0."),
    ] = None,
    no_input: Annotated[bool, typer.Option("--no-input", help="Never ask.")] = False,
) -> None:
    """Write config.toml, the genesis document and a node key; overwrites nothing."""
    from cli.work.identity import access_of
    from cli.work.setup import NodeChoices, set_up

    choices = NodeChoices(
        role=role,
        name=name,
        payout=payout,
        listen=tuple(listen or ()),
        devices=devices,
        no_input=no_input,
    )
    set_up(access_of(datadir, bootstrap, genesis, chain_id), choices)
