"""Task files on disk."""

from pathlib import Path

import pytest

from potp2p.foundation.errors import ConfigurationError
from potp2p.protocol.scheduling.task_text import render
from potp2p.settings.task_file import read_rules, read_task
from tests.protocol.scheduling.test_task_text import TASK


def test_rules_are_read_without_torch(tmp_path: Path) -> None:
    path = tmp_path / "task.toml"
    path.write_text(render(TASK))
    assert read_task(path) == TASK
    assert read_rules(path) == TASK.rules


@pytest.mark.parametrize("content", [b"\xff", b"#" * 70_000], ids=["not text", "too large"])
def test_a_file_that_is_no_task_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "task.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"task\.toml"):
        read_task(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot read"):
        read_task(tmp_path / "absent")
