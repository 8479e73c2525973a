"""One validator in virtual time: the replica of production, a processor, a disk and a pool."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, assert_never

from potp2p.foundation.types import Digest, Signature, ValidatorIndex, View
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
    BlockChecked,
    BlockOffered,
    Event,
    MessageReceived,
    SealReceived,
    StatusReceived,
    Timer,
    TimerFired,
)
from potp2p.protocol.consensus.machine import Replica
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.wire.blocks import RANK_NONE, Seal
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
    encode_frame,
    signed_parts,
)
from potp2p.simulation.published.costs import facts_of

if TYPE_CHECKING:
    from potp2p.simulation.published.run import Network

SYNCS_PER_VOTE: Final = 2
"""The journal and the signing guard's record."""
SLICE_SECONDS: Final = 0.005
"""Longer work leaves the processor to others in between."""
GENESIS_HEAD: Final = Digest(bytes(32))
REQUEST_BYTES: Final = 60
STUB_SIGNATURE: Final = Signature(bytes(64))


@dataclass(frozen=True, slots=True)
class ShortBlock:
    """A block as it travels: header, the parent's seal, and a short id for each transaction."""

    height: int
    primary: int
    view: int
    transactions: int
    """A bit for each."""
    size: int
    """Bytes on the wire."""
    is_whole: bool
    """A small block travels with its transactions."""

    @property
    def count(self) -> int:
        """Return the number of transactions."""
        return self.transactions.bit_count()

    def hash(self) -> Digest:
        """Return what votes name."""
        named = f"{self.height} {self.primary} {self.view} {self.transactions:x}"
        return Digest(sha256(named.encode()))


@dataclass(frozen=True, slots=True)
class Batch:
    """One gossip message."""

    number: int
    origin: int
    transactions: int
    size: int


@dataclass(slots=True, eq=False)
class Validator:
    """A seat and everything behind it."""

    network: "Network"
    seat: int
    replica: Replica = field(init=False)
    height: int = 0
    head: Digest = GENESIS_HEAD
    head_seal: Seal | None = None
    held: int = 0
    """Transactions in the pool or on the chain, a bit for each."""
    final: int = 0
    blocks: dict[Digest, ShortBlock] = field(default_factory=dict[Digest, ShortBlock])
    busy_until: float = 0.0
    busy_seconds: float = 0.0
    disk_until: float = 0.0
    view_highest: int = 0
    _awaited: dict[Digest, CheckBlock] = field(default_factory=dict[Digest, CheckBlock])
    _sealed: dict[Digest, Seal] = field(default_factory=dict[Digest, Seal])
    _timers: dict[Timer, int] = field(default_factory=dict[Timer, int])
    _early: list[tuple[int, SignedMessage]] = field(default_factory=list[tuple[int, SignedMessage]])
    _coming: set[Digest] = field(default_factory=set[Digest])
    """Blocks whose transactions are being looked for: links lose nothing, so nobody asks twice."""
    _seen: set[int] = field(default_factory=set[int])
    _to_gossip: int = 0
    _tokens: int = 0

    def __post_init__(self) -> None:
        self.replica = Replica(self.network.setting.timing)

    # Time.

    def work(self, seconds: float, then: Callable[[], None]) -> None:
        """Keep the processor busy, in slices, and go on afterwards."""
        clock = self.network.clock
        piece = min(seconds, SLICE_SECONDS)
        self.busy_until = max(clock.now, self.busy_until) + piece
        self.busy_seconds += piece
        left = seconds - piece
        clock.at(self.busy_until, then if left <= 0 else lambda: self.work(left, then))

    def _durable(self, syncs: int, then: Callable[[], None]) -> None:
        """Go on once the disk has what was written."""
        clock = self.network.clock
        self.disk_until = max(clock.now, self.disk_until) + syncs * self.network.costs.sync
        clock.at(self.disk_until, then)

    # Transactions.

    def submit(self, transactions: int) -> None:
        """Take what clients hand over."""
        seconds = transactions.bit_count() * self.network.costs.admit
        self.work(seconds, lambda: self._queue(transactions))

    def _queue(self, transactions: int) -> None:
        self.held |= transactions
        if not self._to_gossip:
            clock = self.network.clock
            clock.at(clock.now + self.network.setting.batch / 1000, self._publish)
        self._to_gossip |= transactions

    def _publish(self) -> None:
        waiting, self._to_gossip = self._to_gossip, 0
        for batch in self.network.batches(self.seat, waiting):
            self._seen.add(batch.number)
            self._forward(batch, {self.seat})

    def _forward(self, batch: Batch, without: set[int]) -> None:
        for neighbour in self.network.mesh[self.seat]:
            if neighbour not in without:
                self.network.gossip(self, neighbour, batch)

    def hear(self, source: int, batch: Batch) -> None:
        """Take a gossip message: check what is new in it, then hand it on."""
        if batch.number in self._seen:
            self.work(self.network.costs.receive, lambda: None)
            return
        self._seen.add(batch.number)
        seconds = self.network.costs.receive + batch.transactions.bit_count() * (
            self.network.costs.admit
        )

        def admitted() -> None:
            self.held |= batch.transactions
            if self.network.setting.mesh_degree:
                self._forward(batch, {source, batch.origin})

        self.work(seconds, admitted)

    # Consensus frames.

    def take(self, source: int, frame: ConsensusFrame, block: ShortBlock | None = None) -> None:
        """Take a frame that has arrived."""
        costs = self.network.costs
        match frame:
            case BlockPush():
                assert block is not None
                self.work(costs.receive, lambda: self._take_block(source, block))
            case BlockRequest():
                self.work(costs.receive, lambda: self._answer(source, frame))
            case Status():
                event = StatusReceived(ValidatorIndex(source), frame)
                self.work(costs.receive + costs.decode_vote, lambda: self.step(event))
            case SealNotice(seal):
                seconds = costs.receive + costs.verify * len(seal.signatures)
                self.work(seconds, lambda: self._take_seal(seal))
            case SignedPrepare() | SignedCommit() | ProvenViewChange() | Proposal():
                self.work(
                    costs.receive + costs.decode_vote, lambda: self._take_message(source, frame)
                )
            case BlockSketch() | TransactionsRequest() | TransactionsReply():
                raise AssertionError("they travel as sizes")
            case _:
                assert_never(frame)

    def _take_message(self, source: int, message: SignedMessage) -> None:
        """Check a message of this height that is news; those of the next ones wait."""
        height = message.statement.height
        if height > self.height:
            self._early.append((source, message))
        elif height < self.height:
            self.step(MessageReceived(message))
        elif self.replica.is_news(message):
            seconds = self.network.costs.verify * len(signed_parts(message))
            seconds += self.network.costs.step_vote
            self.work(seconds, lambda: self.step(MessageReceived(message)))

    def _take_seal(self, seal: Seal) -> None:
        if seal.height == self.height:
            self.step(SealReceived(seal))

    def step(self, event: Event) -> None:
        """Step the machine and carry out what it wants."""
        for effect in self.replica.step(event):
            self._carry_out(effect)

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Cast():
                self._cast(effect)
            case Broadcast():
                self._broadcast(effect.frame)
            case Send():
                self._durable(1, lambda: self.network.post(self, effect.to, effect.frame))
            case SetTimer():
                self._set_timer(effect)
            case CancelTimer():
                self._timers.pop(effect.timer, None)
            case RequestBlock():
                clock = self.network.clock
                clock.at(clock.now + effect.delay_milliseconds / 1000, lambda: self._offer(effect))
            case FetchBlock():
                self._fetch(effect)
            case CheckBlock():
                self._awaited[effect.block_hash] = effect
                self._check_awaited(effect.block_hash)
            case Decide():
                self._sealed[effect.seal.block_hash] = effect.seal
                self._finish(effect.seal.block_hash)
            case Accuse():
                raise AssertionError("everybody is honest here")
            case _:
                assert_never(effect)

    def _cast(self, cast: Cast) -> None:
        self.view_highest = max(self.view_highest, cast.statement.view)
        signed = MessageReceived(cast.signed(STUB_SIGNATURE))
        self.work(self.network.costs.sign, lambda: self.step(signed))

    def _broadcast(self, frame: ConsensusFrame) -> None:
        self._durable(SYNCS_PER_VOTE, lambda: self.network.post_all(self, frame))

    def _set_timer(self, wanted: SetTimer) -> None:
        self._tokens += 1
        token = self._timers[wanted.timer] = self._tokens
        clock = self.network.clock

        def fire() -> None:
            if self._timers.get(wanted.timer) == token:
                del self._timers[wanted.timer]
                self.step(TimerFired(wanted.timer, wanted.height, wanted.view))

        clock.at(clock.now + wanted.delay_milliseconds / 1000, fire)

    # Blocks.

    def _offer(self, request: RequestBlock) -> None:
        """As primary, build a block of what is here."""
        if request.height != self.height:
            return
        block = self.network.build(self, request)
        costs = self.network.costs
        seconds = costs.execute_block + costs.sign
        seconds += block.count * (costs.execute + costs.root + costs.short_id)

        def built() -> None:
            identifier = block.hash()
            self.blocks[identifier] = block
            self._durable(1, lambda: self.network.push_all(self, block))
            self.step(BlockOffered(request.height, request.view, identifier))

        self.work(seconds, built)

    def _take_block(self, source: int, block: ShortBlock) -> None:
        """Find the transactions by their short ids; ask the sender for those that are missing."""
        identifier = block.hash()
        known = identifier in self.blocks or identifier in self._coming
        if known or block.height < self.height:
            return
        self._coming.add(identifier)
        costs = self.network.costs
        pool = (self.held & ~self.final).bit_count()
        self.work(costs.short_id * pool, lambda: self._complete(source, identifier, block))

    def _complete(self, source: int, identifier: Digest, block: ShortBlock) -> None:
        missing = block.transactions & ~self.held
        if missing and block.is_whole:
            seconds = missing.bit_count() * self.network.costs.admit
            self.held |= missing
            self.work(seconds, lambda: self._complete(source, identifier, block))
            return
        if not missing:
            self.blocks[identifier] = block
            self._check_awaited(identifier)
            self._finish(identifier)
            return
        size = REQUEST_BYTES + (block.count + 7) // 8

        def brought() -> None:
            def admitted() -> None:
                self.held |= missing
                self._complete(source, identifier, block)

            self.work(missing.bit_count() * self.network.costs.admit, admitted)

        self.network.ask_missing(self, source, size, missing, brought)

    def _fetch(self, wanted: FetchBlock) -> None:
        known = wanted.block_hash in self.blocks or wanted.block_hash in self._coming
        if not known and wanted.hints:
            frame = BlockRequest(wanted.height, wanted.block_hash)
            self.network.post(self, wanted.hints[self._tokens % len(wanted.hints)], frame)

    def _answer(self, source: int, request: BlockRequest) -> None:
        block = self.blocks.get(request.block_hash)
        if block is not None:
            self.network.push(self, source, block)

    def _check_awaited(self, identifier: Digest) -> None:
        """Execute a block that the replica waits for, once it is here."""
        check, block = self._awaited.get(identifier), self.blocks.get(identifier)
        if check is None or block is None:
            return
        del self._awaited[identifier]
        costs = self.network.costs
        seconds = costs.execute_block + costs.verify * (1 + self.network.quorum)
        seconds += block.count * (costs.execute + costs.root)
        event = BlockChecked(
            height=check.height,
            block_hash=identifier,
            first_proposal=check.first_proposal,
            valid=True,
            rank=RANK_NONE,
            primary=ValidatorIndex(block.primary),
            first_view=View(block.view),
        )
        self.work(seconds, lambda: self.step(event))

    # Heights.

    def _finish(self, identifier: Digest) -> None:
        """Store a decided block whose transactions are here, and begin the next height."""
        seal, block = self._sealed.get(identifier), self.blocks.get(identifier)
        if seal is None or block is None or seal.height != self.height:
            return
        del self._sealed[identifier]
        self.final |= block.transactions
        self.network.note_decided(self, block)
        self._timers.clear()
        self._durable(1, lambda: self.begin(self.height + 1, identifier, seal))

    def begin(self, height: int, head: Digest, seal: Seal | None) -> None:
        """Start a height; what came too early for it is taken now."""
        self.height, self.head, self.head_seal = height, head, seal
        self._awaited.clear()
        facts = facts_of(self.network.size, self.seat, height, head)
        self.step(replace(facts, head_seal=seal))
        early, self._early = self._early, []
        for source, message in early:
            self._take_message(source, message)


def size_of(frame: ConsensusFrame) -> int:
    """Return how many bytes a frame takes, by encoding it."""
    return len(encode_frame(frame))
