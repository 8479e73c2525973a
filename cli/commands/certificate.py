"""`potp2p certificate`: the sealed proof of who won a height's draw and why."""

from pathlib import Path
from typing import Annotated

import typer

from cli.options import Bootstrap, ChainHex, DataFolder, GenesisFile, Json

application = typer.Typer(
    help="Sealed proofs of who won a height's draw, and why.", no_args_is_help=True
)


@application.command("list")
def list_(
    last: Annotated[
        int, typer.Option("--last", min=1, max=1_000, help="How many cycles back.")
    ] = 10,
    datadir: DataFolder = None,
    bootstrap: Bootstrap = None,
    genesis: GenesisFile = None,
    chain_id: ChainHex = None,
    json_output: Json = False,
) -> None:
    """List one certificate of each of the last cycles that had a draw, each one verified."""
    from cli.work.certificate import list_certificates
    from cli.work.identity import access_of

    access = access_of(datadir, bootstrap, genesis, chain_id)
    list_certificates(access, last, json_output=json_output)


@application.command("export")
def export(
    height: Annotated[int, typer.Argument(metavar="HEIGHT", min=1, help="Height of the block.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="[default: certificate-HEIGHT.cbor]"),
    ] = None,
    datadir: DataFolder = None,
    bootstrap: Bootstrap = None,
    genesis: GenesisFile = None,
    chain_id: ChainHex = None,
    json_output: Json = False,
) -> None:
    """Write a certificate with header, seal and the proofs of its draw into a file."""
    from cli.work.certificate import export_certificate
    from cli.work.identity import access_of

    access = access_of(datadir, bootstrap, genesis, chain_id)
    target = out or Path(f"certificate-{height}.cbor")
    export_certificate(access, height, target, json_output=json_output)


@application.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Exported certificate.")],
    validators: Annotated[
        list[str] | None,
        typer.Option(
            "--validator",
            metavar="HEX",
            help="Key of a validator of its epoch, in seat order; repeated. "
            "[default: what the file shows, from the genesis on]",
        ),
    ] = None,
    datadir: DataFolder = None,
    genesis: GenesisFile = None,
    chain_id: ChainHex = None,
    json_output: Json = False,
) -> None:
    """Check a file offline: seal, header and draw, from the validators' keys alone."""
    from cli.work.certificate import verify_certificate
    from cli.work.identity import access_of

    access = access_of(datadir, None, genesis, chain_id)
    verify_certificate(access, file, tuple(validators or ()), json_output=json_output)
