"""Plants one bug in a copy of the sources and runs the layer that should notice."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

ROOT: Final = Path(__file__).parents[2]
LAYER_SECONDS_MAX: Final = 240
"""A layer that takes this long has hung on the bug, which is a way to notice it."""

Layer = Literal["rules", "state machine", "campaign", "twins", "service", "ledger"]


@dataclass(frozen=True, slots=True)
class Edit:
    """A textual replacement that must match exactly once."""

    path: str
    """Under potp2p."""
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug and the layer that must catch it."""

    name: str
    layer: Layer
    target: str
    """Test files for pytest, or a campaign as level:validators:seeds."""
    edits: tuple[Edit, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a planted bug."""

    mutant: str
    layer: Layer
    killed: bool
    caught_by: str
    """First failing test, or seed and violation; empty for a survivor."""
    seconds: float


class MismatchError(Exception):
    """A replacement does not match the sources exactly once."""


class BrokenRunError(Exception):
    """A layer ended without saying what it found: the bug is no bug but a syntax error, or so."""


def replaced(edit: Edit, root: Path = ROOT) -> str:
    """Return the text of a file with the bug in it."""
    text = (root / "potp2p" / edit.path).read_text()
    if text.count(edit.old) != 1:
        raise MismatchError(f"{edit.path}: {text.count(edit.old)} matches of {edit.old!r}")
    return text.replace(edit.old, edit.new)


@contextmanager
def copied() -> Iterator[Path]:
    """Give a folder with a copy of everything that a layer needs."""
    with tempfile.TemporaryDirectory(prefix="potp2p-mutants-") as folder:
        root = Path(folder)
        skip = shutil.ignore_patterns("__pycache__", ".hypothesis")
        for part in ("potp2p", "cli", "bootstrap", "tests"):
            shutil.copytree(ROOT / part, root / part, ignore=skip)
        for name in ("pyproject.toml", "CHANGELOG.md", "constraints.txt"):
            shutil.copy(ROOT / name, root / name)
        yield root


def examine(root: Path, mutant: Mutant) -> Verdict:
    """Plant a bug in a copy, run its layer until the first failure, and take the bug out again."""
    originals = {edit.path: (root / "potp2p" / edit.path).read_text() for edit in mutant.edits}
    started = time.perf_counter()
    try:
        for edit in mutant.edits:
            (root / "potp2p" / edit.path).write_text(replaced(edit, root))
        caught_by = _run(root, mutant)
    finally:
        for path, text in originals.items():
            (root / "potp2p" / path).write_text(text)
    seconds = time.perf_counter() - started
    return Verdict(mutant.name, mutant.layer, bool(caught_by), caught_by, seconds)


def runs_clean(root: Path, mutant: Mutant) -> bool:
    """Tell whether a layer passes without a bug: else it would kill anything."""
    return not _run(root, mutant)


def _run(root: Path, mutant: Mutant) -> str:
    """Return what caught a bug, or nothing."""
    if mutant.layer in ("campaign", "twins"):
        command = ["-m", "tests.mutants.hunt", mutant.target]
    else:
        command = ["-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider"]
        command += mutant.target.split()
    environment = {
        **os.environ,
        "PYTHONPATH": str(root),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
    }
    try:
        result = subprocess.run(
            [sys.executable, *command],
            cwd=root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LAYER_SECONDS_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no end within {LAYER_SECONDS_MAX} s"
    if result.returncode == 0:
        return ""
    found = _named(result.stdout)
    if not found:
        tail = (result.stdout + result.stderr).strip()[-400:]
        raise BrokenRunError(f"{mutant.name}: exit {result.returncode}: {tail}")
    return found


def _named(output: str) -> str:
    """Return the failing test of pytest's summary, or what the hunt says."""
    for line in output.splitlines():
        for mark in ("FAILED ", "caught "):
            if line.startswith(mark):
                return line.removeprefix(mark).split(" - ")[0].strip()
    return ""
