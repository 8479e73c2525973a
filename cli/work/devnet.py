"""Runs a local network under a face, ends it on a signal, prints the report."""

import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import trio

from cli.exits import ExitCode, Stopped
from cli.options import ScreenChoice
from cli.output import print_document, print_lines, say
from cli.work.signals import run_until_signal
from potp2p.devnet.faces import plain_face, show_screen
from potp2p.devnet.plan import Plan, parse_adversaries, verify_plan
from potp2p.devnet.progress import Progress
from potp2p.devnet.report import summary
from potp2p.devnet.run import run_devnet, run_idle
from potp2p.ui.screen import HEIGHT_MIN, WIDTH_MIN
from potp2p.ui.terminal import is_full_screen_possible

Document = dict[str, object]


@dataclass(frozen=True, slots=True)
class DevnetChoices:
    """What the command line said."""

    example: str
    mode: str
    validators: int
    miners: int
    rounds: int | None
    seed: int | None
    out: Path
    datadir: Path | None
    text_dir: Path | None
    block_milliseconds: int | None
    adversaries: tuple[str, ...]
    idle: bool
    screen: ScreenChoice
    json_output: bool


def run(choices: DevnetChoices) -> int:
    """Run from start to report; exit 1 when the report shows a fault."""
    adversaries = parse_adversaries(choices.adversaries)
    kept = choices.datadir is not None
    folder = choices.datadir or Path(tempfile.mkdtemp(prefix="potp2p-devnet-"))
    plan = Plan(
        example=choices.example,
        mode=choices.mode,
        validators=choices.validators,
        miners=choices.miners,
        rounds=choices.rounds,
        seed=choices.seed,
        out=choices.out.absolute(),
        folder=folder.absolute(),
        text_dir=None if choices.text_dir is None else choices.text_dir.absolute(),
        block_milliseconds=choices.block_milliseconds,
        adversaries=adversaries,
    )
    is_finished = False
    try:
        verify_plan(plan)
        document = trio.run(run_until_signal, _work(plan, choices))
        is_finished = True
    except Stopped:
        is_finished = True
        raise
    finally:
        if not is_finished and (folder / "logs").exists():
            say(f"the nodes' folders and logs stay in {folder}")
        elif not kept:
            shutil.rmtree(folder, ignore_errors=True)
    if choices.json_output:
        print_document(document)
    else:
        print_lines(*summary(document))
    supply = document["supply"]
    assert isinstance(supply, dict)
    sound = document["roots_agree"] is True and supply["expected"] == supply["actual"]
    return ExitCode.DONE if sound else ExitCode.ERROR


def _work(plan: Plan, choices: DevnetChoices) -> Callable[[], Awaitable[Document]]:
    """Return what is done until it is done, or until a signal."""

    async def job() -> Document:
        return await run_devnet(plan, _face(choices))

    async def idle() -> Document:
        is_watched = choices.screen is not ScreenChoice.NONE
        await run_idle(plan, _face(choices), _teller(choices), is_watched=is_watched)
        raise AssertionError("an idle network ends by a signal")

    return idle if choices.idle else job


def _teller(choices: DevnetChoices) -> Callable[[Document], None]:
    """Return how it is said where an idle network is; the screen needs no words beside it."""

    def tell(document: Document) -> None:
        if choices.json_output:
            print_document(document)

    return tell


def _face(choices: DevnetChoices) -> Callable[[Progress], Awaitable[None]]:
    if choices.screen is ScreenChoice.NONE:
        return _no_face
    wanted = choices.screen is not ScreenChoice.PLAIN and not choices.json_output
    if wanted and is_full_screen_possible(WIDTH_MIN, HEIGHT_MIN):
        return show_screen
    return plain_face(sys.stderr.fileno() if choices.json_output else sys.stdout.fileno())


async def _no_face(_progress: Progress) -> None:
    await trio.sleep_forever()
