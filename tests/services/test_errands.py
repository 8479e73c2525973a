"""Duties in work: begun once, tried until they succeed, given up when the chain drops them."""

from dataclasses import dataclass, field
from typing import cast

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from potp2p.foundation.errors import OperatingError
from potp2p.foundation.types import GENESIS_HEIGHT, Cycle, Height
from potp2p.protocol.wire.transactions import Free, Ready
from potp2p.services.chain import ChainService
from potp2p.services.errands import RETRY_SECONDS, Errands
from potp2p.services.heights import HeightBell
from potp2p.services.outbox import OutboxService

NAME = b"result/0"
READY = Ready(Cycle(7))


@dataclass(frozen=True, slots=True)
class Head:
    height: Height = GENESIS_HEIGHT


@dataclass(slots=True)
class Chain:
    """A head that stands still."""

    bell: HeightBell = field(default_factory=HeightBell)
    head: Head = field(default_factory=Head)


@dataclass(slots=True)
class Outbox:
    """Remembers what was said."""

    said: list[Free] = field(default_factory=list[Free])
    heard: trio.Event = field(default_factory=trio.Event)

    def say(self, action: Free) -> None:
        self.said.append(action)
        self.heard.set()


@dataclass(slots=True)
class Work:
    """An act that fails some times, waits to be let go, and counts how it went."""

    failures: int = 0
    begun: int = 0
    given_up: int = 0
    go: trio.Event = field(default_factory=trio.Event)

    async def act(self) -> Free | None:
        self.begun += 1
        if self.begun <= self.failures:
            await trio.lowlevel.checkpoint()
            raise OperatingError("no peer has it")
        try:
            await self.go.wait()
        except trio.Cancelled:
            self.given_up += 1
            raise
        return READY


def errands(outbox: Outbox, lines: list[str]) -> Errands:
    return Errands(
        cast("ChainService", Chain()),
        cast("OutboxService", outbox),
        lambda _tag, text: lines.append(text),
    )


async def test_a_duty_that_the_chain_drops_is_given_up_and_may_come_again() -> None:
    outbox, work = Outbox(), Work()
    carried = errands(outbox, [])
    async with trio.open_nursery() as nursery:
        for wanted in ({NAME: work.act}, {NAME: work.act}, {}):
            carried.start(wanted, nursery)
            await wait_all_tasks_blocked()
        assert (work.begun, work.given_up) == (1, 1), "begun once, and not left behind"
        carried.start({NAME: work.act}, nursery)
        await wait_all_tasks_blocked()
        work.go.set()
        await wait_all_tasks_blocked()
        assert (work.begun, work.given_up) == (2, 1)
        assert outbox.said == [READY]
        carried.start({}, nursery)
        await wait_all_tasks_blocked()
        assert not nursery.child_tasks, "what was said is not watched for ever"
        nursery.cancel_scope.cancel()


async def test_what_fails_for_the_worlds_sake_is_tried_until_it_succeeds(
    autojump_clock: MockClock,
) -> None:
    outbox, work, lines = Outbox(), Work(failures=9), list[str]()
    work.go.set()
    async with trio.open_nursery() as nursery:
        errands(outbox, lines).start({NAME: work.act}, nursery)
        with trio.fail_after(10 * RETRY_SECONDS):
            await outbox.heard.wait()
        nursery.cancel_scope.cancel()
    assert work.begun == 10
    assert lines == ["result waits: no peer has it"] * 9
