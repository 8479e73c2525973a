"""
A committee in virtual time: one heap of happenings, one seed, the machine of production.

Members keep what a disk keeps (log of the height, guard, decided blocks) and lose the rest in a
crash. Everything else is a fault drawn from the seed until `calm_at`; afterwards the network is
prompt and lossless, and the honest must agree and go on. Signatures are stubs: whoever wants to
lie says so by his own seat only.
"""

import heapq
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import TypeVar, assert_never

from potp2p.foundation.limits import EARLY_FRAMES_MAX, EARLY_HEIGHTS_MAX
from potp2p.foundation.types import Digest, ValidatorIndex
from potp2p.protocol.consensus.effects import (
    Accuse,
    Broadcast,
    CancelTimer,
    Cast,
    CheckBlock,
    Decide,
    Effect,
    FetchBlock,
    RequestBlock,
    Send,
    SetTimer,
)
from potp2p.protocol.consensus.events import (
    BlockOffered,
    Event,
    HeightStarted,
    MessageReceived,
    Resumed,
    SealReceived,
    StatusReceived,
    TimerFired,
)
from potp2p.protocol.wire.blocks import Seal
from potp2p.protocol.wire.consensus import (
    BlockPush,
    BlockRequest,
    BlockSketch,
    ProvenViewChange,
    SealNotice,
    SignedMessage,
    Status,
    TransactionsReply,
    TransactionsRequest,
)
from potp2p.simulation.core.authors import Authors
from potp2p.simulation.core.faults import Faults
from potp2p.simulation.core.letters import SIGNED, Body, Letter, SyncReply, SyncRequest, Unsigned
from potp2p.simulation.core.members import Member
from potp2p.simulation.core.oracle import Oracle
from potp2p.simulation.core.processes import start_faults
from potp2p.simulation.core.record import ChainRecord
from potp2p.simulation.core.stubs import BRISK, TIMING, start, stub_signature
from potp2p.simulation.core.weather import Weather

Task = TypeVar("Task")
Tamper = Callable[["Cluster", Member, Member, Letter], Letter | None]
Cut = Callable[[Member, Member, Letter, int], bool]
SYNC_BLOCKS = 20
EXECUTION_MILLISECONDS = 5


@dataclass(eq=False)
class Cluster:
    """Runs a committee from one seed and watches that it never disagrees."""

    size: int
    seed: int
    faults: Faults = field(default_factory=Faults)
    tamper: Tamper | None = None
    """A liar's hand on what a member sends; None loses the letter."""
    cut: Cut | None = None
    """Tells whether a letter between two members is lost at a time."""
    order_of: Callable[[int], tuple[int, ...]] | None = None
    """Who leads the views of a height; by default the chain's record of missed turns."""

    def __post_init__(self) -> None:
        self.now = 0
        self.deliveries = 0
        self.progress = 0
        """Decisions by anyone."""
        self.random = Random(self.seed)
        self.trace = array("Q")
        """Every delivery: time, sender, receiver, kind; every decision and crash."""
        self.accused: set[int] = set()
        self.record = ChainRecord(self.size, self.faults)
        twins, timing = sorted(self.faults.twins), BRISK if self.faults.brisk else TIMING
        self.members = [
            Member(name, seat, is_honest=seat not in self.faults.untrusted, timing=timing)
            for name, seat in enumerate([*range(self.size), *twins])
        ]
        self.honest = [
            member
            for member in self.members
            if member.is_honest and member.seat not in self.faults.silent
        ]
        """The members that keep to the rules and speak."""
        self._others = [
            [other for other in self.members if other is not member] for member in self.members
        ]
        seats = frozenset(member.seat for member in self.members if member.is_honest)
        self.oracle = Oracle(self.size, honest=seats)
        self.weather = Weather(self.faults, len(self.members), self.random)
        self.authors = Authors(self.random, self.faults) if self.faults.authors else None
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._counter = 0

    def run(self, heights: int, *, until: int) -> bool:
        """Run to a height or a time; tell whether every honest member reached the height."""
        start_faults(self)
        for member in self.members:
            self.step(member, self._facts(member))
        self.weather.start(lambda delay, shift: self.plan(delay, lambda: shift(self.now)))
        return self.resume(heights, until=until)

    def resume(self, heights: int, *, until: int) -> bool:
        """Go on with a run."""
        heap, violations, seen = self._heap, self.oracle.violations, -1
        while heap and self.now <= until and not violations:
            if self.progress != seen:
                seen = self.progress
                if self.has_reached(heights):
                    return True
            self.now, _, happening = heapq.heappop(heap)
            happening()
        return self.has_reached(heights)

    def calm_down(self) -> None:
        """End all faults of the network and of processes, whatever time it is."""
        self.faults = replace(self.faults, calm_at=min(self.now, self.faults.calm_at))
        self.weather.faults = self.faults
        self.cut = None

    def forget(self) -> None:
        """Drop what would still happen: it refers back to here, and memory is freed at once."""
        self._heap.clear()

    def has_reached(self, heights: int) -> bool:
        """Tell whether every honest member has decided a height."""
        return all(member.height > heights for member in self.honest)

    def plan(self, delay: int, happening: Callable[[], None]) -> None:
        """Let something happen later."""
        self._counter += 1
        heapq.heappush(self._heap, (self.now + delay, self._counter, happening))

    def step(self, member: Member, event: Event) -> None:
        """Log, step and carry out; own words come back before anything else happens."""
        if isinstance(event, MessageReceived) or not isinstance(event, (StatusReceived, Resumed)):
            member.log.append(event)
        for effect in member.replica.step(event):
            self._carry_out(member, effect)

    def _carry_out(self, member: Member, effect: Effect) -> None:  # noqa: PLR0912
        match effect:  # The most frequent first.
            case SetTimer():
                self._set_timer(member, effect)
            case Broadcast():
                self._broadcast(member, effect.frame)
            case Cast():
                if member.may_sign(effect.statement):
                    self.oracle.note_signed(member, effect.statement)
                    signed = effect.signed(stub_signature(member.seat))
                    self.step(member, MessageReceived(signed))
            case CancelTimer():
                member.timers.pop(effect.timer, None)
            case FetchBlock():
                self._fetch(member, effect)
            case CheckBlock():
                if effect.block_hash in member.held:
                    self._for_life(member, EXECUTION_MILLISECONDS, self._checked, effect)
                else:
                    member.awaited[effect.block_hash] = effect
            case Decide():
                self._finish(member, effect.seal)
            case Send():
                for other in self._others[member.name]:
                    if other.seat == effect.to:
                        self.post(member, other, effect.frame)
            case RequestBlock():
                self._for_life(member, effect.delay_milliseconds, self._offer, effect)
            case Accuse():
                self.accused.add(effect.first.statement.signer)
            case _:
                assert_never(effect)

    def _set_timer(self, member: Member, wanted: SetTimer) -> None:
        self._counter += 1
        token = member.timers[wanted.timer] = self._counter
        delay = int(wanted.delay_milliseconds * member.tempo)
        self.plan(delay, partial(self._fire, member, wanted, token))

    def _fire(self, member: Member, wanted: SetTimer, token: int) -> None:
        if not member.is_up or member.timers.get(wanted.timer) != token:
            return
        if member.paused_until > self.now:
            self.plan(member.paused_until - self.now, partial(self._fire, member, wanted, token))
            return
        del member.timers[wanted.timer]
        self.step(member, TimerFired(wanted.timer, wanted.height, wanted.view))

    def _offer(self, member: Member, request: RequestBlock) -> None:
        if request.height != member.height:
            return
        block_hash = self.record.frame(member, request)
        self._broadcast(member, BlockPush(request.height, block_hash))
        self.step(member, BlockOffered(request.height, request.view, block_hash))

    def _checked(self, member: Member, check: CheckBlock) -> None:
        if check.height == member.height:
            self.step(member, self.record.execute(member, check))

    def _fetch(self, member: Member, wanted: FetchBlock) -> None:
        hints = wanted.hints
        if wanted.block_hash in member.held or wanted.height != member.height or not hints:
            return
        member.fetches += 1
        seat = hints[member.fetches % len(hints)]
        for other in self._others[member.name]:
            if other.seat == seat:
                self.post(member, other, BlockRequest(wanted.height, wanted.block_hash))

    def _finish(self, member: Member, seal: Seal) -> None:
        if seal.block_hash not in member.held or seal.height != member.height:
            return
        self.oracle.note_decided(member, seal, self.record.blocks[seal.block_hash])
        self.record.extend(member.head, seal)
        member.begin(seal, self.now)
        self.progress += 1
        self.note(member.name, member.name, 0xFF)
        self.trace.append(int.from_bytes(seal.block_hash[:8], "big"))
        self.step(member, self._facts(member))
        early, member.early = member.early, []
        for source, message in early:
            self._deliver_message(self.members[source], member, message)

    def _facts(self, member: Member) -> HeightStarted:
        order, ranking = self.record.outlook(member.height, member.head)
        if self.order_of is not None:
            order = self.order_of(member.height)
        if self.authors is not None:
            for delay, name, body in self.authors.bodies(member, ranking, len(self.members)):
                self.plan(delay, partial(self.arrive, member, self.members[name], body))
        return start(
            self.size,
            member.seat,
            height=member.height,
            head=member.head,
            head_seal=member.chain[-1] if member.chain else None,
            primaries=order,
        )

    # The network

    def _broadcast(self, member: Member, letter: Letter) -> None:
        if member.seat in self.faults.silent:
            return
        self._let_out(member, letter)
        others, now = self._others[member.name], self.now
        if self.tamper is not None or self.cut is not None or now < self.faults.calm_at:
            for other in others:
                self._send(member, other, letter)
            return
        for other, delay in zip(others, self.weather.calm_delays(len(others)), strict=True):
            self.plan(delay, partial(self.arrive, member, other, letter))

    def post(self, sender: Member, receiver: Member, letter: Letter) -> None:
        """Send a letter through the faults of the moment."""
        if sender.seat not in self.faults.silent:
            self._let_out(sender, letter)
            self._send(sender, receiver, letter)

    def _let_out(self, sender: Member, letter: Letter) -> None:
        """Make durable what led to a letter, and show it to the oracle."""
        sender.sync()
        if isinstance(letter, SIGNED):
            self.oracle.note_said(sender, letter)

    def _send(self, sender: Member, receiver: Member, letter: Letter) -> None:
        now = self.now
        if self.tamper is not None:
            changed = self.tamper(self, sender, receiver, letter)
            if changed is None:
                return
            letter = changed
        if self.cut is not None and self.cut(sender, receiver, letter, now):
            return
        for delay in self.weather.delays(sender.name, receiver.name, now):
            self.plan(delay, partial(self.arrive, sender, receiver, letter))

    def arrive(self, sender: Member, receiver: Member, letter: Letter) -> None:
        """Hand a letter over, now or when its receiver goes on."""
        now = self.now
        if not receiver.is_up:
            return
        if receiver.paused_until > now:
            wait = receiver.paused_until - now
            self.plan(wait, partial(self.arrive, sender, receiver, letter))
            return
        self.deliveries += 1
        self.trace.append(now << 24 | sender.name << 16 | receiver.name << 8 | letter.KIND)
        if isinstance(letter, SIGNED):
            self._deliver_message(sender, receiver, letter)
        else:
            self._deliver(sender, receiver, letter)

    def note(self, first: int, second: int, kind: int) -> None:
        """Add to the trace."""
        self.trace.append(self.now << 24 | first << 16 | second << 8 | kind)

    def _deliver(self, sender: Member, member: Member, letter: Unsigned) -> None:  # noqa: PLR0912
        match letter:
            case Status():
                self.step(member, StatusReceived(ValidatorIndex(sender.seat), letter))
            case SealNotice():
                seal = letter.seal
                if seal.height == member.height:
                    self.step(member, SealReceived(seal))
                elif seal.height > member.height:
                    self.post(member, sender, SyncRequest(member.height))
            case BlockRequest():
                if letter.block_hash in member.held:
                    self.post(member, sender, BlockPush(letter.height, letter.block_hash))
            case BlockPush():
                self._receive_block(member, Digest(letter.block))
            case Body():
                self._hear_body(sender, member, letter)
            case SyncRequest():
                reply = tuple(member.chain[letter.height - 1 :][:SYNC_BLOCKS])
                self.post(member, sender, SyncReply(reply))
            case SyncReply():
                for seal in letter.blocks:
                    if seal.height == member.height:
                        self._receive_block(member, seal.block_hash)
                        self.step(member, SealReceived(seal))
            case BlockSketch() | TransactionsRequest() | TransactionsReply():
                raise AssertionError("here a block is its name")
            case _:
                assert_never(letter)

    def _deliver_message(self, sender: Member, member: Member, message: SignedMessage) -> None:
        height = message.statement.height
        if height > member.height:
            room = len(member.early) < EARLY_FRAMES_MAX * self.size
            if room and height <= member.height + EARLY_HEIGHTS_MAX:
                member.early.append((sender.name, message))
        elif member.replica.is_news(message) or isinstance(message, ProvenViewChange):
            self.step(member, MessageReceived(message))

    def _hear_body(self, sender: Member, member: Member, body: Body) -> None:
        """Keep and relay a body at first sight; a sound one in time binds our vote."""
        if (body.height, body.parent) != (member.height, member.head):
            return
        if body.rank in member.bodies:
            return
        member.bodies[body.rank] = body
        for other in self._others[member.name]:
            if other is not sender:
                self.post(member, other, body)
        in_time = self.now <= member.decided_at + TIMING.block_interval // 2
        authors, holds = self.authors, self.record.holds(member)
        if in_time and authors is not None and authors.binds(body, holds=holds):
            self.step(member, authors.heard(body))

    def _receive_block(self, member: Member, block_hash: Digest) -> None:
        if block_hash in member.held:
            return
        member.held.add(block_hash)
        check = member.awaited.pop(block_hash, None)
        if check is not None:
            self._carry_out(member, check)
        at = member.replica.at
        if at is not None and at.decided is not None and at.decided.block_hash == block_hash:
            self._finish(member, at.decided)

    def _for_life(
        self, member: Member, delay: int, work: Callable[[Member, Task], None], task: Task
    ) -> None:
        """Plan work that a crash of its process undoes."""
        life = member.life

        def go() -> None:
            if not member.is_up or member.life != life:
                return
            if member.paused_until > self.now:
                self.plan(member.paused_until - self.now, go)
                return
            work(member, task)

        self.plan(delay, go)
