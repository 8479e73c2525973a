"""The newest lines of the node's own log."""

from rich.text import Text

from potp2p.observability.status import LogLine
from potp2p.ui import format as show
from potp2p.ui.cells import Glyphs, line


def render(lines: tuple[LogLine, ...], width: int, rows: int, glyphs: Glyphs) -> list[Text]:
    """Draw exactly `rows` lines, the newest last, empty ones below."""
    shown = lines[-rows:] if rows > 0 else ()
    drawn = [
        line(width, glyphs, (f" {show.clock(each.time)} ", "dim"), f"{each.tag:<8}{each.text}")
        for each in shown
    ]
    return drawn + [line(width, glyphs) for _ in range(rows - len(drawn))]
