"""
How a replica leaves its work while catch-up stores blocks, and comes back above them.

No vote of these heights is journaled and none is cast: quorums have decided them already, so
silence is safe, and a replica thousands of blocks behind pays no journal and no sync per block.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from potp2p.services.consensus_inbox import Absence, Adopted, Item


@asynccontextmanager
async def ask_away(inbox_out: trio.MemorySendChannel[Item]) -> AsyncIterator[None]:
    """Return once the replica stores nothing any more; let it go on at the end."""
    absence = Absence()
    await inbox_out.send(absence)
    await absence.left.wait()
    try:
        yield
    finally:
        absence.over.set()


async def discard_until(over: trio.Event, inbox: trio.MemoryReceiveChannel[Item]) -> list[Absence]:
    """
    Empty the inbox meanwhile: what comes is about heights that others have decided.

    Returns who else asked: they are still waiting.
    """
    asking: list[Absence] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_discard, inbox, asking)
        await over.wait()
        nursery.cancel_scope.cancel()
    return asking


async def _discard(inbox: trio.MemoryReceiveChannel[Item], asking: list[Absence]) -> None:
    while True:
        item = await inbox.receive()
        if isinstance(item, Adopted):
            item.done.set()
        elif isinstance(item, Absence):
            asking.append(item)
