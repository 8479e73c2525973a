"""Work that a signal ends: what it has started is cleaned up before the process says goodbye."""

import signal
from collections.abc import Awaitable, Callable

import trio

from cli.exits import ExitCode, Stopped

Document = dict[str, object]


async def run_until_signal(work: Callable[[], Awaitable[Document]]) -> Document:
    """Return the work's document; Ctrl-C and SIGTERM cancel it and raise `Stopped`."""
    document: Document | None = None
    ended_by = ExitCode.DONE
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async with trio.open_nursery() as nursery:

            async def end_on_signal() -> None:
                nonlocal ended_by
                async for number in signals:
                    interrupted = number == signal.SIGINT
                    ended_by = ExitCode.INTERRUPTED if interrupted else ExitCode.TERMINATED
                    nursery.cancel_scope.cancel()
                    return

            nursery.start_soon(end_on_signal)
            document = await work()
            nursery.cancel_scope.cancel()
    if document is None:
        raise Stopped(ended_by)
    return document
