"""
A terminal that is read key by key and written without ever blocking the node.

A user may stop the output with Ctrl-S or a slow link may lag: a plain write would then stop the
whole process, votes included. So every write waits for room first and is small.
"""

import os
import stat
import sys
import termios
import tty
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final

import trio

_WRITE_BYTES: Final = 256
"""The kernel says writable while fewer than this wait in a terminal's buffer."""
_KEY_BYTES: Final = 64
_OPEN_SCREEN: Final = b"\x1b[?1049h\x1b[?25l\x1b[2J"
_CLOSE_SCREEN: Final = b"\x1b[?25h\x1b[?1049l"
_HOME: Final = b"\x1b[H"


@contextmanager
def full_screen(input_descriptor: int, output_descriptor: int) -> Iterator[None]:
    """Take the alternate screen and single keys; give both back whatever happens."""
    before = termios.tcgetattr(input_descriptor)
    try:
        tty.setcbreak(input_descriptor)
        os.write(output_descriptor, _OPEN_SCREEN)
        yield
    finally:
        os.write(output_descriptor, _CLOSE_SCREEN)
        termios.tcsetattr(input_descriptor, termios.TCSADRAIN, before)


async def keys(input_descriptor: int) -> AsyncIterator[str]:
    """Yield keys as they are pressed; an escape sequence is one key; ends with the input."""
    while True:
        await trio.lowlevel.wait_readable(input_descriptor)
        pressed = os.read(input_descriptor, _KEY_BYTES)
        if not pressed:
            return
        text = pressed.decode("utf-8", "replace")
        if text.startswith("\x1b"):
            yield text
            continue
        for key in text:
            yield key


async def draw(output_descriptor: int, picture: str) -> None:
    """Write one full picture from the top left corner."""
    await _write(output_descriptor, _HOME + picture.encode("utf-8", "replace"))


async def write_line(output_descriptor: int, text: str) -> None:
    """Write one line to whatever standard output is: a terminal, a pipe or a file."""
    await _write(output_descriptor, text.encode("utf-8", "replace") + b"\n")


async def _write(output_descriptor: int, encoded: bytes) -> None:
    """Write in pieces that fit, each when there is room."""
    mode = os.fstat(output_descriptor).st_mode
    is_device = stat.S_ISCHR(mode) and not os.isatty(output_descriptor)
    is_file = stat.S_ISREG(mode) or is_device
    for start in range(0, len(encoded), _WRITE_BYTES):
        if is_file:
            # Nobody can wait for a file or /dev/null to take more, and they always do.
            await trio.lowlevel.checkpoint()
        else:
            await trio.lowlevel.wait_writable(output_descriptor)
        piece = encoded[start : start + _WRITE_BYTES]
        while piece:
            piece = piece[os.write(output_descriptor, piece) :]


def is_full_screen_possible(columns: int, rows: int) -> bool:
    """Say whether both ends are a terminal that is large and able enough."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    if os.environ.get("TERM", "dumb") in {"", "dumb"}:
        return False
    size = os.get_terminal_size(sys.stdout.fileno())
    return size.columns >= columns and size.lines >= rows


def is_ascii_wanted() -> bool:
    """Say whether the locale cannot show more than ASCII."""
    encoding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
    return encoding not in {"utf8", "utf16", "utf32"}
