"""
The write-ahead log of a replica: two files, used in turn, synced before a vote leaves.

Each height begins a new use of the file that is not the journal now, so the last one stays whole
until the next is durable. Files keep their length between uses: overwriting what is allocated
already costs the disk one flush, where growing costs two (0.09 against 0.14 ms on ext4, measured).
"""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Self

from potp2p.foundation.errors import OperatingError, UnsafeError
from potp2p.foundation.limits import (
    JOURNAL_BYTES_KEPT,
    JOURNAL_BYTES_MAX,
    JOURNAL_ENTRY_BYTES_MAX,
)
from potp2p.storage.files import Files, LocalFiles, operating
from potp2p.storage.journal_frames import FRAME, SALT_BYTES, Form, read_content
from potp2p.storage.ports import REPAIR_HINT


@dataclass(slots=True)
class _Use:
    """One use of one file, from its head to the last frame."""

    file: int
    """Index of the file."""
    form: Form
    pending: bytearray
    """Frames, and at first the head, that are not in the file yet."""
    written: int = 0
    """Bytes in the file, all of them synced."""

    @property
    def end(self) -> int:
        return self.written + len(self.pending)


@dataclass(slots=True)
class JournalFile:
    """The journal of one data folder; made by `open`."""

    path: Path
    _files: Files
    _descriptors: tuple[int, ...]
    _use: _Use
    _entries: tuple[bytes, ...]
    _lengths: list[int]
    """Of both files, old uses included."""
    _has_failed: bool = field(default=False)

    @classmethod
    @contextmanager
    def open(cls, path: Path, files: Files | None = None) -> Iterator[Self]:
        """Open or create both files, cut away a torn tail, refuse damage before it."""
        files = LocalFiles() if files is None else files
        descriptors: list[int] = []
        try:
            with operating(path, "open the journal"):
                descriptors += (files.open(each) for each in journal_paths(path))
            with operating(path, "read the journal"):
                files.sync_folder(path.parent)
                contents = [_read(path, files, each) for each in descriptors]
                use, entries = _recover(path, files, descriptors, contents)
            lengths = [len(each) for each in contents]
            yield cls(path, files, tuple(descriptors), use, entries, lengths)
        finally:
            for descriptor in descriptors:
                files.close(descriptor)

    def entries(self) -> Sequence[bytes]:
        """Return what the journal held when it was opened, oldest first; nothing after a reset."""
        return self._entries

    def size(self) -> int:
        """Return how many bytes the journal takes."""
        return self._use.end

    def append(self, body: bytes) -> None:
        """Add at the end; in memory until `sync`, so what a crash takes was never acted upon."""
        assert 0 < len(body) <= JOURNAL_ENTRY_BYTES_MAX, len(body)
        use = self._use
        if use.end + FRAME.size + len(body) > JOURNAL_BYTES_MAX:
            raise OperatingError(f"{self.path}: journal is full; the height does not end")
        use.pending += use.form.frame(body, use.written)

    async def sync(self) -> None:
        """Return once everything appended would survive a power cut."""
        use = self._use
        batch = bytes(use.pending)
        is_first = use.written == 0
        work = partial(self._write, use.file, batch, use.written, shorten=is_first)
        await self._files.aside(work)
        # While the thread worked, more may have come; after a reset nobody looks at this use.
        del use.pending[: len(batch)]
        use.written += len(batch)

    def reset(self) -> None:
        """Begin anew: the height is decided and stored elsewhere. Touches nothing until `sync`."""
        # A use that was never written is begun anew in its place: the last durable one stays.
        file = 1 - self._use.file if self._use.written else self._use.file
        self._use = _begin(file, self._use.form.number + 1)
        self._entries = ()

    async def rewrite(self, bodies: Sequence[bytes]) -> None:
        """
        Replace everything by these entries; a crash leaves the old or the new, both synced.

        The head goes last: it is what makes the new use the journal.
        """
        fresh = _begin(1 - self._use.file, self._use.form.number + 1)
        head = bytes(fresh.pending)
        frames = bytearray()
        for body in bodies:
            # Each says that all before it was synced, which it is as soon as the head is there.
            frames += fresh.form.frame(body, len(head) + len(frames))
        assert len(head) + len(frames) <= JOURNAL_BYTES_MAX
        await self._files.aside(partial(self._write, fresh.file, bytes(frames), len(head)))
        await self._files.aside(partial(self._write, fresh.file, head, 0))
        fresh.pending.clear()
        fresh.written = len(head) + len(frames)
        self._use, self._entries = fresh, ()

    def _write(self, file: int, content: bytes, offset: int, *, shorten: bool = False) -> None:
        # After a failed sync the kernel may have dropped pages: trying again would prove nothing.
        if self._has_failed:
            raise OperatingError(f"{self.path}: a write of the journal has failed before")
        self._has_failed = True
        descriptor = self._descriptors[file]
        with operating(self.path, "write the journal"):
            if shorten and self._lengths[file] > JOURNAL_BYTES_KEPT:
                self._files.cut(descriptor, 0)
                self._lengths[file] = 0
            self._files.write(descriptor, content, offset)
            self._files.sync(descriptor)
        self._lengths[file] = max(self._lengths[file], offset + len(content))
        self._has_failed = False


def journal_paths(path: Path) -> tuple[Path, Path]:
    """Return the two files of a journal."""
    return path, path.with_name(f"{path.name}.2")


def _begin(file: int, number: int) -> _Use:
    form = Form(number, secrets.token_bytes(SALT_BYTES))
    return _Use(file, form, bytearray(form.head))


def _recover(
    path: Path, files: Files, descriptors: Sequence[int], contents: Sequence[bytes]
) -> tuple[_Use, tuple[bytes, ...]]:
    """Find the journal among the two files and cut away what broke off."""
    readings = [read_content(content) for content in contents]
    found = [(reading, file) for file, reading in enumerate(readings) if reading is not None]
    if not found:
        return _begin(0, 1), ()
    reading, file = max(found, key=lambda each: each[0].form.number)
    if reading.damage is not None:
        raise UnsafeError(
            f"{journal_paths(path)[file]}: journal is damaged at byte {reading.damage.at}, before "
            f"the entry at byte {reading.damage.before}; {REPAIR_HINT}"
        )
    files.cut(descriptors[file], reading.end)
    files.sync(descriptors[file])
    return _Use(file, reading.form, bytearray(), reading.end), reading.entries


def _read(path: Path, files: Files, descriptor: int) -> bytes:
    content = files.read(descriptor, JOURNAL_BYTES_MAX + 1)
    if len(content) > JOURNAL_BYTES_MAX:
        raise UnsafeError(f"{path}: a journal of {len(content)} bytes or more is not ours")
    return content
