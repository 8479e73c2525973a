"""`potp2p explain`: why a contribution was paid, not paid or slashed."""

from typing import Annotated

import typer

from cli.options import Bootstrap, ChainHex, DataFolder, GenesisFile, Json

application = typer.Typer(help="Why a miner was paid, not paid or slashed.", no_args_is_help=True)

ContributionName = Annotated[
    str,
    typer.Argument(
        metavar="TASK:ROUND:SHARD",
        help="The contribution; the first digits of the task's id are enough.",
    ),
]


@application.command("contribution")
def contribution(
    name: ContributionName,
    datadir: DataFolder = None,
    bootstrap: Bootstrap = None,
    genesis: GenesisFile = None,
    chain_id: ChainHex = None,
    json_output: Json = False,
) -> None:
    """Tell the life of one contribution, proved under a sealed header; exit 5: unknown."""
    from cli.work.explain import explain_contribution
    from cli.work.identity import access_of

    access = access_of(datadir, bootstrap, genesis, chain_id)
    explain_contribution(access, name, json_output=json_output)


@application.command("miner")
def miner(
    address: Annotated[
        str | None,
        typer.Argument(
            metavar="[ADDRESS]", help="Account of the rig. [default: this folder's node]"
        ),
    ] = None,
    last: Annotated[
        int, typer.Option("--last", min=1, max=100, help="How many settled contributions.")
    ] = 10,
    datadir: DataFolder = None,
    bootstrap: Bootstrap = None,
    genesis: GenesisFile = None,
    chain_id: ChainHex = None,
    json_output: Json = False,
) -> None:
    """List a miner's open and last settled contributions, one line each."""
    from cli.work.explain import explain_miner
    from cli.work.identity import access_of

    access = access_of(datadir, bootstrap, genesis, chain_id)
    explain_miner(access, address, last, json_output=json_output)
