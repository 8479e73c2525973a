"""Task commands."""

from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import trio

from cli.exits import Declined
from cli.output import print_document, print_lines, say
from cli.work.confirm import expect_answer
from cli.work.fees import agree, read_fee
from cli.work.identity import Access, client_of, wallet_key
from potp2p.client.package import Package, load_package, prepare
from potp2p.client.progress import OVER, TaskProgress, progress_of
from potp2p.client.task_names import read_digits, task_of
from potp2p.foundation.amounts import CURRENCY, format_amount, parse_amount
from potp2p.foundation.errors import ConfigurationError, OperatingError
from potp2p.foundation.types import Amount, BlobId
from potp2p.protocol.ledger.records import TaskStatus
from potp2p.protocol.scheduling.task_text import render
from potp2p.protocol.wire.blocks import NO_DIGEST
from potp2p.protocol.wire.manifests import TASK_FILE
from potp2p.protocol.wire.transactions import CancelTask, SubmitTask
from potp2p.settings.task_file import read_task

_FINISHED: Final = TaskStatus.FINISHED.name.lower()

Document = dict[str, object]


@dataclass(frozen=True, slots=True)
class PackageChoices:
    """What the command line said about a package."""

    example: str | None
    mode: str
    rounds: int | None
    seed: int
    text_dir: Path | None
    config: Path | None
    data: Path | None

    def arguments(self) -> list[str]:
        """Return the arguments of the child process that knows torch."""
        arguments = ["--mode", self.mode, "--seed", str(self.seed)]
        for flag, value in (
            ("--example", self.example),
            ("--text-dir", self.text_dir),
            ("--config", self.config),
            ("--data", self.data),
        ):
            if value is not None:
                arguments += [flag, str(value)]
        return arguments


def prepare_package(choices: PackageChoices, out: Path, *, json_output: bool) -> None:
    """Build the folder and say what is in it."""
    if choices.example is None and choices.config is None:
        raise ConfigurationError("say --example digits or text, or --config FILE with your data")
    if out.exists() and any(out.iterdir()):
        raise ConfigurationError(f"{out} is not empty; nothing was changed")
    package = trio.run(_prepare, choices, out)
    rules = package.rules
    if json_output:
        document: Document = {"schema": "potp2p.package/1", "folder": str(package.folder)}
        document |= {"bytes": package.bytes, "architecture": rules.model.architecture}
        document |= {"parameters": rules.model.parameters, "mode": rules.mode.name.lower()}
        document |= {"rounds": rules.rounds.rounds, "shards": rules.rounds.shards}
        print_document({**document, "budget": format_amount(_budget(package, None))})
        return
    say(
        f"{rules.model.architecture}, {rules.model.parameters:,} parameters, "
        f"{rules.rounds.shards} shards, {rules.rounds.rounds} rounds {rules.mode.name.lower()}, "
        f"{package.bytes:,} bytes, budget {format_amount(_budget(package, None))} {CURRENCY}"
    )
    print_lines(str(package.folder))


def submit_package(
    access: Access,
    folder: Path,
    budget_text: str | None,
    fee_text: str | None,
    *,
    yes: bool,
    json_output: bool,
) -> None:
    """Quote, confirm, escrow and serve."""
    fee = read_fee(fee_text)
    package = load_package(folder)
    budget = _budget(package, budget_text)
    secret = wallet_key(access)
    expect_answer(yes=yes)
    document = trio.run(partial(_submit, access, secret, package, budget, fee, yes=yes))
    if json_output:
        print_document(document)
    else:
        print_lines(str(document["task"]))


async def _submit(
    access: Access,
    secret: bytes,
    package: Package,
    budget: Amount,
    given: Amount | None,
    *,
    yes: bool,
) -> Document:
    async with client_of(access, secret) as client:
        # The root is not known yet; every root takes as many bytes.
        fee = await agree(
            client,
            SubmitTask(BlobId(NO_DIGEST), budget, package.rules),
            given,
            lambda fee: (
                f"escrow {format_amount(budget)} {CURRENCY} and pay a fee of {fee}? "
                "Model, data and result are public."
            ),
            yes=yes,
        )
        task = await client.submit_task(package, budget, fee)
        say(f"task {task.hex()} is on the chain; serving the package until validators hold it")
        record = await client.serve_until_attested(task)
        height = await client.height()
    if record.status in OVER and record.status is not TaskStatus.FINISHED:
        raise OperatingError(f"task {task.hex()} was not taken: {record.status.name.lower()}")
    document: Document = {"schema": "potp2p.submission/1", "task": task.hex(), "height": height}
    return {**document, "status": record.status.name.lower(), "budget": format_amount(budget)}


def watch_task(access: Access, text: str, *, json_output: bool) -> None:
    """Print progress until the task is over."""
    last = trio.run(partial(_watch, access, read_digits(text), json_output=json_output))
    if last.status != _FINISHED:
        raise OperatingError(f"task {last.task} ended: {last.reason or last.status}")


async def _watch(access: Access, digits: str, *, json_output: bool) -> TaskProgress:
    last: TaskProgress | None = None
    async with client_of(access) as client:
        async for progress in client.progress(await task_of(client, digits)):
            last = progress
            if json_output:
                print_document(progress_document(progress))
            else:
                print_lines(progress_line(progress))
    assert last is not None, "a task that exists has at least one state"
    return last


def progress_document(progress: TaskProgress) -> Document:
    """Return one look at a task as JSON values."""
    document: Document = {"schema": "potp2p.task/1", **asdict(progress)}
    for name in ("budget", "escrow", "paid"):
        document[name] = format_amount(getattr(progress, name))
    return document


def progress_line(progress: TaskProgress) -> str:
    """Return one look at a task as a line."""
    loss = f"{progress.losses[-1]:.4f}" if progress.losses else "--"
    reason = "" if progress.reason is None else f"  {progress.reason}"
    return (
        f"height {progress.height:,}  {progress.status}  round {progress.round}/{progress.rounds}  "
        f"evaluation loss {loss}  escrow {format_amount(progress.escrow)} {CURRENCY}{reason}"
    )


def fetch_task(access: Access, text: str, out: Path, *, best: bool, json_output: bool) -> None:
    """Write the model's files."""
    if out.exists() and not out.is_dir():
        raise ConfigurationError(f"{out} is not a folder")
    document = trio.run(_fetch, access, read_digits(text), out, best)
    if json_output:
        print_document(document)
    else:
        print_lines(str(document["folder"]))
        say(f"checkpoint {document['checkpoint']} of round {document['round']}")


async def _fetch(access: Access, digits: str, out: Path, best: bool) -> Document:
    async with client_of(access) as client:
        model = await client.fetch_model(await task_of(client, digits), out, best=best)
    document: Document = {"schema": "potp2p.model/1", "folder": str(model.folder)}
    return {**document, "checkpoint": model.checkpoint, "round": model.round, "loss": model.loss}


def list_tasks(access: Access, *, json_output: bool) -> None:
    """Print the tasks of the chain record."""
    tasks = trio.run(_list, access)
    if json_output:
        rows = [progress_document(progress) for progress in tasks]
        print_document({"schema": "potp2p.tasks/1", "tasks": rows})
        return
    if not tasks:
        say("no task is open; explain and task take the first digits of one that is over")
    for progress in tasks:
        print_lines(f"{progress.task}  {progress_line(progress)}")


async def _list(access: Access) -> list[TaskProgress]:
    async with client_of(access) as client:
        chain = await client.chain()
        height = await client.height()
        identifiers = dict.fromkeys((*chain.tasks, *chain.unsettled))
        return [progress_of(each, await client.task(each), height) for each in identifiers]
    raise AssertionError("the client's context returns or raises")


def cancel_task(
    access: Access, text: str, fee_text: str | None, *, yes: bool, json_output: bool
) -> None:
    """Sign and send a cancellation."""
    digits, fee = read_digits(text), read_fee(fee_text)
    secret = wallet_key(access)
    expect_answer(yes=yes)
    document = trio.run(partial(_cancel, access, secret, digits, fee, yes=yes))
    if json_output:
        print_document(document)
    else:
        print_lines(str(document["transaction"]))


async def _cancel(
    access: Access, secret: bytes, digits: str, given: Amount | None, *, yes: bool
) -> Document:
    async with client_of(access, secret) as client:
        task = await task_of(client, digits)
        record = await client.task(task)
        if record.client != client.keys.node_id:
            raise Declined(f"task {task.hex()} was ordered by another account")
        fee = await agree(
            client,
            CancelTask(task),
            given,
            lambda fee: f"cancel task {task.hex()} for a fee of {fee} {CURRENCY}?",
            yes=yes,
        )
        transaction = await client.cancel_task(task, fee)
    document: Document = {"schema": "potp2p.cancellation/1", "task": task.hex()}
    return {**document, "transaction": transaction.hex()}


def _budget(package: Package, text: str | None) -> Amount:
    if text is not None:
        return parse_amount(text)
    return read_task(package.folder / TASK_FILE).budget


async def _prepare(choices: PackageChoices, out: Path) -> Package:
    package = await prepare(choices.arguments(), out)
    if choices.rounds is None:
        return package
    path = out / TASK_FILE
    task = read_task(path)
    rounds = replace(task.rules.rounds, rounds=choices.rounds)
    path.write_text(render(replace(task, rules=replace(task.rules, rounds=rounds))))
    return load_package(out)
