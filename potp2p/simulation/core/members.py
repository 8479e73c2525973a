"""One process of a simulated committee: what its disk keeps and what a crash takes."""

from dataclasses import dataclass, field
from random import Random

from potp2p.foundation.types import Digest
from potp2p.protocol.consensus.effects import CheckBlock
from potp2p.protocol.consensus.events import LoggedEvent, MessageReceived, Timer
from potp2p.protocol.consensus.machine import Replica
from potp2p.protocol.consensus.view_change import Timing
from potp2p.protocol.wire.blocks import Seal
from potp2p.protocol.wire.consensus import (
    Commit,
    Prepare,
    Propose,
    SignedMessage,
    Statement,
    ViewChange,
)
from potp2p.simulation.core.letters import Body
from potp2p.simulation.core.stubs import GENESIS_HEAD, TIMING

PHASES: dict[type, int] = {ViewChange: 0, Propose: 1, Prepare: 2, Commit: 3}


@dataclass(slots=True)
class Guard:
    """The last place in which a key signed, and what."""

    place: tuple[int, int, int] = (0, 0, 0)
    said: Statement | None = None

    def admits(self, statement: Statement) -> bool:
        """Note a statement and tell whether it may be signed: forward, or the same again."""
        place = (statement.height, statement.view, PHASES[type(statement)])
        if place < self.place or (place == self.place and self.said != statement):
            return False
        self.place, self.said = place, statement
        return True


@dataclass(slots=True, eq=False)
class Member:
    """One process: a seat, a disk and what a crash takes."""

    name: int
    seat: int
    is_honest: bool
    timing: Timing = TIMING
    replica: Replica = field(init=False)
    chain: list[Seal] = field(default_factory=list[Seal])
    height: int = 1
    """In work."""
    head: Digest = GENESIS_HEAD
    held: set[Digest] = field(default_factory=set[Digest])
    log: list[LoggedEvent] = field(default_factory=list[LoggedEvent])
    guard: Guard = field(default_factory=Guard)
    synced_log: int = 0
    synced_guard: tuple[tuple[int, int, int], Statement | None] = ((0, 0, 0), None)
    muted_height: int = 0
    """Up to here it says nothing: its guard signed what its log no longer knows."""
    life: int = 0
    is_up: bool = True
    paused_until: int = 0
    tempo: float = 1.0
    """Length of its milliseconds."""
    timers: dict[Timer, int] = field(default_factory=dict[Timer, int])
    early: list[tuple[int, SignedMessage]] = field(default_factory=list[tuple[int, SignedMessage]])
    awaited: dict[Digest, CheckBlock] = field(default_factory=dict[Digest, CheckBlock])
    bodies: dict[int, Body] = field(default_factory=dict[int, Body])
    """Best known body of each rank at the height in work."""
    decided_at: int = 0
    """When the height in work began here."""
    fetches: int = 0

    def __post_init__(self) -> None:
        self.replica = Replica(self.timing)

    def sync(self) -> None:
        """Make durable what led to the words that are about to leave."""
        self.synced_log = len(self.log)
        self.synced_guard = (self.guard.place, self.guard.said)

    def may_sign(self, statement: Statement) -> bool:
        """Tell whether the guard lets a statement be signed."""
        return statement.height > self.muted_height and self.guard.admits(statement)

    def begin(self, seal: Seal, now: int) -> None:
        """Store a decided block and forget its height."""
        self.chain.append(seal)
        self.height += 1
        self.head = seal.block_hash
        self.decided_at = now
        self.log.clear()
        self.synced_log = 0
        self.awaited.clear()
        self.timers.clear()
        self.bodies.clear()

    def crash(self, random: Random) -> None:
        """Lose memory, and of what was not synced any part."""
        self.is_up = False
        self.life += 1
        del self.log[max(random.randint(self.synced_log, len(self.log)), 1) :]
        if random.random() < 0.5:
            self.guard = Guard(*self.synced_guard)

    def recover(self) -> None:
        """Bring the same machine back on the same log, silent; then compare log and guard."""
        self.is_up = True
        self.replica = Replica(self.timing)
        self.timers.clear()
        self.early.clear()
        self.awaited.clear()
        self.bodies.clear()
        for event in self.log:
            self._replay(event)
        self.sync()
        at = self.replica.at
        said: list[Statement] = []
        if at is not None:
            said += [message.statement for message in at.own.values()]
            said += [cast.statement for cast in at.casting.values()]
        if self.guard.place[0] >= self.height and self.guard.said not in said:
            self.muted_height = self.guard.place[0]

    def _replay(self, event: LoggedEvent) -> None:
        at = self.replica.at
        if isinstance(event, MessageReceived) and at is not None:
            statement = event.message.statement
            casting = at.casting.get(type(statement))
            if casting is not None and casting.statement == statement:
                self.guard.admits(statement)
        self.replica.step(event)
