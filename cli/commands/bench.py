"""`potp2p bench`: the figures of this release, measured on this machine by real processes."""

from typing import Annotated

import typer

from cli.options import Json

application = typer.Typer(
    help="Measure real processes on this machine; exit 1 when a figure misses its target.",
    no_args_is_help=True,
)

Validators = Annotated[int, typer.Option("--validators", help="Nodes that vote.")]


@application.command("footprint")
def footprint(
    seconds: Annotated[int, typer.Option("--seconds", help="Length of the window.")] = 60,
    validators: Validators = 4,
    miners: Annotated[int, typer.Option("--miners", help="Nodes with nothing to train.")] = 1,
    json_output: Json = False,
) -> int:
    """Measure memory and processor time of idle nodes without their workers."""
    from cli.work.bench import show_footprint

    return show_footprint(seconds, validators, miners, json_output=json_output)


@application.command("memory")
def memory(
    validators: Validators = 4,
    miners: Annotated[int, typer.Option("--miners", help="Nodes that train.")] = 3,
    json_output: Json = False,
) -> int:
    """Measure the summed memory of a network that trains the digits."""
    from cli.work.bench import show_memory

    return show_memory(validators, miners, json_output=json_output)


@application.command("modes")
def modes(
    rounds: Annotated[int, typer.Option("--rounds", help="Rounds of each run.")] = 20,
    seed: Annotated[int, typer.Option("--seed", help="Fixes keys, package and training.")] = 1,
    json_output: Json = False,
) -> int:
    """Compare gradient mode with 3 and 2 miners against one central process."""
    from cli.work.bench import show_modes

    return show_modes(rounds, seed, json_output=json_output)
