"""What a person sees of a run: a live screen on a terminal, plain lines otherwise."""

import os
import sys
from collections.abc import Awaitable, Callable
from typing import Final

import trio
from rich.console import Console
from rich.text import Text

from potp2p.devnet.progress import NodeView, Progress
from potp2p.ui import format as show
from potp2p.ui.cells import ASCII, UNICODE, Glyphs, bar, line, rule
from potp2p.ui.dashboard import paint
from potp2p.ui.terminal import draw, full_screen, is_ascii_wanted, write_line

REFRESH_SECONDS: Final = 0.5
_SPARKS: Final = "▁▂▃▄▅▆▇█"
_SPARKS_ASCII: Final = "_.:-=+*#"


async def show_screen(progress: Progress) -> None:
    """Draw until cancelled; the terminal is as before afterwards."""
    glyphs = ASCII if is_ascii_wanted() else UNICODE
    console = Console(legacy_windows=False)
    target = sys.stdout.fileno()
    with full_screen(sys.stdin.fileno(), target):
        while True:
            size = os.get_terminal_size(target)
            lines = screen(progress, trio.current_time(), size.columns, size.lines, glyphs)
            await draw(target, paint(console, lines, size.columns))
            await trio.sleep(REFRESH_SECONDS)


def plain_face(descriptor: int) -> Callable[[Progress], Awaitable[None]]:
    """Return a face that writes each happening as one line."""

    async def show_lines(progress: Progress) -> None:
        last: tuple[float, str] | None = None
        try:
            while True:
                last = await _write_new(progress, last, descriptor)
                await trio.sleep(REFRESH_SECONDS)
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                await _write_new(progress, last, descriptor)

    return show_lines


async def _write_new(
    progress: Progress, last: tuple[float, str] | None, descriptor: int
) -> tuple[float, str] | None:
    lines = list(progress.lines)
    start = lines.index(last) + 1 if last in lines else 0
    for seconds, text in lines[start:]:
        await write_line(descriptor, f"[{seconds:7.2f} s] {text}")
    return lines[-1] if lines else None


def screen(progress: Progress, now: float, width: int, height: int, glyphs: Glyphs) -> list[Text]:
    """Return exactly `height` lines of exactly `width` cells."""
    run_time = show.duration(now - progress.started_at)
    top = [
        line(
            width,
            glyphs,
            " potp2p devnet   ",
            (progress.stage, "bold green"),
            right=f"height {show.count(progress.height)}   {run_time} ",
        ),
        rule(width, glyphs, "task"),
        line(
            width,
            glyphs,
            f" task {show.digest(progress.task or '')}   {progress.task_status or show.UNKNOWN}",
            right=f"escrow {progress.escrow or show.UNKNOWN} POT ",
        ),
        line(
            width,
            glyphs,
            " ",
            (bar(max(10, width - 30), glyphs, progress.round, progress.rounds), "green"),
            f"  round {progress.round}/{show.count(progress.rounds)}",
        ),
        line(width, glyphs, f" evaluation loss {_losses(progress.losses, width, glyphs)}"),
        rule(width, glyphs, "nodes"),
    ]
    room = max(0, height - len(top) - 3)
    nodes = [_node(view, width, glyphs) for view in progress.nodes.values()]
    if len(nodes) + 1 > room - 3:
        nodes = nodes[: max(0, room - 4)]
    heading = _row(
        width, glyphs, "name", "pid", "state", "height", "peers", "accepted", "earned POT"
    )
    body = [heading, *nodes, rule(width, glyphs, "log")]
    log_rows = max(0, height - len(top) - len(body) - 2)
    recent = list(progress.lines)[-log_rows:] if log_rows else []
    body += [line(width, glyphs, (f" {each[0]:7.2f} s  ", "dim"), each[1]) for each in recent]
    body += [line(width, glyphs) for _ in range(log_rows - len(recent))]
    bottom = [rule(width, glyphs), line(width, glyphs, " Ctrl-C ends every process")]
    lines = [*top, *body, *bottom]
    return [*lines, *(line(width, glyphs) for _ in range(height - len(lines)))][:height]


def _node(view: NodeView, width: int, glyphs: Glyphs) -> Text:
    ended = show.UNKNOWN if view.exit_code is None else f"ended {view.exit_code}"
    return _row(
        width,
        glyphs,
        view.name,
        show.UNKNOWN if view.pid is None else str(view.pid),
        ended if view.pid is None else view.state or show.UNKNOWN,
        show.count(view.height),
        show.count(view.peers),
        show.count(view.accepted),
        view.earned or show.UNKNOWN,
    )


def _row(width: int, glyphs: Glyphs, *cells: str) -> Text:
    name, pid, state, height, peers, accepted, earned = cells
    return line(
        width,
        glyphs,
        f" {name[:14]:<14} {pid:>8}  {state[:12]:<12} {height:>8} {peers:>6} {accepted:>9} "
        f"{earned[:14]:>14}",
    )


def _losses(losses: list[float], width: int, glyphs: Glyphs) -> str:
    """Draw the curve and name its ends."""
    if not losses:
        return show.UNKNOWN
    sparks = _SPARKS_ASCII if glyphs.is_ascii else _SPARKS
    shown = losses[-max(1, width - 50) :]
    low, high = min(shown), max(shown)
    span = high - low or 1.0
    curve = "".join(sparks[round((loss - low) / span * (len(sparks) - 1))] for loss in shown)
    return f"{show.loss(losses[0])}  {curve}  {show.loss(losses[-1])}"
