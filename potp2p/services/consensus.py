"""
Consensus service: drives this validator's replica.

Every input that changes the replica is in the journal before the step it causes, and journal and
signing guard are synced before anything that follows from it leaves the process. After a crash the
journal goes through the same `step` with all effects held back, and then the replica resumes: it
says again what it said, bytes and all, and nothing else.
"""

from collections import deque
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import assert_never

import trio

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.limits import (
    CONSENSUS_BATCH_MAX,
    CONSENSUS_INBOX_MAX,
    STATUS_ANSWER_SECONDS,
)
from potp2p.foundation.types import ChainId, Digest, Height, NodeId, Rank, ValidatorIndex
from potp2p.network.ports import Directory, Heard, StreamProtocol, Streams
from potp2p.observability.status import ConsensusStatus
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
from potp2p.protocol.consensus.height import HeightState
from potp2p.protocol.consensus.machine import Replica
from potp2p.protocol.consensus.view_change import Timing
from potp2p.protocol.ledger.validity import verify_seal
from potp2p.protocol.wire.blocks import Block, Seal
from potp2p.protocol.wire.consensus import (
    BlockPush,
    BlockRequest,
    BlockSketch,
    ConsensusFrame,
    Proposal,
    ProvenViewChange,
    SealNotice,
    SignedCommit,
    SignedMessage,
    SignedPrepare,
    Status,
    TransactionsReply,
    TransactionsRequest,
    decode_frame,
)
from potp2p.protocol.wire.schema import encode
from potp2p.services.consensus_absence import ask_away, discard_until
from potp2p.services.consensus_blocks import BlockShelf, ShelvedBlock, shelved
from potp2p.services.consensus_edge import AnswerGate, EarlyFrames, MessageVerifier, NewsBudget
from potp2p.services.consensus_guard import SigningGuard
from potp2p.services.consensus_inbox import Absence, Adopted, Item, Offered
from potp2p.services.consensus_memory import ReplicaMemory
from potp2p.services.consensus_ports import BlockSource, Journal
from potp2p.services.consensus_records import changes_state
from potp2p.services.consensus_sketches import BlockFrame, Pool, SketchDesk
from potp2p.services.consensus_stages import Observe, Stage, ignore_stage
from potp2p.services.consensus_status import status_of
from potp2p.services.consensus_tasks import HeightTasks
from potp2p.services.consensus_timers import TimerTable
from potp2p.services.consensus_voice import Voice


def _ignore_height(peer: NodeId, height: Height) -> None:
    """Leave a peer's claim of a higher chain to catch-up's own polling."""


@dataclass(slots=True)
class ConsensusService:
    """The one task that owns a replica; it ends by cancellation, and by any storage error."""

    node: NodeId
    """Our own."""
    chain_id: ChainId
    timing: Timing
    guard: SigningGuard
    journal: Journal
    source: BlockSource
    streams: Streams
    directory: Directory
    higher_peer: Callable[[NodeId, Height], None] = _ignore_height
    """Told what validators must have decided that work two heights or more above ours."""
    accuse: Callable[[Accuse], None] = lambda _: None
    """Told of each proven double signature."""
    observe: Observe = ignore_stage
    overhear: Callable[[Heard], None] = lambda _: None
    """Shown every frame of a validator as it comes, unchecked."""
    pool: Pool = tuple
    """What waits for a block here: sketched blocks are put together from it."""
    replica: Replica = field(init=False)
    view_changes: int = 0
    """Views entered beyond 0 since the start."""
    _memory: ReplicaMemory = field(init=False)
    _voice: Voice = field(init=False)
    _sketches: SketchDesk = field(init=False)
    _verifier: MessageVerifier = field(init=False)
    _posts: trio.MemoryReceiveChannel[Heard] = field(init=False)
    _inbox_out: trio.MemorySendChannel[Item] = field(init=False)
    _inbox: trio.MemoryReceiveChannel[Item] = field(init=False)
    _timers: TimerTable = field(default_factory=TimerTable)
    _tasks: HeightTasks = field(default_factory=HeightTasks)
    _shelf: BlockShelf = field(default_factory=BlockShelf)
    _early: EarlyFrames = field(default_factory=EarlyFrames)
    _gate: AnswerGate = field(default_factory=lambda: AnswerGate(STATUS_ANSWER_SECONDS))
    _budget: NewsBudget = field(default_factory=NewsBudget)
    _effects: deque[Effect | Absence] = field(default_factory=deque[Effect | Absence])
    _awaited: dict[Digest, CheckBlock] = field(default_factory=dict[Digest, CheckBlock])
    """Checks whose block is not here yet."""

    def __post_init__(self) -> None:
        self.replica = Replica(self.timing)
        self._memory = ReplicaMemory(self.journal, self.guard)
        self._sketches = SketchDesk(self._shelf, self._waiting, trio.current_time)
        self._voice = Voice(self.node, self.streams, self._shelf)
        self._verifier = MessageVerifier(self.chain_id)
        self._posts = self.streams.listen(StreamProtocol.CONSENSUS)
        self._inbox_out, self._inbox = trio.open_memory_channel[Item](CONSENSUS_INBOX_MAX)

    async def run(self) -> None:
        """Recover, then drive the replica until cancelled."""
        self._recover()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._forward_posts)
            nursery.start_soon(self._timers.run, self._inbox_out)
            await self._release(nursery)
            while True:
                self._take(await self._inbox.receive())
                for _ in range(CONSENSUS_BATCH_MAX):
                    try:
                        self._take(self._inbox.receive_nowait())
                    except trio.WouldBlock:
                        break
                await self._release(nursery)

    async def adopt(self, block: Block, seal: Seal) -> None:
        """
        Hand in a sealed block that catch-up verified; returns once it is stored or not needed.

        Never call it from inside the block source: the one who stores would wait for itself.
        """
        done = trio.Event()
        await self._inbox_out.send(Adopted(block, seal, done))
        await done.wait()

    def away(self) -> AbstractAsyncContextManager[None]:
        """Keep the replica from its work while catch-up stores many blocks."""
        return ask_away(self._inbox_out)

    async def hear_body(self, height: Height, rank: Rank) -> None:
        """Note a valid ranked body that came in the first half of the author window."""
        await self._inbox_out.send(BetterBodyHeard(height, rank))

    def status(self) -> ConsensusStatus | None:
        """Return what the outside may know; None before the first height."""
        at = self.replica.at
        return None if at is None else status_of(at, self.view_changes)

    @property
    def _at(self) -> HeightState:
        assert self.replica.at is not None, "recovery starts the first height"
        return self.replica.at

    def _recover(self) -> None:
        """Put the replica where it was, in silence; then let it resume."""
        facts = self.source.next_height()
        if not self._memory.recover(self.replica, self._shelf, facts):
            self._begin(facts)
        self._effects.clear()
        self._effects.extend(self.replica.step(Resumed()))

    # Inputs

    async def _forward_posts(self) -> None:
        async for heard in self._posts:
            await self._inbox_out.send(heard)

    def _take(self, item: Item) -> None:
        match item:
            case Heard():
                self._hear(item)
            case TimerFired() | BetterBodyHeard() | BlockChecked():
                if item.height == self._at.facts.height:
                    self._step(item)
            case Offered(event, kept):
                if event.height == self._at.facts.height:
                    self._voice.unpushed.add(kept.block_hash)
                    # Before the choice: a primary that comes back must have what it proposed.
                    self._memory.keep_block(kept)
                    self._keep(kept)
                    self._step(event)
            case Adopted(block, seal, done):
                self._adopt(block, seal, done)
            case Absence():
                self._effects.append(item)
            case _:
                assert_never(item)

    def _hear(self, heard: Heard) -> None:
        if heard.source not in self._at.facts.validators:
            return
        self.overhear(heard)
        try:
            self._on_frame(heard, decode_frame(heard.body))
        except PeerError as error:
            self.directory.penalise(heard.source, error)

    def _on_frame(self, heard: Heard, frame: ConsensusFrame) -> None:
        facts = self._at.facts
        match frame:
            case SignedPrepare() | SignedCommit() | ProvenViewChange() | Proposal():
                self._on_message(heard, frame)
            case Status():
                if frame.height > facts.height + 1:
                    self.higher_peer(heard.source, Height(frame.height - 1))
                if self._gate.admits(heard.source, Status, trio.current_time()):
                    seat = ValidatorIndex(facts.validators.index(heard.source))
                    self._step(StatusReceived(seat, frame))
            case SealNotice(seal):
                self._on_seal(heard.source, seal)
            case BlockRequest(_, block_hash):
                kept = self._shelf.held.get(block_hash)
                now = trio.current_time()
                if kept is not None and self._gate.admits(heard.source, block_hash, now):
                    self._voice.send(heard.source, BlockPush(kept.height, kept.encoded))
            case BlockPush() | BlockSketch() | TransactionsRequest() | TransactionsReply():
                self._on_block_frame(heard.source, frame)
            case _:
                assert_never(frame)

    def _on_block_frame(self, peer: NodeId, frame: BlockFrame) -> None:
        """Go on with a block that is whole now, or send what its sketch makes us say."""
        if isinstance(frame, TransactionsRequest):
            # Only of a block that is here: else its asker could fill the gate's table.
            subject = (TransactionsRequest, frame.block_hash)
            is_held = frame.block_hash in self._shelf.held
            if not is_held or not self._gate.admits(peer, subject, trio.current_time()):
                return
        step = self._sketches.take(peer, frame, self._at.facts.height)
        if isinstance(step, ShelvedBlock):
            self._on_block(step)
        elif step is not None:
            self._voice.send(peer, step)

    def _waiting(self) -> Iterable[tuple[Digest, bytes]]:
        return self.pool()

    def _on_message(self, heard: Heard, message: SignedMessage) -> None:
        facts, statement = self._at.facts, message.statement
        if statement.height > facts.height:
            if statement.height > facts.height + 1:
                self.higher_peer(heard.source, Height(statement.height - 1))
            self._early.keep(facts.height, statement.height, heard)
            return
        if statement.height < facts.height or self._at.decided is not None:
            # Not worth a check of signatures; whoever brings his own old words gets the seal.
            if facts.validators[statement.signer : statement.signer + 1] == (heard.source,):
                self._effects.extend(self.replica.step(MessageReceived(message)))
            return
        if not self.replica.is_news(message):
            return
        self._verifier.verify(facts, message)
        if self._budget.admits(statement.signer, self._at.view):
            self._step(MessageReceived(message))

    def _on_seal(self, source: NodeId, seal: Seal) -> None:
        facts = self._at.facts
        if seal.height > facts.height:
            self.higher_peer(source, seal.height)
        if seal.height != facts.height or self._at.decided is not None:
            return
        if seal.epoch != facts.epoch:
            raise PeerError(RejectionReason.BAD_JUSTIFICATION, "seal of another epoch")
        verify_seal(seal, facts.validators, self.chain_id)
        self._step(SealReceived(seal))

    def _adopt(self, block: Block, seal: Seal, done: trio.Event) -> None:
        if seal.height != self._at.facts.height:
            done.set()
            return
        kept = shelved(block, encode(block), None)
        assert kept.block_hash == seal.block_hash, "catch-up verifies what it hands in"
        self._tasks.when_over(done)
        self._keep(kept)
        self._step(SealReceived(seal))

    def _keep(self, kept: ShelvedBlock) -> None:
        self._shelf.put(kept)
        self._on_block(kept)

    def _on_block(self, kept: ShelvedBlock) -> None:
        """Go on with what waited for a block."""
        check = self._awaited.pop(kept.block_hash, None)
        if check is not None:
            self._effects.append(check)
        decided = self._at.decided
        if decided is not None and decided.block_hash == kept.block_hash:
            self._effects.append(Decide(decided))

    # Steps

    def _begin(self, facts: HeightStarted) -> None:
        self._memory.begin()
        self._gate.forget()
        self._budget.forget()
        self._step(facts)
        for heard in self._early.take(facts.height):
            self._hear(heard)

    def _step(self, event: Event) -> None:
        """Journal an input, step, and sign at once what the step wants to say."""
        if changes_state(event):
            self._memory.log(event)
        before = None if self.replica.at is None else self.replica.at.view
        effects = self.replica.step(event)
        if not isinstance(event, HeightStarted) and before is not None:
            self.view_changes += self._at.view - before
        for effect in effects:
            if isinstance(effect, Cast):
                self._cast(effect)
            else:
                self._effects.append(effect)

    def _cast(self, cast: Cast) -> None:
        signature = self._memory.sign(cast.statement)
        if signature is not None:
            self._step(MessageReceived(cast.signed(signature)))

    # Effects

    async def _release(self, nursery: trio.Nursery) -> None:
        while self._effects:
            await self._carry_out(self._effects.popleft(), nursery)

    async def _carry_out(self, effect: Effect | Absence, nursery: trio.Nursery) -> None:
        match effect:
            case Cast():
                self._cast(effect)
            case Broadcast() | Send() | FetchBlock():
                await self._memory.sync()
                self._say(effect)
            case SetTimer():
                self._timers.set(effect)
            case CancelTimer(timer):
                self._timers.cancel(timer)
            case RequestBlock():
                if self._tasks.is_new(effect):
                    nursery.start_soon(self._tasks.run, self._choose, effect)
            case CheckBlock():
                self._check(effect, nursery)
            case Decide(seal):
                await self._finish(seal)
            case Accuse():
                self.accuse(effect)
            case Absence():
                await self._stand_aside(effect)
            case _:
                assert_never(effect)

    def _say(self, effect: Broadcast | Send | FetchBlock) -> None:
        validators = self._at.facts.validators
        match effect:
            case Broadcast(frame):
                proposed = self._voice.broadcast(validators, frame)
                if proposed is not None:
                    self.observe(Stage.PROPOSED, proposed.block, None)
            case Send(to, frame):
                self._voice.send(validators[to], frame)
            case FetchBlock(height, block_hash):
                # A decided block is pulled at once: others do not keep it for long.
                is_waited_for = self._at.decided is None and self._sketches.is_on_its_way(
                    block_hash
                )
                if height == self._at.facts.height and not is_waited_for:
                    self._voice.fetch(validators, effect)
            case _:
                assert_never(effect)

    def _check(self, check: CheckBlock, nursery: trio.Nursery) -> None:
        if check.height != self._at.facts.height:
            return
        kept = self._shelf.held.get(check.block_hash)
        if kept is None:
            self._awaited[check.block_hash] = check
        elif self._tasks.is_new(check):
            self._memory.keep_block(kept)
            nursery.start_soon(self._tasks.run, self._execute, check)

    async def _choose(self, request: RequestBlock) -> None:
        await trio.sleep(request.delay_milliseconds / 1000)
        block = await self.source.candidate(request.height, request.view)
        kept = shelved(block, encode(block), None)
        event = BlockOffered(request.height, request.view, kept.block_hash)
        await self._inbox_out.send(Offered(event, kept))

    async def _execute(self, check: CheckBlock) -> None:
        kept = self._shelf.held[check.block_hash]
        verdict = await self.source.check(
            kept.block, kept.block_hash, first_proposal=check.first_proposal
        )
        await self._inbox_out.send(kept.checked(check, verdict))

    async def _finish(self, seal: Seal) -> None:
        """Store the decided block, if it is here, and begin the next height."""
        kept = self._shelf.held.get(seal.block_hash)
        if kept is None or seal.height != self._at.facts.height:
            return
        self._tasks.cancel()
        self._timers.clear()
        self.observe(Stage.DECIDED, kept.block, seal)
        facts = await self.source.decided(kept.block, seal)
        self.observe(Stage.STORED, kept.block, seal)
        self._turn(facts, seal.block_hash)

    def _turn(self, facts: HeightStarted, last: Digest) -> None:
        """Leave a height that is decided and stored, and begin the next."""
        self._awaited.clear()
        self._voice.unpushed.clear()
        self._shelf.turn(facts.height, last)
        self._sketches.turn(facts.height)
        self._tasks.finish()
        self._effects = deque(each for each in self._effects if isinstance(each, Accuse | Absence))
        self._begin(facts)

    async def _stand_aside(self, absence: Absence) -> None:
        """Do nothing until others have stored what they have; then go on above it."""
        self._tasks.cancel()
        self._timers.clear()
        absence.left.set()
        self._effects.extend(await discard_until(absence.over, self._inbox))
        facts = self.source.next_height()
        if facts.height > self._at.facts.height:
            self._turn(facts, facts.head_hash)
            return
        self._awaited.clear()
        self._tasks.finish()
        self._effects.extend(self.replica.step(Resumed()))
