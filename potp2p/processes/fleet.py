"""
Processes that belong together: started in its own session, watched, and ended together.

A child asks the kernel to be killed when we die, so that even SIGKILL leaves nothing behind.
"""

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import trio

from potp2p.foundation.errors import OperatingError

TERMINATE_SECONDS: Final = 3.0
"""From SIGTERM to SIGKILL; with the second below, the end comes within 5 s."""
KILL_SECONDS: Final = 1.0
POLL_SECONDS: Final = 0.05
TAIL_BYTES: Final = 4_096
TAIL_LINES: Final = 5
_PR_SET_PDEATHSIG: Final = 1
_THREADS: Final = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Libraries that start a thread per core would fight each other; a task sets its own number."""


@dataclass(slots=True)
class Child:
    """One process and its files."""

    name: str
    process: subprocess.Popen[bytes]
    output: Path
    errors: Path

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self.process.pid

    @property
    def returncode(self) -> int | None:
        """Return how it ended, None while it runs; negative for a signal."""
        return self.process.poll()

    def last_words(self) -> str:
        """Return the end of what it wrote, errors before output, on one line."""
        for path in (self.errors, self.output):
            lines = tail(path)
            if lines:
                return " | ".join(lines)
        return "it wrote nothing"

    async def ended(self) -> int:
        """Wait for its end and return the exit code."""
        while True:
            code = self.returncode
            if code is not None:
                return code
            await trio.sleep(POLL_SECONDS)


@dataclass(slots=True)
class Fleet:
    """Owner of all children."""

    logs: Path
    """Folder of their output."""
    children: list[Child] = field(default_factory=list[Child])

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
    ) -> Child:
        """
        Start a process with its output in files.

        Blocks for some milliseconds on purpose: the kernel ties the death signal to the thread that
        forked, so this must be the main one, which lives as long as we do.
        """
        output, errors = self.logs / f"{name}.out", self.logs / f"{name}.log"
        with output.open("wb") as output_file, errors.open("wb") as errors_file:
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output_file,
                    stderr=errors_file,
                    env={**os.environ, **_THREADS, **(environment or {})},
                    start_new_session=True,
                    preexec_fn=_die_with(os.getpid()),  # noqa: PLW1509  # see the docstring
                )
            except OSError as error:
                raise OperatingError(f"cannot start {name}: {error.strerror}") from error
        child = Child(name, process, output, errors)
        self.children.append(child)
        return child

    def forget(self, child: Child) -> None:
        """Drop a child that has ended."""
        assert child.returncode is not None, "it still runs"
        self.children.remove(child)

    async def stop(self) -> None:
        """End every child: politely, then not; never cancelled, always within 5 s."""
        with trio.CancelScope(shield=True):
            self._signal(signal.SIGTERM)
            await self._wait(TERMINATE_SECONDS)
            self._signal(signal.SIGKILL)
            await self._wait(KILL_SECONDS)

    def _signal(self, number: signal.Signals) -> None:
        for child in self.children:
            if child.returncode is None:
                # Its own session: the group is the child and what it started without a session.
                os.killpg(child.pid, number)

    async def _wait(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            for child in self.children:
                await child.ended()


def tail(path: Path) -> list[str]:
    """Return the last lines of a file that is still being written, printable."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    printable = (
        "".join(letter if letter.isprintable() else "?" for letter in line) for line in lines
    )
    return list(printable)[-TAIL_LINES:]


def _die_with(parent: int) -> Callable[[], None]:
    """Return what a child does between fork and exec, so that it never outlives us."""
    library = ctypes.CDLL(None, use_errno=True)

    def prepare() -> None:
        if hasattr(library, "prctl"):
            library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

    return prepare
