"""The live screen: a trio loop that draws the newest status twice a second."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import trio
from rich.console import Console
from rich.text import Text

from potp2p.observability.status import NodeStatus
from potp2p.ui.cells import ASCII, UNICODE, Glyphs
from potp2p.ui.screen import help_page, render
from potp2p.ui.summary import summary_lines
from potp2p.ui.terminal import draw, full_screen, is_ascii_wanted, keys

_REFRESH_SECONDS: Final = 0.5


@dataclass(slots=True)
class _View:
    """What the user chose to look at."""

    help_open: bool = False


async def run_dashboard(
    snapshot: Callable[[], NodeStatus], *, ascii_only: bool = False, restart_command: str
) -> None:
    """Show the screen until the user quits; then leave a short summary behind."""
    glyphs = ASCII if ascii_only or is_ascii_wanted() else UNICODE
    source, target = sys.stdin.fileno(), sys.stdout.fileno()
    try:
        with full_screen(source, target):
            await _show(snapshot, glyphs, source, target)
    finally:
        # Also after a cancellation: the screen is gone, and these lines are what stays.
        text = "\n".join(summary_lines(snapshot(), restart_command)) + "\n"
        os.write(target, text.encode("utf-8", "replace"))


async def _show(
    snapshot: Callable[[], NodeStatus], glyphs: Glyphs, source: int, target: int
) -> None:
    console = Console(legacy_windows=False)
    view = _View()
    wake = trio.Event()

    async def obey_keys(scope: trio.CancelScope) -> None:
        nonlocal wake
        async for key in keys(source):
            if key in {"q", "Q"}:
                scope.cancel()
                return
            view.help_open = key == "?" and not view.help_open
            wake.set()
            wake = trio.Event()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(obey_keys, nursery.cancel_scope)
        while True:
            size = os.get_terminal_size(target)
            lines = (
                help_page(size.columns, size.lines, glyphs)
                if view.help_open
                else render(snapshot(), size.columns, size.lines, glyphs)
            )
            await draw(target, paint(console, lines, size.columns))
            with trio.move_on_after(_REFRESH_SECONDS):
                await wake.wait()


def paint(console: Console, lines: list[Text], width: int) -> str:
    """Return lines as terminal text, colours included, without a closing newline."""
    with console.capture() as captured:
        for index, each in enumerate(lines):
            closing = "\n" if index < len(lines) - 1 else ""
            console.print(each, end=closing, width=width, no_wrap=True, crop=False, soft_wrap=True)
    return captured.get()
