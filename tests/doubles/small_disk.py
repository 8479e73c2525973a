"""A real file system that is soon full, where this machine lets us mount one."""

import errno
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

BALLAST = "ballast"
BLOCK_BYTES = 4_096


@dataclass(frozen=True)
class SmallDisk:
    """A mounted file system of a few MiB."""

    folder: Path

    def fill(self, *, leave_bytes: int = 0) -> None:
        """Take all room but some."""
        with (self.folder / BALLAST).open("wb", buffering=0) as file:
            with suppress(OSError):
                while True:
                    file.write(bytes(1 << 16))
            with suppress(OSError):
                while True:
                    file.write(bytes(BLOCK_BYTES))
            file.truncate(max(0, file.tell() // BLOCK_BYTES * BLOCK_BYTES - leave_bytes))

    def clear(self) -> None:
        """Give the room back."""
        (self.folder / BALLAST).unlink()

    def is_full(self) -> bool:
        """Tell whether one more page does not fit."""
        path = self.folder / "probe"
        try:
            path.write_bytes(bytes(BLOCK_BYTES))
        except OSError as error:
            return error.errno == errno.ENOSPC
        finally:
            path.unlink(missing_ok=True)
        return False


@contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[SmallDisk]:
    """Mount a small file system, or skip the test where that is not permitted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "potp2p-test", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"cannot mount a small file system here: {error.strerror}")
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount a small file system here: {mounted.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        # Lazy: a process that a failed test left behind must not keep the mount.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
