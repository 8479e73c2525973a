"""Work that a signal ends: what it has started is cleaned up before the process says goodbye."""

import signal
from collections.abc import Awaitable, Callable

import trio

from cli.exits import ExitCode, Stopped

Document = dict[str, object]


async def run_until_signal(work: Callable[[], Awaitable[Document]]) -> Document:
    """Return the work's document; Ctrl-C and SIGTERM cancel it and raise `Stopped`."""
    document: Document | None = None
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async with trio.open_nursery() as nursery:

            async def end_on_signal() -> None:
                async for number in signals:
                    interrupted = number == signal.SIGINT
                    raise Stopped(ExitCode.INTERRUPTED if interrupted else ExitCode.TERMINATED)

            nursery.start_soon(end_on_signal)
            document = await work()
            nursery.cancel_scope.cancel()
    assert document is not None
    return document
