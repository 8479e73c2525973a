"""`potp2p start`: run the node that `init` has set up."""

from typing import Annotated

import typer

from cli.options import Bootstrap, DataFolder, RoleChoice, ScreenChoice


def start(
    role: Annotated[
        RoleChoice | None, typer.Option("--role", help="Instead of the role in config.toml.")
    ] = None,
    datadir: DataFolder = None,
    devices: Annotated[
        str | None,
        typer.Option(
            "--devices", metavar="LIST", help="Devices to train on, such as cpu,cuda:0; or all."
        ),
    ] = None,
    ui: Annotated[
        ScreenChoice | None,
        typer.Option("--ui", help="auto is the full screen on a terminal of 80x24 or more."),
    ] = None,
    ascii_only: Annotated[
        bool, typer.Option("--ascii", help="Draw the screen with ASCII only.")
    ] = False,
    listen: Annotated[
        list[str] | None,
        typer.Option("--listen", metavar="MULTIADDR", help="Where to listen; may be repeated."),
    ] = None,
    bootstrap: Bootstrap = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            "--checkpoint",
            metavar="HEIGHT:HASH",
            help="A block you trust: a new node begins with a snapshot that it proves.",
        ),
    ] = None,
) -> int:
    """Run until q, Ctrl-C or SIGTERM; then stop cleanly."""
    from cli.work.node import StartFlags, run

    flags = StartFlags(
        role=role,
        datadir=datadir,
        devices=devices,
        mode=ui,
        ascii_only=ascii_only,
        listen=tuple(listen or ()),
        bootstrap=tuple(bootstrap or ()),
        checkpoint=checkpoint,
    )
    return run(flags)
