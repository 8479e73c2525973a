"""`potp2p devnet`: a whole network on this machine, from nothing to a trained model."""

from pathlib import Path
from typing import Annotated

import typer

from cli.options import ExampleChoice, Json, ModeChoice, ScreenChoice

KeptFolder = Annotated[
    Path | None,
    typer.Option(
        "-d",
        "--datadir",
        metavar="DIR",
        help="Keep the nodes' folders here [default: a temporary one, removed at the end].",
    ),
]
BlockMilliseconds = Annotated[
    int | None,
    typer.Option("--block-milliseconds", help="Block interval [default: the devnet's, 500]."),
]
Idle = Annotated[
    bool, typer.Option("--idle", help="Submit nothing: keep the network until Ctrl-C.")
]
Adversaries = Annotated[
    list[str] | None,
    typer.Option(
        "--adversary",
        metavar="KIND[=COUNT]",
        help="Put cheats into the network, one where no COUNT is given; again for further kinds. "
        "An unknown KIND lists all.",
    ),
]


def devnet(
    example: Annotated[
        ExampleChoice, typer.Option("--example", help="What is trained.")
    ] = ExampleChoice.DIGITS,
    mode: Annotated[
        ModeChoice, typer.Option("--mode", help="How a round trains.")
    ] = ModeChoice.LOCAL,
    validators: Annotated[int, typer.Option("--validators", help="Nodes that vote.")] = 4,
    miners: Annotated[int, typer.Option("--miners", help="Nodes that train.")] = 3,
    rounds: Annotated[
        int | None, typer.Option("--rounds", help="Rounds [default: the example's].")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", help="Fixes keys, genesis, package and training."),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the trained model.")
    ] = Path("out/devnet"),
    datadir: KeptFolder = None,
    text_dir: Annotated[
        Path | None,
        typer.Option("--text-dir", metavar="DIR", help="UTF-8 text for --example text."),
    ] = None,
    block_milliseconds: BlockMilliseconds = None,
    adversary: Adversaries = None,
    idle: Idle = False,
    ui: Annotated[
        ScreenChoice, typer.Option("--ui", help="auto is a live screen on a terminal.")
    ] = ScreenChoice.AUTO,
    json_output: Json = False,
) -> int:
    """Start a network, have a model trained by it, fetch the model and check everything."""
    from cli.work.devnet import DevnetChoices, run

    choices = DevnetChoices(
        example=str(example),
        mode=str(mode),
        validators=validators,
        miners=miners,
        rounds=rounds,
        seed=seed,
        out=out,
        datadir=datadir,
        text_dir=text_dir,
        block_milliseconds=block_milliseconds,
        adversaries=tuple(adversary or ()),
        idle=idle,
        screen=ui,
        json_output=json_output,
    )
    return run(choices)
