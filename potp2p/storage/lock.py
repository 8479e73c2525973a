"""One running node per data folder: two with one key would sign twice."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from potp2p.foundation.errors import LockedError, OperatingError

LOCK_FILE: Final = "lock"


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """
    Hold a data folder until the end of the block; LockedError when another process holds it.

    The kernel lets go when the process dies, however it dies, so a lock file left behind means
    nothing. Children must not inherit the descriptor, or they would hold the folder after us.
    """
    path = folder / LOCK_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise OperatingError(f"{path}: cannot create the lock: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise LockedError(f"{folder} is in use by process {holder}") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
