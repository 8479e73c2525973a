"""Training processes of a command: started when first needed, ended with the command."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import trio

from potp2p.foundation.errors import ConfigurationError
from potp2p.workers.devices import CPU, DeviceFacts, discover, discover_names
from potp2p.workers.ports import Workers
from potp2p.workers.supervisor import Workers as TrainingProcesses


@asynccontextmanager
async def open_devices(
    names: tuple[str, ...], say: Callable[[str], None]
) -> AsyncIterator[Workers]:
    """Keep one process per device for as long as the context lasts; no names: what is here."""
    processes = TrainingProcesses(await _chosen(names), log=say)
    async with trio.open_nursery() as nursery:
        await nursery.start(processes.run)
        yield processes
        nursery.cancel_scope.cancel()


async def _chosen(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the device to use; ConfigurationError for a name that this machine does not know."""
    if not names:
        return (await discover_names())[:1]
    if names[0] != CPU:
        # A process on a device that is not there would be started again and again.
        verify_device(names[0], await discover())
    return names[:1]


def verify_device(name: str, found: Sequence[DeviceFacts]) -> None:
    """Raise ConfigurationError for a device that is not among those found."""
    known = [facts.device for facts in found]
    if name not in known:
        raise ConfigurationError(f"--device {name}: this machine has {', '.join(known)}")
