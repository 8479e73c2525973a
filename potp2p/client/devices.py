"""Training processes of a command: started when first needed, ended with the command."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from potp2p.workers.devices import discover_names
from potp2p.workers.ports import Workers
from potp2p.workers.supervisor import Workers as TrainingProcesses


@asynccontextmanager
async def open_devices(
    names: tuple[str, ...], say: Callable[[str], None]
) -> AsyncIterator[Workers]:
    """Keep one process per device for as long as the context lasts; no names: what is here."""
    processes = TrainingProcesses((names or await discover_names())[:1], log=say)
    async with trio.open_nursery() as nursery:
        await nursery.start(processes.run)
        yield processes
        nursery.cancel_scope.cancel()
