"""`potp2p verify`: compute again what others say they computed."""

from typing import Annotated

import typer

from cli.commands.explain import ContributionName
from cli.options import Bootstrap, ChainHex, DataFolder, GenesisFile, Json, KeyFile, Yes

application = typer.Typer(help="Compute again what others say they computed.", no_args_is_help=True)

Device = Annotated[
    str | None,
    typer.Option("--device", metavar="NAME", help="Such as cpu or cuda:0. [default: the first]"),
]
Dispute = Annotated[
    bool,
    typer.Option(
        "--challenge",
        help="Where the chain says otherwise, challenge it: all validators then replay. "
        "Stakes part of the bond of --key's account.",
    ),
]


@application.command("contribution")
def contribution(
    name: ContributionName,
    device: Device = None,
    challenge: Dispute = False,
    datadir: DataFolder = None,
    key: KeyFile = None,
    bootstrap: Bootstrap = None,
    genesis: GenesisFile = None,
    chain_id: ChainHex = None,
    yes: Yes = False,
    json_output: Json = False,
) -> int:
    """Replay one contribution; exit 0: honest, 1: not, 5: its files are gone."""
    from cli.work.identity import access_of
    from cli.work.verify import verify_contribution

    access = access_of(datadir, bootstrap, genesis, chain_id, key)
    return verify_contribution(
        access, name, device, challenge=challenge, yes=yes, json_output=json_output
    )


@application.command("task")
def task(
    name: Annotated[str, typer.Argument(metavar="TASK", help="Its id, or the first digits of it.")],
    rounds: Annotated[
        str | None,
        typer.Option(
            "--rounds",
            metavar="FIRST:END",
            help="Rounds from FIRST up to before END. [default: those not settled yet]",
        ),
    ] = None,
    sample: Annotated[
        int,
        typer.Option(
            "--sample", min=0, max=1_000, help="Contributions of each round to replay as well."
        ),
    ] = 0,
    device: Device = None,
    datadir: DataFolder = None,
    bootstrap: Bootstrap = None,
    genesis: GenesisFile = None,
    chain_id: ChainHex = None,
    json_output: Json = False,
) -> int:
    """Compute the checkpoints of rounds again from their payloads, bit for bit; exit 1: others."""
    from cli.work.identity import access_of
    from cli.work.verify import verify_task

    access = access_of(datadir, bootstrap, genesis, chain_id)
    return verify_task(access, name, rounds, sample, device, json_output=json_output)
