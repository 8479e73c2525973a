"""
Transactions between nodes: own statements out, others' in, gossip in one batch per interval.

A node without a seat hands its statements to a few validators; whoever takes one that way gossips
it with the rest of its batch. A statement is said again until its effect stands on the chain.
"""

import contextlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import trio

from potp2p.foundation.errors import PeerError, RejectionReason, UnreachableError
from potp2p.foundation.limits import (
    GOSSIP_BYTES_MAX,
    HANDS_AT_ONCE_MAX,
    MEMPOOL_TRANSACTIONS_MAX,
    PRESSED_BYTES_MAX,
    REQUEST_BYTES_MAX,
    SAY_AGAIN_BLOCKS,
    SUBMIT_SECONDS,
    SUBMIT_VALIDATORS,
)
from potp2p.foundation.types import Amount, Height, NodeId
from potp2p.network.ports import Directory, Gossip, Heard, StreamProtocol, Streams, Topic
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.crypto.identity import KeyPair
from potp2p.protocol.ledger.transition import sign_transaction
from potp2p.protocol.wire.exchange import TransactionBatch
from potp2p.protocol.wire.schema import decode, encode
from potp2p.protocol.wire.submission import (
    REFUSAL_BYTES_MAX,
    Refusal,
    Submission,
    SubmissionReceipt,
)
from potp2p.protocol.wire.transactions import Free, TransactionBody
from potp2p.services.chain import ChainService
from potp2p.services.mempool import FORGIVEN, Mempool

BATCH_OVERHEAD_BYTES = 16
TRANSACTION_OVERHEAD_BYTES = 5
BATCH_SECONDS_MIN = 0.1
"""Where blocks follow each other without a pause, gossip still does not."""
BATCH_TRANSACTIONS_MAX = 128
"""A batch is checked in one go, since the library waits: some seven milliseconds."""
CHECKED_AT_ONCE = 16
"""Signatures checked before others get their turn: two milliseconds."""


@dataclass(slots=True)
class OutboxService:
    """Owner of what waits to be gossiped and of what this node has said."""

    keys: KeyPair
    chain: ChainService
    mempool: Mempool
    gossip: Gossip
    streams: Streams
    directory: Directory
    interval_seconds: float
    """Between two batches."""
    _waiting: deque[bytes] = field(
        default_factory=lambda: deque[bytes](maxlen=MEMPOOL_TRANSACTIONS_MAX)
    )
    """The oldest go first when gossip cannot keep up with what is taken in."""
    _arrived: trio.Event = field(default_factory=trio.Event)
    _said: dict[bytes, Height] = field(default_factory=dict[bytes, Height])
    _heard: trio.MemoryReceiveChannel[Heard] = field(init=False)
    _to_hand: trio.MemorySendChannel[bytes] = field(init=False)
    _handing: trio.MemoryReceiveChannel[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.streams.serve(StreamProtocol.SUBMIT, self.answer)
        self.streams.serve(StreamProtocol.SUBMIT_MANY, self.answer_many)
        self._heard = self.gossip.subscribe(Topic.TRANSACTIONS, self.validate)
        self._to_hand, self._handing = trio.open_memory_channel[bytes](1024)

    async def run(self) -> None:
        """Take, batch and hand on; ends by cancellation."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen)
            nursery.start_soon(self._publish)
            nursery.start_soon(self._hand)
            nursery.start_soon(self._press)

    def say(self, action: Free) -> None:
        """Sign a free action and send it on its way, unless that was done a moment ago."""
        identifier = sha256(encode(TransactionBody(self.keys.node_id, 0, Amount(0), action)))
        height = self.chain.head.height
        if identifier in self._said and height < self._said[identifier] + SAY_AGAIN_BLOCKS:
            return
        self._said[identifier] = height
        for old in [key for key, at in self._said.items() if at + 64 * SAY_AGAIN_BLOCKS < height]:
            del self._said[old]
        encoded = sign_transaction(self.keys, self.chain.chain_id, action)
        try:
            self.mempool.add(encoded, own=True)
        except PeerError:
            # The state does not know us yet: it is said again after some blocks.
            return
        if self.keys.node_id in self.chain.prospects.nodes:
            self._queue(encoded)
            return
        try:
            self._to_hand.send_nowait(encoded)
        except trio.WouldBlock:
            del self._said[identifier]

    async def answer(self, _peer: NodeId, body: bytes) -> bytes:
        """Take a transaction from a peer; PeerError refuses it by name."""
        await trio.lowlevel.checkpoint()
        if self.mempool.add(body):
            self._queue(body)
        return b""

    async def answer_many(self, _peer: NodeId, body: bytes) -> bytes:
        """Take transactions in order; one that may not wait here is named, a bad one ends it."""
        submission = decode(Submission, body, bytes_max=REQUEST_BYTES_MAX)
        refused: list[Refusal] = []
        for index, encoded in enumerate(submission.transactions):
            if index % CHECKED_AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
            try:
                if self.mempool.add(encoded):
                    self._queue(encoded)
            except PeerError as error:
                if error.reason not in FORGIVEN:
                    raise
                refused.append(Refusal(index, error.detail[:REFUSAL_BYTES_MAX]))
        return encode(SubmissionReceipt(tuple(refused)))

    def validate(self, message: bytes) -> None:
        """
        Take in a gossiped batch, or refuse all that comes after its first bad transaction.

        What passes here is forwarded in our name, and our neighbours score us for it: so nothing
        may pass whose shape and signatures were not checked, and no batch that brings nothing.
        """
        if self.chain.is_behind:
            raise PeerError(RejectionReason.UNPROVEN, "transactions for a state far ahead of ours")
        batch = decode(TransactionBatch, message, bytes_max=GOSSIP_BYTES_MAX)
        of_use = False
        for encoded in batch.transactions:
            try:
                self.mempool.add(encoded)
            except PeerError as error:
                # Signed as it should be, yet without room or standing here: one of us may lag.
                if error.reason not in FORGIVEN:
                    raise
            else:
                of_use = True
        if not of_use:
            raise PeerError(RejectionReason.USELESS, "a batch of which nothing may wait here")

    def _queue(self, encoded: bytes) -> None:
        self._waiting.append(encoded)
        self._arrived.set()

    async def _listen(self) -> None:
        async for _ in self._heard:
            # Validation took it in already; the inbox only has to be emptied.
            continue

    async def _publish(self) -> None:
        while True:
            await self._arrived.wait()
            # The batch fills for an interval: what a delivery costs hardly depends on its size.
            await trio.sleep(max(self.interval_seconds, BATCH_SECONDS_MIN))
            waiting = list(self._waiting)
            self._waiting.clear()
            self._arrived = trio.Event()
            for batch in _batches(waiting):
                await self.gossip.publish(Topic.TRANSACTIONS, encode(TransactionBatch(batch)))

    async def _press(self) -> None:
        """Hand what blocks leave out to those who write and propose the next ones."""
        while True:
            await self.chain.bell.wait_above(self.chain.head.height)
            prospects, own = self.chain.prospects, self.keys.node_id
            if not self.chain.overdue.pressing or own not in prospects.nodes:
                continue
            primaries = [prospects.nodes[seat] for seat in prospects.primaries]
            body = encode(Submission(_first_of(self.chain.overdue.pressing)))
            with trio.move_on_after(SUBMIT_SECONDS):
                async with trio.open_nursery() as nursery:
                    for peer in dict.fromkeys((*prospects.ranking, *primaries)):
                        if peer != own:
                            nursery.start_soon(self._press_one, peer, body)

    async def _press_one(self, peer: NodeId, body: bytes) -> None:
        with contextlib.suppress(UnreachableError):
            await self.streams.request(
                peer, StreamProtocol.SUBMIT_MANY, body, deadline_seconds=SUBMIT_SECONDS
            )

    async def _hand(self) -> None:
        async with trio.open_nursery() as nursery:
            free_hands = trio.Semaphore(HANDS_AT_ONCE_MAX)
            async for encoded in self._handing:
                await free_hands.acquire()
                nursery.start_soon(self._hand_one, encoded, free_hands)

    async def _hand_one(self, encoded: bytes, free_hands: trio.Semaphore) -> None:
        try:
            if not await self._hand_to_validators(encoded):
                self._queue(encoded)
        finally:
            free_hands.release()

    async def _hand_to_validators(self, encoded: bytes) -> bool:
        """Give a statement to some connected validators; False when none took it."""
        connected = set(self.directory.peers())
        # Other validators after a while: the first ones may have kept a statement to themselves.
        turn = self.chain.head.height // SAY_AGAIN_BLOCKS
        start = int.from_bytes(self.keys.node_id[-4:], "big") + turn
        nodes = self.chain.prospects.nodes
        order = [nodes[(start + step) % len(nodes)] for step in range(len(nodes))]
        targets = [node for node in order if node in connected][:SUBMIT_VALIDATORS]
        taken: list[bool] = []

        async def give(peer: NodeId) -> None:
            try:
                await self.streams.request(
                    peer, StreamProtocol.SUBMIT, encoded, deadline_seconds=SUBMIT_SECONDS
                )
            except UnreachableError:
                return
            taken.append(True)

        async with trio.open_nursery() as nursery:
            for peer in targets:
                nursery.start_soon(give, peer)
        return bool(taken)


def _first_of(statements: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return as many as one request may carry: the rest comes with the next block."""
    sizes = accumulate(len(each) + TRANSACTION_OVERHEAD_BYTES for each in statements)
    count = sum(size <= PRESSED_BYTES_MAX for size in sizes)
    return tuple(statements[:count])


def _batches(waiting: list[bytes]) -> list[tuple[bytes, ...]]:
    """Cut what waits into batches that fit a gossip message."""
    batches: list[tuple[bytes, ...]] = []
    batch: list[bytes] = []
    size = BATCH_OVERHEAD_BYTES
    for encoded in waiting:
        is_full = size + len(encoded) + TRANSACTION_OVERHEAD_BYTES > GOSSIP_BYTES_MAX
        if batch and (is_full or len(batch) >= BATCH_TRANSACTIONS_MAX):
            batches.append(tuple(batch))
            batch, size = [], BATCH_OVERHEAD_BYTES
        batch.append(encoded)
        size += len(encoded) + TRANSACTION_OVERHEAD_BYTES
    return [*batches, tuple(batch)] if batch else batches
