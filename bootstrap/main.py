"""`potp2p-bootstrap`: host a node that newcomers dial first."""

import json
import sys
from pathlib import Path
from typing import Annotated, Final

import trio
import typer

from potp2p.foundation.errors import ConfigurationError, OperatingError
from potp2p.node.bootstrap import BootstrapConfiguration, Listening, run_bootstrap
from potp2p.settings.keys import load_or_create_identity

DEFAULT_LISTEN: Final = "/ip4/0.0.0.0/tcp/27680"
EXIT_ERROR: Final = 1
EXIT_CONFIGURATION: Final = 3
GENESIS_BYTES_MAX: Final = 1 << 20

application = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@application.command()
def run(
    listen: Annotated[
        list[str] | None,
        typer.Option(metavar="MULTIADDR", help=f"Address to listen on [default: {DEFAULT_LISTEN}]"),
    ] = None,
    data_dir: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the identity file identity.key.")
    ] = Path("potp2p-bootstrap-data"),
    genesis: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Genesis document to hand to newcomers.")
    ] = None,
    announce: Annotated[
        list[str] | None,
        typer.Option(metavar="MULTIADDR", help="Address told to peers instead, for cloud hosts."),
    ] = None,
    bootnodes: Annotated[
        list[str] | None,
        typer.Option(metavar="MULTIADDR", help="Other bootstrap node to stay connected to."),
    ] = None,
    json_output: Annotated[
        bool, typer.Option("--json", help="Print the addresses as one JSON line.")
    ] = False,
) -> None:
    """Host a bootstrap node: peer discovery and, with --genesis, the way into a network."""

    def report(listening: Listening) -> None:
        if json_output:
            document = {"listen": list(listening.addresses), "peer_id": listening.peer_id}
            print(json.dumps(document), flush=True)
        else:
            for address in listening.addresses:
                print(address, flush=True)

    configuration = BootstrapConfiguration(
        secret_key=load_or_create_identity(data_dir / "identity.key"),
        listen=tuple(listen or (DEFAULT_LISTEN,)),
        announce=tuple(announce or ()),
        bootstrap=tuple(bootnodes or ()),
        genesis=_read_genesis(genesis) if genesis is not None else None,
    )
    trio.run(run_bootstrap, configuration, report)


def _read_genesis(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            document = file.read(GENESIS_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigurationError(f"cannot read genesis {path}: {error.strerror}") from error
    if len(document) > GENESIS_BYTES_MAX:
        raise ConfigurationError(f"genesis {path} is larger than {GENESIS_BYTES_MAX} bytes")
    return document


def main() -> None:
    """Console entry: errors become one line and the documented exit code."""
    failure: BaseException | None = None
    try:
        application()
    except* (ConfigurationError, OperatingError) as group:
        failure = group
    # A nursery may have wrapped what ended it, and `except*` wraps everything.
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    if failure is not None:
        print(f"potp2p-bootstrap: {failure}", file=sys.stderr)
        is_configuration = isinstance(failure, ConfigurationError)
        raise SystemExit(EXIT_CONFIGURATION if is_configuration else EXIT_ERROR)


if __name__ == "__main__":
    main()
