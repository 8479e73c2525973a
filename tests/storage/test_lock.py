"""One process per data folder."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from potp2p.foundation.errors import LockedError
from potp2p.storage.lock import lock_folder

HOLDER = """
import sys
from pathlib import Path
from potp2p.storage.lock import lock_folder
with lock_folder(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_folder_held_by_another_process_is_refused_until_that_dies(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with (
            pytest.raises(LockedError, match=f"is in use by process {holder.pid}"),
            lock_folder(tmp_path),
        ):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with lock_folder(tmp_path):
        pass


def test_lock_can_be_taken_again_after_it_was_let_go(tmp_path: Path) -> None:
    for _ in range(2):
        with lock_folder(tmp_path / "new"):
            pass
