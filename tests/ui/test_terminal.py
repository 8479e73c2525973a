"""Lines go to whatever standard output is: a file, a pipe, nowhere, or a disk without room."""

import os
from pathlib import Path

import pytest

from potp2p.ui.terminal import write_line


async def test_line_reaches_a_file_and_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        await write_line(file.fileno(), "height 7")
    reading, writing = os.pipe()
    await write_line(writing, "height 8")

    assert path.read_text() == "height 7\n"
    assert os.read(reading, 100) == b"height 8\n"
    os.close(reading)
    os.close(writing)


async def test_line_may_go_nowhere() -> None:
    with Path("/dev/null").open("wb") as file:
        await write_line(file.fileno(), "height 7")


async def test_full_disk_under_the_log_is_an_error_with_a_name() -> None:
    with (
        Path("/dev/full").open("wb", buffering=0) as file,
        pytest.raises(OSError, match="No space left on device"),
    ):
        await write_line(file.fileno(), "height 7")
