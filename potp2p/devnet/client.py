"""The client of a local network: `potp2p` commands in processes of their own, read as JSON."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from potp2p.foundation.errors import OperatingError
from potp2p.processes.documents import Document, parse_document
from potp2p.processes.fleet import POLL_SECONDS, Child, Fleet, tail
from potp2p.processes.programs import Programs

ATTEMPTS_MAX: Final = 3
"""A command may meet a node that was just killed; the next attempt meets another."""
UNREACHABLE_CODE: Final = 4


@dataclass(slots=True)
class ClientCommands:
    """Runs commands with the client's data folder."""

    fleet: Fleet
    programs: Programs
    folder: Path
    name: str = "client"
    """Under which what the commands print is kept."""
    _count: int = 0

    async def run(self, name: str, arguments: Sequence[str]) -> Document:
        """Run a command that prints one JSON document; try again when nobody answered."""
        documents: list[Document] = []
        await self.follow(name, arguments, documents.append)
        if len(documents) != 1:
            raise OperatingError(f"{name} printed {len(documents)} documents")
        return documents[0]

    async def follow(
        self, name: str, arguments: Sequence[str], take: Callable[[Document], None]
    ) -> None:
        """Run a command that prints JSON lines, and hand each over as it comes."""
        for attempts_left in reversed(range(ATTEMPTS_MAX)):
            child = self.start(name, arguments)
            code = await _read_to_its_end(child, take)
            self.fleet.forget(child)
            if code == 0:
                return
            if code != UNREACHABLE_CODE or not attempts_left:
                words = tail(child.errors)
                raise OperatingError(f"{name}: {words[-1] if words else f'exit code {code}'}")

    def start(self, name: str, arguments: Sequence[str]) -> Child:
        """Start one command."""
        self._count += 1
        command = (*self.programs.potp2p, *arguments)
        return self.fleet.start(f"{self.name}-{self._count:02}-{name}", command)


async def _read_to_its_end(child: Child, take: Callable[[Document], None]) -> int:
    position = 0
    while True:
        # The code first: what was written before the end is then read after it.
        code = child.returncode
        position = _take_lines(child.output, position, take)
        if code is not None:
            return code
        await trio.sleep(POLL_SECONDS)


def _take_lines(path: Path, position: int, take: Callable[[Document], None]) -> int:
    """Hand over every whole line from a position on; return the new position."""
    with path.open("rb") as file:
        file.seek(position)
        content = file.read()
    *whole, _rest = content.split(b"\n")
    for line in whole:
        take(parse_document(line, path.stem))
        position += len(line) + 1
    return position
