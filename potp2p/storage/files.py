"""Writes that survive a power cut, and what the world's refusals are called."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

import trio

from potp2p.foundation.errors import OperatingError

Result = TypeVar("Result")


class Files(Protocol):
    """
    The few operations on a file that durability rests on; a simulated disk can stand in for them.

    All of them raise OSError. What was written is durable after `sync`, a new name after
    `sync_folder`; until then a power cut keeps all of it, none of it or some pages of it.
    """

    def open(self, path: Path) -> int:
        """Open or create a file of ours for reading and writing; return its descriptor."""

    def close(self, descriptor: int) -> None:
        """Let go of a file."""

    def read(self, descriptor: int, bytes_max: int) -> bytes:
        """Return what a file begins with."""

    def write(self, descriptor: int, content: bytes, offset: int) -> None:
        """Write all of some bytes at an offset."""

    def cut(self, descriptor: int, size: int) -> None:
        """Make a file shorter."""

    def sync(self, descriptor: int) -> None:
        """Return once the content would survive a power cut."""

    def sync_folder(self, folder: Path) -> None:
        """Return once the names in a folder would survive a power cut."""

    async def aside(self, work: Callable[[], Result]) -> Result:
        """Run what may block beside the event loop; one at a time, never abandoned."""


@dataclass(slots=True)
class LocalFiles:
    """The file system of this machine."""

    _thread: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(1))

    def open(self, path: Path) -> int:
        """Open or create a file that only we may read."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def close(self, descriptor: int) -> None:
        """Let go of a file."""
        os.close(descriptor)

    def read(self, descriptor: int, bytes_max: int) -> bytes:
        """Return what a file begins with; the kernel may hand it over in parts."""
        parts: list[bytes] = []
        offset = 0
        while offset < bytes_max:
            part = os.pread(descriptor, bytes_max - offset, offset)
            if not part:
                break
            parts.append(part)
            offset += len(part)
        return b"".join(parts)

    def write(self, descriptor: int, content: bytes, offset: int) -> None:
        """Write all of some bytes at an offset."""
        write_all(descriptor, content, offset)

    def cut(self, descriptor: int, size: int) -> None:
        """Make a file shorter."""
        os.ftruncate(descriptor, size)

    def sync(self, descriptor: int) -> None:
        """Return once the content would survive a power cut."""
        os.fdatasync(descriptor)

    def sync_folder(self, folder: Path) -> None:
        """Return once the names in a folder would survive a power cut."""
        sync_folder(folder)

    async def aside(self, work: Callable[[], Result]) -> Result:
        """Run in a thread."""
        return await trio.to_thread.run_sync(work, limiter=self._thread)


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
