"""Lines go to whatever standard output is: a file, a pipe, nowhere, or a disk without room."""

import os
from pathlib import Path

import pytest

from potp2p.ui.terminal import write_line


async def write_to(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        await write_line(descriptor, text)
    finally:
        os.close(descriptor)


async def test_line_reaches_a_file_and_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "log"
    await write_to(str(path), "height 7")
    reading, writing = os.pipe()
    await write_line(writing, "height 8")

    assert path.read_text() == "height 7\n"
    assert os.read(reading, 100) == b"height 8\n"
    os.close(reading)
    os.close(writing)


async def test_line_may_go_nowhere() -> None:
    await write_to("/dev/null", "height 7")


async def test_full_disk_under_the_log_is_an_error_with_a_name() -> None:
    with pytest.raises(OSError, match="No space left on device"):
        await write_to("/dev/full", "height 7")
