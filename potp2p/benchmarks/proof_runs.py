"""
The runs of `bench proof`, each in a process of its own, and the folder in which they are kept.

A full measurement takes about an hour, so what is finished is written down at once. A kept run is
used again only under the same code and the same question: its file is named by a hash of both.
"""

import json
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Final, cast

import trio

import potp2p
from potp2p.foundation.errors import ConfigurationError, OperatingError

Document = dict[str, object]
ERROR_WORDS_MAX: Final = 300
NAME_DIGITS: Final = 16


@dataclass(frozen=True, slots=True)
class Run:
    """One process to ask: a JSON object in, a JSON object out."""

    name: str
    command: tuple[str, ...]
    question: Mapping[str, object]
    about: str
    """Who takes part, for people."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A run that gave no answer, and why."""

    name: str
    words: str


@dataclass(frozen=True, slots=True)
class Shelf:
    """A folder of finished runs, or nowhere."""

    folder: Path | None

    def __post_init__(self) -> None:
        """Make the folder, or raise ConfigurationError."""
        if self.folder is None:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"--resume {self.folder}: {error.strerror}") from error

    def find(self, name: str, question: Mapping[str, object]) -> Document | None:
        """Return what was answered to the same question under the same code, if it was kept."""
        path = self._path(name, question)
        if path is None or not path.exists():
            return None
        try:
            kept: object = json.loads(path.read_text())
        except (OSError, ValueError):
            return None  # unreadable or damaged: it is made again
        if not isinstance(kept, dict) or kept.get("asked") != _asked(name, question):
            return None
        answer = kept.get("answer")
        return cast("Document", answer) if isinstance(answer, dict) else None

    def keep(self, name: str, question: Mapping[str, object], answer: Document) -> None:
        """Write an answer down, whole or not at all; OperatingError where the disk will not."""
        path = self._path(name, question)
        if path is None:
            return
        half = path.with_suffix(".part")
        try:
            half.write_text(json.dumps({"asked": _asked(name, question), "answer": answer}) + "\n")
            half.replace(path)
        except OSError as error:
            raise OperatingError(f"{path}: {error.strerror}") from error

    def _path(self, name: str, question: Mapping[str, object]) -> Path | None:
        if self.folder is None:
            return None
        asked = json.dumps(_asked(name, question), sort_keys=True)
        return self.folder / f"{name}-{sha256(asked.encode()).hexdigest()[:NAME_DIGITS]}.json"


def _asked(name: str, question: Mapping[str, object]) -> Document:
    """Return what an answer depends on, as JSON gives it back."""
    whole = {"name": name, "question": question, "code": code_digest(), "torch": version("torch")}
    return cast("Document", json.loads(json.dumps(whole)))


@cache
def code_digest() -> str:
    """Return a hash over every source file of the package: any change makes kept runs stale."""
    root = Path(potp2p.__file__).parent
    found = sha256()
    for path in sorted(root.rglob("*.py")):
        found.update(str(path.relative_to(root)).encode() + b"\x00")
        found.update(sha256(path.read_bytes()).digest())
    return found.hexdigest()


@dataclass(slots=True)
class Runner:
    """Carries runs out, some at once in the order given, and goes on where one fails."""

    shelf: Shelf
    jobs: int
    tell: Callable[[str], None]
    answers: dict[str, Document] = field(default_factory=dict[str, Document])
    failures: list[Failure] = field(default_factory=list[Failure])

    async def carry_out(self, runs: Sequence[Run]) -> None:
        """Find or make every answer."""
        left = list(runs)
        total = len(left)

        async def work() -> None:
            while left:
                run = left.pop(0)
                place = f"{total - len(left)}/{total} {run.name}: {run.about}"
                await self.answer(place, run.name, run.question, partial(ask, run))

        async with trio.open_nursery() as nursery:
            for _ in range(self.jobs):
                nursery.start_soon(work)

    async def answer(
        self,
        place: str,
        name: str,
        question: Mapping[str, object],
        make: Callable[[], Awaitable[Document]],
    ) -> None:
        """Find one answer or make it, and tell what became of it."""
        kept = self.shelf.find(name, question)
        if kept is not None:
            self.answers[name] = kept
            self.tell(f"{place}, kept")
            return
        begun = trio.current_time()
        self.tell(f"{place}, begins")
        try:
            made = self.answers[name] = await make()
        except OperatingError as error:
            self.failures.append(Failure(name, str(error)))
            self.tell(f"{place}, FAILED: {error}")
            return
        try:
            self.shelf.keep(name, question, made)
        except OperatingError as error:
            self.tell(f"{place}, not kept: {error}")
        self.tell(f"{place}, {trio.current_time() - begun:.0f} s")


async def ask(run: Run) -> Document:
    """Run a process to its end; OperatingError with its last words where it fails."""
    finished = await trio.run_process(
        run.command,
        stdin=json.dumps(run.question).encode(),
        capture_stdout=True,
        capture_stderr=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    if finished.returncode:
        words = finished.stderr.decode(errors="replace").strip()[-ERROR_WORDS_MAX:]
        raise OperatingError(f"exit {finished.returncode}: {words}")
    return cast("Document", json.loads(finished.stdout))
