"""
Duties in work, each in a trio task of its own until it is done or leaves the state.

Duties are read anew from the state after each block; the same name is not started twice.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

import trio

from potp2p.foundation.errors import OperatingError, PeerError
from potp2p.protocol.wire.transactions import Free
from potp2p.services.chain import ChainService
from potp2p.services.outbox import OutboxService

RETRY_SECONDS: Final = 2.0
"""After a fetch or a worker failed again and again, before a duty is tried once more."""
RETRY_FIRST_SECONDS: Final = 0.25
"""After the first failure, doubling from then on: most often a peer is one block behind us."""

Act = Callable[[], Awaitable[Free | None]]
"""Does the expensive part of a duty once; returns what is to be said until the chain has it."""
Duty = TypeVar("Duty")


@dataclass(slots=True)
class Errands:
    """Owner of the duties in work of one service."""

    chain: ChainService
    outbox: OutboxService
    say: Callable[[str, str], None]
    """Log: tag and text."""
    _scopes: dict[bytes, trio.CancelScope] = field(default_factory=dict[bytes, trio.CancelScope])

    def start(self, wanted: Mapping[bytes, Act], nursery: trio.Nursery) -> None:
        """Begin what is new among the duties, by what each is about; give up what has gone."""
        for name, scope in list(self._scopes.items()):
            if name not in wanted:
                scope.cancel()
        for name, act in wanted.items():
            if name not in self._scopes:
                self._scopes[name] = trio.CancelScope()
                nursery.start_soon(self._carry, name, act)

    async def _carry(self, name: bytes, act: Act) -> None:
        """Do one duty until it succeeds, then say its statement until the chain drops the duty."""
        with self._scopes[name]:
            statement = await self._persist(name, act)
            while True:
                if statement is not None:
                    # The outbox says it again after some blocks, if it got lost on its way.
                    self.outbox.say(statement)
                await self.chain.bell.wait_above(self.chain.head.height)
        del self._scopes[name]

    async def _persist(self, name: bytes, act: Act) -> Free | None:
        """Try until an act succeeds; what failed for the world's sake is worth another try."""
        pause = RETRY_FIRST_SECONDS
        while True:
            try:
                return await act()
            except (OperatingError, PeerError) as error:
                kind = name.split(b"/")[0].decode()
                self.say("verify", f"{kind} waits: {error}")
            await trio.sleep(pause)
            pause = min(2 * pause, RETRY_SECONDS)


def bind(act: Callable[[Duty], Awaitable[Free | None]], duty: Duty) -> Act:
    """Return an act that does one duty."""
    return lambda: act(duty)
