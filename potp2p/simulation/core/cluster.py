"""
A committee in virtual time: one heap of happenings, one seed, the machine of production.

Members keep what a disk keeps (the log of the height, the guard, decided blocks) and lose the rest
in a crash. Everything else is a fault drawn from the seed until `calm_at`; afterwards the network
is prompt and lossless, and the honest must agree and go on. Signatures are stubs: whoever wants to
lie says so by his own seat only.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from typing import TypeVar, assert_never

from potp2p.foundation.limits import EARLY_HEIGHTS_MAX
from potp2p.foundation.types import Digest, Height, Rank, ValidatorIndex, View
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
    BetterBodyHeard,
    BlockChecked,
    BlockOffered,
    Event,
    HeightStarted,
    MessageReceived,
    Resumed,
    SealReceived,
    StatusReceived,
    TimerFired,
)
from potp2p.protocol.consensus.machine import Replica
from potp2p.protocol.wire.blocks import RANK_NONE, Seal
from potp2p.protocol.wire.consensus import (
    BlockPush,
    BlockRequest,
    Commit,
    Prepare,
    Proposal,
    Propose,
    ProvenViewChange,
    SealNotice,
    SignedCommit,
    SignedMessage,
    SignedPrepare,
    Statement,
    Status,
    ViewChange,
)
from potp2p.simulation.core.faults import Faults
from potp2p.simulation.core.letters import BlockFacts, Letter, SyncReply, SyncRequest
from potp2p.simulation.core.members import Member
from potp2p.simulation.core.oracle import Oracle
from potp2p.simulation.core.stubs import TIMING, start, stub_signature

Task = TypeVar("Task")
PHASES: dict[type, int] = {ViewChange: 0, Propose: 1, Prepare: 2, Commit: 3}


@dataclass
class Cluster:
    """Runs a committee from one seed and watches that it never disagrees."""

    size: int
    seed: int
    faults: Faults = field(default_factory=Faults)
    now: int = 0
    members: list[Member] = field(default_factory=list[Member])
    accused: set[int] = field(default_factory=set[int])
    deliveries: int = 0
    progress: int = 0
    """Decisions by anyone."""
    tamper: Callable[["Cluster", Member, Member, Letter], Letter | None] | None = None
    """A liar's hand on what a member sends; None loses the letter."""

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.heap: list[tuple[int, int, Callable[[], None]]] = []
        self.counter = 0
        self.blocks: dict[Digest, BlockFacts] = {}
        self.oracle = Oracle(self.size)
        self.groups: dict[int, int] | None = None
        twins = sorted(self.faults.twins)
        for name, seat in enumerate([*range(self.size), *twins]):
            self.members.append(Member(name, seat, is_honest=seat not in self.faults.twins))

    @property
    def honest(self) -> list[Member]:
        """Return the members that keep to the rules and speak."""
        return [
            member
            for member in self.members
            if member.is_honest and member.seat not in self.faults.silent
        ]

    def run(self, heights: int, *, until: int) -> bool:
        """Run to a height or a time; tell whether every honest member reached the height."""
        for member in self.members:
            self.step(member, self._facts(member))
        if self.faults.partitions:
            self._plan(self.random.randint(0, 2_000), self._partition)
        if self.faults.crashes:
            self._plan(self.random.randint(0, 4_000), self._crash)
        return self.resume(heights, until=until)

    def resume(self, heights: int, *, until: int) -> bool:
        """Go on with a run."""
        honest = self.honest
        seen = -1
        while self.heap and self.now <= until and not self.oracle.violations:
            if self.progress != seen:
                seen = self.progress
                if all(len(member.chain) >= heights for member in honest):
                    return True
            self.now, _, happening = heapq.heappop(self.heap)
            happening()
        return all(len(member.chain) >= heights for member in honest)

    def step(self, member: Member, event: Event) -> None:
        """Log, step and carry out; own words come back before anything else happens."""
        if not isinstance(event, StatusReceived | Resumed):
            member.log.append(event)
        for effect in member.replica.step(event):
            self._carry_out(member, effect)

    def _carry_out(self, member: Member, effect: Effect) -> None:  # noqa: PLR0912
        match effect:
            case Cast(statement):
                if self._may_sign(member, statement):
                    self.step(member, MessageReceived(effect.signed(stub_signature(member.seat))))
            case Broadcast(frame):
                for other in self.members:
                    if other is not member:
                        self.post(member, other, frame)
            case Send(to, frame):
                for other in self.members:
                    if other.seat == to and other is not member:
                        self.post(member, other, frame)
            case SetTimer():
                self._set_timer(member, effect)
            case CancelTimer(timer):
                member.timers.pop(timer, None)
            case RequestBlock():
                self._for_life(member, effect.delay_milliseconds, self._offer, effect)
            case FetchBlock(height, block_hash, hints):
                self._fetch(member, height, block_hash, hints)
            case CheckBlock(_, _, block_hash, _):
                if block_hash in member.held:
                    self._for_life(member, 5, self._checked, effect)
                else:
                    member.awaited[block_hash] = effect
            case Decide(seal):
                self._finish(member, seal)
            case Accuse(first, _):
                self.accused.add(first.statement.signer)
            case _:
                assert_never(effect)

    def _may_sign(self, member: Member, statement: Statement) -> bool:
        place = (statement.height, statement.view, PHASES[type(statement)])
        if member.guard is not None:
            last, said = member.guard
            if place < last or (place == last and said != statement):
                return False
        member.guard = (place, statement)
        return True

    def _set_timer(self, member: Member, wanted: SetTimer) -> None:
        self.counter += 1
        token = self.counter
        member.timers[wanted.timer] = token

        def fire() -> None:
            if member.is_up and member.timers.get(wanted.timer) == token:
                del member.timers[wanted.timer]
                self.step(member, TimerFired(wanted.timer, wanted.height, wanted.view))

        self._plan(wanted.delay_milliseconds, fire)

    def _offer(self, member: Member, request: RequestBlock) -> None:
        if request.height != member.height:
            return
        rank = member.ranks.get(request.height, RANK_NONE)
        facts = BlockFacts(request.height, member.head, rank, member.seat, request.view)
        self.counter += 1
        name = f"{facts} {member.name} {self.counter}".encode()
        block_hash = Digest(sha256(name).digest())
        self.blocks[block_hash] = facts
        member.held.add(block_hash)
        for other in self.members:
            if other is not member:
                self.post(member, other, BlockPush(request.height, block_hash))
        self.step(member, BlockOffered(request.height, request.view, block_hash))

    def _checked(self, member: Member, check: CheckBlock) -> None:
        if check.height != member.height:
            return
        facts = self.blocks[check.block_hash]
        valid = facts.height == member.height and facts.parent == member.head
        answer = BlockChecked(
            check.height,
            check.block_hash,
            check.first_proposal,
            valid,
            Rank(facts.rank),
            ValidatorIndex(facts.primary),
            View(facts.view),
        )
        self.step(member, answer)

    def _fetch(
        self, member: Member, height: Height, block_hash: Digest, hints: tuple[ValidatorIndex, ...]
    ) -> None:
        if block_hash in member.held or height != member.height or not hints:
            return
        member.fetches += 1
        seat = hints[member.fetches % len(hints)]
        for other in self.members:
            if other.seat == seat and other is not member:
                self.post(member, other, BlockRequest(height, block_hash))

    def _finish(self, member: Member, seal: Seal) -> None:
        if seal.block_hash not in member.held or seal.height != member.height:
            return
        self.oracle.note_decided(member, seal, self.blocks[seal.block_hash])
        member.chain.append(seal)
        self.progress += 1
        member.log.clear()
        member.synced = 0
        member.awaited.clear()
        member.timers.clear()
        self.step(member, self._facts(member))
        early, member.early = member.early, []
        for source, letter in early:
            self._deliver(self.members[source], member, letter)

    def _facts(self, member: Member) -> HeightStarted:
        if self.faults.authors:
            self._draw_bodies(member)
        order = tuple((member.height + view) % self.size for view in range(self.size))
        return start(
            self.size,
            member.seat,
            height=member.height,
            head=member.head,
            head_seal=member.chain[-1] if member.chain else None,
            primaries=order,
        )

    def _draw_bodies(self, member: Member) -> None:
        """Let ranked bodies come to a member: in time, late, or never."""
        for rank in range(3):
            if self.random.random() < 0.5:
                delay = self.random.randint(0, TIMING.block_interval)
                self._for_life(member, delay, self._hear_body, (member.height, rank, delay))

    def _hear_body(self, member: Member, heard: tuple[int, int, int]) -> None:
        height, rank, delay = heard
        if height != member.height:
            return
        member.ranks[height] = min(rank, member.ranks.get(height, RANK_NONE))
        if delay < TIMING.block_interval // 4:
            self.step(member, BetterBodyHeard(Height(height), Rank(rank)))

    # Wire

    def post(self, sender: Member, receiver: Member, letter: Letter) -> None:
        """Send a letter through the faults of the moment."""
        if sender.seat in self.faults.silent:
            return
        sender.synced = len(sender.log)
        if isinstance(letter, SignedPrepare | SignedCommit | ProvenViewChange | Proposal):
            self.oracle.note_said(sender, letter)
        sent = letter if self.tamper is None else self.tamper(self, sender, receiver, letter)
        if sent is None:
            return
        calm = self.now >= self.faults.calm_at
        copies = 1
        if not calm:
            if self.groups is not None and self.groups[sender.name] != self.groups[receiver.name]:
                return
            if self.random.random() < self.faults.loss:
                return
            if self.random.random() < self.faults.duplication:
                copies = 2
        for _ in range(copies):
            delay = self.random.randint(*self.faults.latency)
            self._plan(delay, lambda: self._arrive(sender, receiver, sent))

    def _arrive(self, sender: Member, receiver: Member, letter: Letter) -> None:
        if receiver.is_up:
            self.deliveries += 1
            self._deliver(sender, receiver, letter)

    def _deliver(self, sender: Member, member: Member, letter: Letter) -> None:  # noqa: PLR0912
        match letter:
            case SignedPrepare() | SignedCommit() | ProvenViewChange() | Proposal():
                self._deliver_message(sender, member, letter)
            case Status():
                self.step(member, StatusReceived(ValidatorIndex(sender.seat), letter))
            case SealNotice(seal):
                if seal.height == member.height:
                    self.step(member, SealReceived(seal))
                elif seal.height > member.height:
                    self.post(member, sender, SyncRequest(member.height))
            case BlockRequest(height, block_hash):
                if block_hash in member.held:
                    self.post(member, sender, BlockPush(height, block_hash))
            case BlockPush(_, name):
                self._receive_block(member, Digest(name))
            case SyncRequest(height):
                self.post(member, sender, SyncReply(tuple(member.chain[height - 1 :][:20])))
            case SyncReply(blocks):
                for seal in blocks:
                    if seal.height == member.height:
                        self._receive_block(member, seal.block_hash)
                        self.step(member, SealReceived(seal))
            case _:
                assert_never(letter)

    def _deliver_message(self, sender: Member, member: Member, message: SignedMessage) -> None:
        height = message.statement.height
        if member.height < height <= member.height + EARLY_HEIGHTS_MAX:
            member.early.append((sender.name, message))
            return
        is_useful = member.replica.is_news(message) or isinstance(message, ProvenViewChange)
        if height <= member.height and is_useful:
            self.step(member, MessageReceived(message))

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

    # Faults

    def _plan(self, delay: int, happening: Callable[[], None]) -> None:
        self.counter += 1
        heapq.heappush(self.heap, (self.now + delay, self.counter, happening))

    def _for_life(
        self, member: Member, delay: int, work: Callable[[Member, Task], None], task: Task
    ) -> None:
        """Plan work that a crash of its process undoes."""
        life = member.life

        def go() -> None:
            if member.is_up and member.life == life:
                work(member, task)

        self._plan(delay, go)

    def _partition(self) -> None:
        if self.now >= self.faults.calm_at:
            return
        if self.groups is None:
            self.groups = {member.name: self.random.randint(0, 1) for member in self.members}
        else:
            self.groups = None
        self._plan(self.random.randint(500, 8_000), self._partition)

    def _crash(self) -> None:
        """Take a process down: unsynced log is lost in part, memory wholly."""
        if self.now >= self.faults.calm_at:
            return
        member = self.random.choice(self.members)
        if member.is_up:
            member.is_up = False
            member.life += 1
            kept = self.random.randint(member.synced, len(member.log))
            del member.log[max(kept, 1) :]
            self._plan(self.random.randint(100, 5_000), lambda: self.restart(member))
        self._plan(self.random.randint(500, 5_000), self._crash)

    def restart(self, member: Member) -> None:
        """Bring a process back: the same machine on the same log, silent until it resumes."""
        member.is_up = True
        member.replica = Replica(TIMING)
        member.timers.clear()
        member.early.clear()
        member.awaited.clear()
        for event in member.log:
            member.replica.step(event)
        member.synced = len(member.log)
        self.step(member, Resumed())
