"""What workers write on the way into the blob store never stays."""

from pathlib import Path

import pytest

from potp2p.foundation.errors import OperatingError
from potp2p.storage.scratch import ScratchFolder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "work"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_lent_file_goes_with_its_loan_and_leaves_those_of_others(folder: Path) -> None:
    scratch = ScratchFolder.open(folder)
    with scratch.lend("slow.payload") as slow:
        slow.write_bytes(b"slow")
        with scratch.lend("quick.payload") as quick:
            quick.write_bytes(b"quick")
        assert names(folder) == ["slow.payload"]
    assert names(folder) == []


def write_and_fail(scratch: ScratchFolder) -> None:
    """Die with half a file written."""
    with scratch.lend("payload") as path:
        path.write_bytes(b"half")
        raise OperatingError("the worker died")


def test_a_file_goes_also_when_the_work_fails_or_writes_nothing(folder: Path) -> None:
    scratch = ScratchFolder.open(folder)
    with pytest.raises(OperatingError, match="worker"):
        write_and_fail(scratch)
    with scratch.lend("payload"):
        pass
    assert names(folder) == []


def test_what_a_cancelled_worker_wrote_late_goes_with_the_next_loan(folder: Path) -> None:
    scratch = ScratchFolder.open(folder)
    with scratch.lend("early.payload") as early:
        pass
    early.write_bytes(b"late")
    with scratch.lend("next.payload") as path:
        half = path.with_name(f"{path.name}.1234.partial")
        half.write_bytes(b"in work")
        with scratch.lend("other.payload"):
            assert names(folder) == [half.name], "what is being written is left alone"
    assert names(folder) == []


def test_what_a_crash_left_goes_when_the_folder_is_opened(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "old.safetensors").write_bytes(b"left")
    (folder / "old.payload.77.partial").write_bytes(b"left")
    ScratchFolder.open(folder)
    assert names(folder) == []


def test_two_never_write_one_file(folder: Path) -> None:
    scratch = ScratchFolder.open(folder)
    with scratch.lend("payload"), pytest.raises(AssertionError, match="lent already"):
        scratch.lend("payload").__enter__()


def test_a_folder_that_cannot_be_made_is_said_in_one_line(folder: Path) -> None:
    folder.parent.write_bytes(b"a file where the folder should be")
    with pytest.raises(OperatingError, match="scratch folder"):
        ScratchFolder.open(folder)
