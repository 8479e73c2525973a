"""`potp2p simulate`: whole networks in virtual time, with faults and liars, judged by an oracle."""

from pathlib import Path
from typing import Annotated

import typer

from cli.options import Json, LevelChoice


def simulate(
    seeds: Annotated[
        str, typer.Option("--seeds", metavar="A:B", help="Seeds from A up to, not including, B.")
    ] = "0:20",
    level: Annotated[
        LevelChoice,
        typer.Option(
            "--level",
            help="Whole nodes, the consensus core, its twins, or what withheld reveals gain.",
        ),
    ] = LevelChoice.NODES,
    validators: Annotated[int, typer.Option("--validators", help="Nodes that vote.")] = 4,
    miners: Annotated[int, typer.Option("--miners", help="Nodes that author blocks.")] = 2,
    heights: Annotated[int, typer.Option("--heights", help="Blocks that each seed decides.")] = 20,
    faults: Annotated[
        str,
        typer.Option(
            "--faults",
            metavar="LIST",
            help="Kinds of fault, separated by commas, that seeds may draw; or all, or none.",
        ),
    ] = "all",
    jobs: Annotated[
        int | None, typer.Option("--jobs", help="Processes [default: one per core].")
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option("--trace", metavar="FILE", help="Write down all that happens in one seed."),
    ] = None,
    json_output: Json = False,
) -> int:
    """Run networks through faults; exit 1 when one breaks a rule or does not go on."""
    from cli.work.simulate import SimulateChoices, run

    return run(
        SimulateChoices(
            seeds=seeds,
            level=level,
            validators=validators,
            miners=miners,
            heights=heights,
            faults=faults,
            jobs=jobs,
            trace=trace,
            json_output=json_output,
        )
    )
