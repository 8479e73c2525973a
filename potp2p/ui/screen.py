"""
The whole screen: fixed rows, exactly as wide and as high as the terminal.

Needed parts come first; what is left over goes to optional parts and then to the log.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from rich.text import Text

from potp2p.observability.status import NodeStatus
from potp2p.ui.cells import Glyphs, line, rule
from potp2p.ui.panels import chain, consensus, devices, header, log, pay, tasks, work

WIDTH_MIN: Final = 80
HEIGHT_MIN: Final = 24
_LOG_ROWS_MIN: Final = 3
_LOG_ROWS_AIM: Final = 6
_FRAME_ROWS: Final = 5
"""Two of the header, the advice, a rule and the keys."""


@dataclass(frozen=True, slots=True)
class _Part:
    """One titled part of the screen."""

    title: str
    rows_max: int
    """Rows it may take, without its title."""
    draw: Callable[[int], list[Text]]
    """Lines for a number of rows; never more than that."""
    needed: bool = True


def render(status: NodeStatus, width: int, height: int, glyphs: Glyphs) -> list[Text]:
    """Return exactly `height` lines of exactly `width` cells."""
    if width < WIDTH_MIN or height < HEIGHT_MIN:
        return _too_small(width, height, glyphs)
    room = height - _FRAME_ROWS
    lines = header.render(status, width, glyphs)
    body: list[Text] = []
    log_rows_min = 1 + _LOG_ROWS_MIN
    for part in _parts(status, width, height, glyphs):
        free = room - len(body) - log_rows_min - 1
        if not part.needed:
            free -= _LOG_ROWS_AIM - _LOG_ROWS_MIN
        if free < 1:
            continue
        drawn = part.draw(min(part.rows_max, free))
        if len(drawn) > free:
            continue
        body += [rule(width, glyphs, part.title), *drawn]
    body.append(rule(width, glyphs, "log"))
    body += log.render(status.log, width, room - len(body), glyphs)
    return [
        *lines,
        *body,
        _advice(status, width, glyphs),
        rule(width, glyphs),
        _keys(width, glyphs),
    ]


def help_page(width: int, height: int, glyphs: Glyphs) -> list[Text]:
    """What the words on the screen mean."""
    entries = (
        "",
        " accepted       contributions of this miner that the chain took into a round",
        " rejected       contributions that failed an audit: unpaid, and part of the bond is lost",
        " missed         leases whose deadline passed without an attested result",
        " being checked  accepted contributions whose audit has not closed yet",
        " earned         what the chain has paid to the payout account, all in all",
        " step/s         optimizer steps per second, as the worker process reports them",
        " live           delivered its last lease or said ready since: gets leases",
        " --             not known",
        "",
        " ? or any other key   back          q   quit: the node stops cleanly",
    )
    lines = [rule(width, glyphs, "help"), *(line(width, glyphs, entry) for entry in entries)]
    lines += [line(width, glyphs) for _ in range(height - len(lines))]
    return lines[:height]


def _parts(status: NodeStatus, width: int, height: int, glyphs: Glyphs) -> list[_Part]:
    """Return the parts for this node's role, the most important first."""
    extra = max(0, height - HEIGHT_MIN) // 3
    votes = _Part("votes", 2, lambda _rows: consensus.render(status, width, glyphs))
    machines = _Part(
        "devices",
        min(2 + len(status.devices), 4 + extra) if status.devices else 1,
        lambda rows: devices.render(status.devices, width, rows, glyphs),
    )
    leases = _Part(
        "work",
        min(3 + extra, max(3, 2 + len(status.miner.leases))) if status.miner else 1,
        lambda rows: work.render(status, width, rows, glyphs),
    )
    money = _Part("proofs and pay", 3, lambda _rows: pay.render(status, width, glyphs))
    blocks = _Part(
        "chain", 2, lambda _rows: chain.render(status, width, glyphs), status.miner is None
    )
    orders = _Part(
        "tasks",
        min(1 + len(status.tasks), 3 + extra) if status.tasks else 1,
        lambda rows: tasks.render(status.tasks, width, rows, glyphs),
        status.miner is None,
    )
    if status.miner is not None:
        return [machines, leases, money, blocks, orders]
    if status.consensus is not None:
        return [votes, machines, blocks, orders]
    return [blocks, orders]


def _advice(status: NodeStatus, width: int, glyphs: Glyphs) -> Text:
    if status.advice is not None:
        return line(width, glyphs, (f" ! {status.advice}", "bold yellow"))
    if status.reasons:
        reason = status.reasons[0]
        return line(
            width, glyphs, (f" ! {reason.code.replace('_', ' ')}: {reason.detail}", "yellow")
        )
    return line(width, glyphs)


def _keys(width: int, glyphs: Glyphs) -> Text:
    return line(width, glyphs, " ? help   q quit")


def _too_small(width: int, height: int, glyphs: Glyphs) -> list[Text]:
    words = f"potp2p needs {WIDTH_MIN}x{HEIGHT_MIN}, this is {width}x{height}   q quit"
    lines = [line(width, glyphs, words)] + [line(width, glyphs) for _ in range(height - 1)]
    return lines[:height]
