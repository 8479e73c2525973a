"""A package folder is read whole before a coin is spent; a bad one is named in one line."""

from pathlib import Path

import pytest

from potp2p.client.package import load_package, prepare
from potp2p.client.progress import OVER, progress_of
from potp2p.foundation.errors import ConfigurationError
from potp2p.protocol.ledger.records import TaskStatus


def test_a_folder_without_a_task_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no task\.toml here"):
        load_package(tmp_path)
    with pytest.raises(ConfigurationError, match=r"no task\.toml here"):
        load_package(tmp_path / "absent")


@pytest.mark.parametrize(
    "content", [b"", b"= 3", b"\xff\xfe", b"[model]\n", b"x" * (1 << 17), b"[model\nname=1"]
)
def test_a_task_file_that_cannot_be_used_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "task.toml").write_bytes(content)
    with pytest.raises(ConfigurationError) as refused:
        load_package(tmp_path)
    assert "\n" not in str(refused.value)


async def test_a_preparation_that_fails_says_why_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        await prepare(["--no-such-flag"], tmp_path / "out")
    assert str(refused.value)
    assert "\n" not in str(refused.value)
    assert "Traceback" not in str(refused.value)


def test_only_waiting_and_running_tasks_go_on() -> None:
    assert set(TaskStatus) - OVER == {TaskStatus.ATTESTING, TaskStatus.RUNNING}
    assert callable(progress_of)
