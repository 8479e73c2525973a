"""Whole runs of `potp2p devnet`, started as a person would and observed from outside."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from potp2p.foundation.errors import OperatingError
from potp2p.processes.documents import Document, document_of
from potp2p.processes.fleet import Child, Fleet
from potp2p.processes.programs import Programs

RUN_SECONDS: Final = 1_200.0
"""Several times what a run takes on two busy cores."""


@dataclass(frozen=True, slots=True)
class DevnetRun:
    """One run of the network."""

    name: str
    mode: str
    validators: int
    miners: int
    seed: int
    rounds: int | None
    folder: Path

    @property
    def package(self) -> Path:
        """Return where the run leaves its package."""
        return self.folder / "package"

    def arguments(self) -> tuple[str, ...]:
        """Return the command line after `potp2p`."""
        arguments = ["devnet", "--example", "digits", "--mode", self.mode]
        arguments += ["--validators", str(self.validators), "--miners", str(self.miners)]
        arguments += ["--seed", str(self.seed), "--datadir", str(self.folder)]
        arguments += ["--out", str(self.folder.with_name(f"{self.folder.name}-model"))]
        if self.rounds is not None:
            arguments += ["--rounds", str(self.rounds)]
        return (*arguments, "--ui", "none", "--json")


def start_run(fleet: Fleet, programs: Programs, run: DevnetRun) -> Child:
    """Start a run."""
    return fleet.start(run.name, (*programs.potp2p, *run.arguments()))


async def report_of(child: Child) -> Document:
    """Wait for a run's end and return its report."""
    with trio.move_on_after(RUN_SECONDS):
        if await child.ended() != 0:
            raise OperatingError(f"{child.name}: {child.last_words()}")
        return document_of(child)
    raise OperatingError(f"{child.name} did not end within {RUN_SECONDS:.0f} s")
