"""`potp2p task`: have a model trained."""

from pathlib import Path
from typing import Annotated

import typer

from cli.options import (
    Bootstrap,
    ChainHex,
    DataFolder,
    ExampleChoice,
    Fee,
    GenesisFile,
    Json,
    KeyFile,
    ModeChoice,
    Yes,
)

application = typer.Typer(help="Orders for training.", no_args_is_help=True)

TaskHex = Annotated[str, typer.Argument(metavar="TASK", help="Its id, or the first digits of it.")]


@application.command("prepare")
def prepare(
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Package folder to make.")
    ],
    example: Annotated[
        ExampleChoice | None, typer.Option("--example", help="A package that comes with potp2p.")
    ] = None,
    mode: Annotated[
        ModeChoice, typer.Option("--mode", help="How a round trains.")
    ] = ModeChoice.LOCAL,
    rounds: Annotated[
        int | None, typer.Option("--rounds", min=1, help="Rounds [default: the example's].")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of weights and order.")] = 0,
    text_dir: Annotated[
        Path | None, typer.Option("--text-dir", metavar="DIR", help="Folder of UTF-8 text.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="transformers configuration.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="FILE", help="Arrays x and y in .npz.")
    ] = None,
    json_output: Json = False,
) -> None:
    """Build a package folder: model, data and rules; nothing leaves this machine."""
    from cli.work.task import PackageChoices, prepare_package

    choices = PackageChoices(
        example=None if example is None else str(example),
        mode=str(mode),
        rounds=rounds,
        seed=seed,
        text_dir=text_dir,
        config=config,
        data=data,
    )
    prepare_package(choices, out, json_output=json_output)


@application.command("submit")
def submit(
    package: Annotated[Path, typer.Argument(metavar="PACKAGE", help="Package folder.")],
    budget: Annotated[
        str | None,
        typer.Option(
            "--budget", metavar="POT", help="What you pay at most [default: task.toml's]."
        ),
    ] = None,
    datadir: DataFolder = None,
    key: KeyFile = None,
    bootstrap: Bootstrap = None,
    genesis: GenesisFile = None,
    chain_id: ChainHex = None,
    fee: Fee = None,
    yes: Yes = False,
    json_output: Json = False,
) -> None:
    """Escrow the budget and serve the package until validators hold it."""
    from cli.work.identity import access_of
    from cli.work.task import submit_package

    access = access_of(datadir, bootstrap, genesis, chain_id, key)
    submit_package(access, package, budget, fee, yes=yes, json_output=json_output)


@application.command("watch")
def watch(
    task: TaskHex,
    datadir: DataFolder = None,
    bootstrap: Bootstrap = None,
    genesis: GenesisFile = None,
    chain_id: ChainHex = None,
    json_output: Json = False,
) -> None:
    """Follow a task until it is over; exit 1 unless it finished."""
    from cli.work.identity import access_of
    from cli.work.task import watch_task

    watch_task(access_of(datadir, bootstrap, genesis, chain_id), task, json_output=json_output)


@application.command("fetch")
def fetch(
    task: TaskHex,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the model.")],
    best: Annotated[
        bool, typer.Option("--best", help="The checkpoint with the lowest loss, not the last.")
    ] = False,
    datadir: DataFolder = None,
    bootstrap: Bootstrap = None,
    genesis: GenesisFile = None,
    chain_id: ChainHex = None,
    json_output: Json = False,
) -> None:
    """Write config.json, model.safetensors and receipt.json of the newest checkpoint."""
    from cli.work.identity import access_of
    from cli.work.task import fetch_task

    access = access_of(datadir, bootstrap, genesis, chain_id)
    fetch_task(access, task, out, best=best, json_output=json_output)


@application.command("list")
def list_(
    datadir: DataFolder = None,
    bootstrap: Bootstrap = None,
    genesis: GenesisFile = None,
    chain_id: ChainHex = None,
    json_output: Json = False,
) -> None:
    """List the tasks that are not over, or not yet paid in full."""
    from cli.work.identity import access_of
    from cli.work.task import list_tasks

    list_tasks(access_of(datadir, bootstrap, genesis, chain_id), json_output=json_output)


@application.command("cancel")
def cancel(
    task: TaskHex,
    datadir: DataFolder = None,
    key: KeyFile = None,
    bootstrap: Bootstrap = None,
    genesis: GenesisFile = None,
    chain_id: ChainHex = None,
    fee: Fee = None,
    yes: Yes = False,
    json_output: Json = False,
) -> None:
    """End your task at the end of its round; the unspent budget comes back."""
    from cli.work.identity import access_of
    from cli.work.task import cancel_task

    access = access_of(datadir, bootstrap, genesis, chain_id, key)
    cancel_task(access, task, fee, yes=yes, json_output=json_output)
