"""
Blocks that travel as header, parent's seal and short ids, put together from what waits here.

A short id is salted with the block hash, so nobody can prepare transactions that are mistaken for
each other in a block to come. The root in the header decides: what was put together wrongly is
asked for whole, and a bearer that answers nothing is passed over by the replica's own pulls.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.limits import (
    BLOCK_BYTES_MAX,
    BLOCK_OVERHEAD_BYTES_MAX,
    SHORT_ID_BYTES,
    SKETCH_BYTES_MIN,
    SKETCH_PATIENCE_SECONDS,
    UNASKED_BLOCKS_MAX,
)
from potp2p.foundation.types import Digest, Height, NodeId
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.ledger.validity import block_hash, seal_hash, transactions_root
from potp2p.protocol.wire.blocks import Block
from potp2p.protocol.wire.consensus import (
    BlockPush,
    BlockRequest,
    BlockSketch,
    TransactionsReply,
    TransactionsRequest,
)
from potp2p.protocol.wire.schema import encode
from potp2p.services.consensus_blocks import BlockShelf, ShelvedBlock

Pool = Callable[[], Iterable[tuple[Digest, bytes]]]
"""What waits for a block here: SHA-256 of each transaction's bytes, and the bytes."""

Step: TypeAlias = ShelvedBlock | TransactionsRequest | BlockRequest | TransactionsReply | None
"""What follows from a part that came: a whole block, something to say to its bearer, or nothing."""

BlockFrame: TypeAlias = BlockPush | BlockSketch | TransactionsRequest | TransactionsReply
"""What blocks travel in."""


def short_id(salt: Digest, digest: Digest) -> bytes:
    """Return what stands for a transaction in the sketch of the block with this hash."""
    return sha256(salt + digest)[:SHORT_ID_BYTES]


def ahead_of_proposal(kept: ShelvedBlock) -> BlockSketch | BlockPush:
    """Return how an own block goes ahead: sketched where that saves something and is safe."""
    block = kept.block
    whole = BlockPush(kept.height, kept.encoded)
    if len(kept.encoded) < SKETCH_BYTES_MIN:
        return whole
    ids = [short_id(kept.block_hash, sha256(each)) for each in block.transactions]
    if len(set(ids)) < len(ids):
        return whole
    return BlockSketch(block.header, block.previous_seal, b"".join(ids))


@dataclass(slots=True)
class PendingSketch:
    """A sketch that lacks transactions."""

    sketch: BlockSketch
    block_hash: Digest
    source: NodeId
    ids: tuple[bytes, ...]
    found: list[bytes | None]
    """By place in the block."""
    asked_at: float
    """When its bearer was asked for the rest."""
    is_wrong: bool = False
    """What was put together is another block than the header's."""

    @property
    def height(self) -> Height:
        """Return where the block wants to be."""
        return self.sketch.header.body.height

    def missing(self) -> list[int]:
        """Return the places that are still empty."""
        return [place for place, each in enumerate(self.found) if each is None]


@dataclass(slots=True)
class SketchDesk:
    """Sketches in work: few per bearer, and none looked at twice."""

    shelf: BlockShelf
    pool: Pool
    clock: Callable[[], float]
    """Monotonic seconds."""
    pending: dict[Digest, PendingSketch] = field(default_factory=dict[Digest, PendingSketch])

    def take(self, source: NodeId, frame: BlockFrame, current: Height) -> Step:
        """Take a block or a part of one, or serve one."""
        match frame:
            case BlockPush():
                return self.shelf.receive(source, frame, current)
            case BlockSketch():
                return self.receive(source, frame, current)
            case TransactionsReply():
                return self.fill(source, frame)
            case TransactionsRequest():
                return self.answer(frame)
            case _:
                assert_never(frame)

    def receive(self, source: NodeId, sketch: BlockSketch, current: Height) -> Step:
        """Put a block together, or say what its bearer has to be asked for."""
        height = sketch.header.body.height
        if not current <= height <= current + 1:
            return None
        identifier = block_hash(sketch.header)
        if identifier in self.shelf.held or identifier in self.pending:
            return None
        if identifier not in self.shelf.wanted and self._unasked(source) >= UNASKED_BLOCKS_MAX:
            return None
        if sketch.header.body.previous_seal_hash != seal_hash(sketch.previous_seal):
            raise PeerError(RejectionReason.BAD_BLOCK, "seal of another block")
        ids = _split(sketch.short_ids)
        known = self._by_short_id(identifier, frozenset(ids))
        found = [known.get(each) for each in ids]
        pending = PendingSketch(sketch, identifier, source, ids, found, self.clock())
        self.pending[identifier] = pending
        missing = pending.missing()
        if missing:
            return TransactionsRequest(height, identifier, _bitmap(missing, len(ids)))
        return self._join(pending)

    def fill(self, source: NodeId, reply: TransactionsReply) -> Step:
        """Take what a bearer sent of its sketch."""
        pending = self.pending.get(reply.block_hash)
        if pending is None or pending.source != source or pending.is_wrong:
            return None
        missing = pending.missing()
        if len(reply.transactions) != len(missing):
            raise PeerError(RejectionReason.BAD_BLOCK, "not as many transactions as asked for")
        for place, encoded in zip(missing, reply.transactions, strict=True):
            if short_id(pending.block_hash, sha256(encoded)) != pending.ids[place]:
                raise PeerError(RejectionReason.BAD_BLOCK, "a transaction of another block")
            pending.found[place] = encoded
        return self._join(pending)

    def answer(self, request: TransactionsRequest) -> TransactionsReply | None:
        """Return what a peer lacks of a block that is here."""
        kept = self.shelf.held.get(request.block_hash)
        if kept is None:
            return None
        transactions = kept.block.transactions
        places = [place for place in range(len(transactions)) if _has(request.missing, place)]
        if not places:
            raise PeerError(RejectionReason.MALFORMED, "asks for nothing of a block")
        found = tuple(transactions[place] for place in places)
        return TransactionsReply(kept.height, kept.block_hash, found)

    def is_on_its_way(self, identifier: Digest) -> bool:
        """Tell that a block need not be pulled yet: its bearer was just asked for the rest."""
        pending = self.pending.get(identifier)
        if pending is None or pending.is_wrong:
            return False
        return self.clock() < pending.asked_at + SKETCH_PATIENCE_SECONDS

    def turn(self, height: Height) -> None:
        """Forget what belongs to heights below, and what came whole by another way."""
        self.pending = {
            key: each
            for key, each in self.pending.items()
            if each.height >= height and key not in self.shelf.held
        }

    def _unasked(self, source: NodeId) -> int:
        waiting = sum(each.source == source for each in self.pending.values())
        return waiting + sum(each.source == source for each in self.shelf.held.values())

    def _by_short_id(self, salt: Digest, wanted: frozenset[bytes]) -> dict[bytes, bytes]:
        """Return the transactions here by short id; two of one short id are as good as none."""
        known: dict[bytes, bytes] = {}
        twins: set[bytes] = set()
        for digest, encoded in self.pool():
            name = short_id(salt, digest)
            if name in wanted:
                if name in known:
                    twins.add(name)
                known[name] = encoded
        for name in twins:
            del known[name]
        return known

    def _join(self, pending: PendingSketch) -> Step:
        """Make the block of a complete sketch, or ask for it whole."""
        transactions = tuple(each for each in pending.found if each is not None)
        sketch, identifier = pending.sketch, pending.block_hash
        if transactions_root(transactions) != sketch.header.body.transactions_root:
            # One of ours has the short id of another: the bearer need not have lied.
            pending.is_wrong = True
            self.shelf.wanted.add(identifier)
            return BlockRequest(pending.height, identifier)
        block = Block(sketch.header, sketch.previous_seal, transactions)
        encoded = encode(block)
        if len(encoded) > BLOCK_BYTES_MAX + BLOCK_OVERHEAD_BYTES_MAX:
            raise PeerError(RejectionReason.BAD_BLOCK, "a block larger than any")
        del self.pending[identifier]
        source = None if identifier in self.shelf.wanted else pending.source
        kept = ShelvedBlock(block, identifier, encoded, source)
        self.shelf.put(kept)
        return kept


def _split(short_ids: bytes) -> tuple[bytes, ...]:
    """Cut short ids apart; an honest bearer sends a block whose ids collide as a whole."""
    if len(short_ids) % SHORT_ID_BYTES:
        raise PeerError(RejectionReason.MALFORMED, "short ids of another size")
    starts = range(0, len(short_ids), SHORT_ID_BYTES)
    ids = tuple(short_ids[start : start + SHORT_ID_BYTES] for start in starts)
    if len(set(ids)) < len(ids):
        raise PeerError(RejectionReason.MALFORMED, "a short id twice")
    return ids


def _bitmap(places: list[int], count: int) -> bytes:
    bits = bytearray((count + 7) // 8)
    for place in places:
        bits[place // 8] |= 1 << place % 8
    return bytes(bits)


def _has(bitmap: bytes, place: int) -> bool:
    return place // 8 < len(bitmap) and bool(bitmap[place // 8] >> place % 8 & 1)
