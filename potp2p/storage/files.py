"""Writes that survive a power cut, and what the world's refusals are called."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from potp2p.foundation.errors import OperatingError


@contextmanager
def operating(path: Path, what: str) -> Iterator[None]:
    """Turn a refusal of the operating system into one line that names the file."""
    try:
        yield
    except OSError as error:
        raise OperatingError(f"{path}: cannot {what}: {error.strerror or error}") from error


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable; a synced file without a name is lost all the same."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, content: bytes, offset: int) -> None:
    """Write bytes at an offset; the kernel may take them in parts."""
    view = memoryview(content)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def replace_file(path: Path, content: bytes, draft: Path) -> None:
    """Write a file by way of a draft: after a crash it holds the old content or the new."""
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        write_all(descriptor, content, 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(draft, path)
    sync_folder(path.parent)
