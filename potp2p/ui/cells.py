"""Lines of exact width: what a fixed screen is made of."""

from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.text import Text

Part = str | tuple[str, str]
"""Plain text, or text and style."""


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The few characters that are not ASCII, or their stand-ins."""

    rule: str
    full: str
    empty: str
    work: str
    wait: str
    rest: str
    fault: str
    is_ascii: bool


UNICODE: Final = Glyphs("─", "█", "░", "●", "◌", "○", "✖", is_ascii=False)
ASCII: Final = Glyphs("-", "#", ".", "*", "~", "o", "x", is_ascii=True)


def line(width: int, glyphs: Glyphs, *parts: Part, right: Part = "") -> Text:
    """Join parts into one line of exactly `width` cells, cut at the right when too long."""
    tail, tail_style = _clean(right, glyphs)
    room = width - cell_len(tail)
    text = Text(no_wrap=True, end="")
    used = 0
    for part in parts:
        content, style = _clean(part, glyphs)
        content = set_cell_size(content, min(cell_len(content), max(0, room - used)))
        text.append(content, style or None)
        used += cell_len(content)
    text.append(" " * max(0, room - used))
    text.append(set_cell_size(tail, min(cell_len(tail), width)), tail_style or None)
    return text


def rule(width: int, glyphs: Glyphs, title: str = "") -> Text:
    """A rule across the screen with a title near its left end."""
    start = f"{glyphs.rule} {title} " if title else ""
    return line(width, glyphs, (start + glyphs.rule * (width - cell_len(start)), "dim"))


def bar(width: int, glyphs: Glyphs, done: int | None, total: int | None) -> str:
    """A progress bar; empty when progress is unknown."""
    filled = min(width, width * done // total) if done is not None and total else 0
    return glyphs.full * filled + glyphs.empty * (width - filled)


def _clean(part: Part, glyphs: Glyphs) -> tuple[str, str]:
    """Replace what would move the cursor, and under ASCII everything else that is not ASCII."""
    content, style = (part, "") if isinstance(part, str) else part
    if not content.isprintable():
        content = "".join(letter if letter.isprintable() else "?" for letter in content)
    if glyphs.is_ascii and not content.isascii():
        content = content.encode("ascii", "replace").decode("ascii")
    return content, style
