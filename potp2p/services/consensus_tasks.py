"""Work in the background that belongs to one height: choosing and executing blocks."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import trio

from potp2p.protocol.consensus.effects import CheckBlock, RequestBlock

Order = TypeVar("Order", CheckBlock, RequestBlock)


@dataclass(slots=True)
class HeightTasks:
    """Cancels what a decided height no longer needs, and wakes who waited for its end."""

    _scopes: set[trio.CancelScope] = field(default_factory=set[trio.CancelScope])
    _begun: set[object] = field(default_factory=set[object])
    _waiting: list[trio.Event] = field(default_factory=list[trio.Event])

    def is_new(self, order: CheckBlock | RequestBlock) -> bool:
        """Tell whether this work was not begun before, and count it as begun."""
        key = (
            (order.block_hash, order.first_proposal)
            if isinstance(order, CheckBlock)
            else order.view
        )
        if key in self._begun:
            return False
        self._begun.add(key)
        return True

    async def run(self, work: Callable[[Order], Awaitable[None]], order: Order) -> None:
        """Do one piece of work unless the height ends first."""
        with trio.CancelScope() as scope:
            self._scopes.add(scope)
            await work(order)
        self._scopes.discard(scope)

    def when_over(self, done: trio.Event) -> None:
        """Set an event once the height is stored."""
        self._waiting.append(done)

    def cancel(self) -> None:
        """Stop all work of the height."""
        for scope in self._scopes:
            scope.cancel()

    def finish(self) -> None:
        """The height is stored."""
        for done in self._waiting:
            done.set()
        self._waiting.clear()
        self._begun.clear()
