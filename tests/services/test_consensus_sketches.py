"""Sketched blocks: put together from what waits, asked for in part, or whole, or not at all."""

from collections.abc import Iterable
from dataclasses import dataclass

import pytest
import trio
from trio.testing import MockClock

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.limits import (
    BLOCK_TRANSACTIONS_MAX,
    SHORT_ID_BYTES,
    SKETCH_PATIENCE_SECONDS,
    UNASKED_BLOCKS_MAX,
)
from potp2p.foundation.types import Digest, Height, NodeId
from potp2p.network.ports import StreamProtocol
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.wire.blocks import Block
from potp2p.protocol.wire.consensus import (
    BlockPush,
    BlockRequest,
    BlockSketch,
    ConsensusFrame,
    TransactionsReply,
    TransactionsRequest,
    decode_frame,
    encode_frame,
)
from potp2p.protocol.wire.schema import encode
from potp2p.services.consensus_blocks import BlockShelf, ShelvedBlock, shelved
from potp2p.services.consensus_sketches import SketchDesk, ahead_of_proposal, short_id
from tests.doubles.network import MemoryHub, Transit
from tests.doubles.validators import (
    MemoryChain,
    Validator,
    key_of,
    make_block,
    make_validators,
    until,
)

NODES = tuple(key_of(index).node_id for index in range(4))
FACTS = MemoryChain(NODES, NODES[0]).next_height()
BEARER, OTHER = NODES[1], NODES[2]
TRANSACTIONS = tuple(b"transaction %d " % number + bytes(60) for number in range(100))


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def kept(transactions: tuple[bytes, ...] = TRANSACTIONS) -> ShelvedBlock:
    """Return a primary's own block."""
    block = make_block(FACTS, 1, 0, transactions=transactions)
    return shelved(block, encode(block), None)


def sketch(transactions: tuple[bytes, ...] = TRANSACTIONS) -> BlockSketch:
    """Return how such a block goes ahead."""
    ahead = ahead_of_proposal(kept(transactions))
    assert isinstance(ahead, BlockSketch)
    return ahead


def pool(transactions: Iterable[bytes]) -> tuple[tuple[Digest, bytes], ...]:
    """Return what a pool says of these."""
    return tuple((sha256(each), each) for each in transactions)


def desk(waiting: Iterable[bytes]) -> SketchDesk:
    """Return a desk in front of a pool."""
    known = pool(waiting)
    return SketchDesk(BlockShelf(), lambda: known, Clock())


def offer(at: SketchDesk, frame: BlockSketch, source: NodeId = BEARER) -> object:
    """Hand a sketch of height 1 in."""
    return at.take(source, frame, Height(1))


def test_block_is_put_together_from_what_waits_in_any_order() -> None:
    at = desk([b"another", *reversed(TRANSACTIONS)])

    made = offer(at, sketch())

    assert isinstance(made, ShelvedBlock)
    assert (made.block, made.encoded) == (kept().block, kept().encoded)
    assert at.shelf.held == {made.block_hash: made}
    assert made.source == BEARER
    assert not at.pending


def test_what_is_missing_is_asked_for_by_its_place_and_completes_the_block() -> None:
    at = desk(TRANSACTIONS[:3] + TRANSACTIONS[5:])
    server = SketchDesk(BlockShelf(), tuple, Clock())
    server.shelf.put(kept())

    request = offer(at, sketch())
    assert isinstance(request, TransactionsRequest)
    assert request.missing == bytes([0b11000]) + bytes(12)
    reply = server.take(OTHER, request, Height(1))

    assert isinstance(reply, TransactionsReply)
    assert reply.transactions == TRANSACTIONS[3:5]
    made = at.take(BEARER, reply, Height(1))
    assert isinstance(made, ShelvedBlock)
    assert made.block == kept().block


def test_small_blocks_and_those_with_colliding_ids_travel_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert isinstance(ahead_of_proposal(kept(TRANSACTIONS[:2])), BlockPush)
    monkeypatch.setattr(
        "potp2p.services.consensus_sketches.short_id", lambda _salt, _digest: bytes(SHORT_ID_BYTES)
    )
    assert ahead_of_proposal(kept()) == BlockPush(Height(1), kept().encoded)


def test_short_ids_of_one_transaction_differ_from_block_to_block() -> None:
    ids = {short_id(sha256(bytes([block])), sha256(b"transaction")) for block in range(50)}

    assert len(ids) == 50


def test_a_wrong_transaction_of_the_right_short_id_makes_us_ask_for_the_whole_block() -> None:
    twins = dict(pool(TRANSACTIONS))
    twins[sha256(TRANSACTIONS[7])] = b"another with the same short id"
    at = SketchDesk(BlockShelf(), lambda: tuple(twins.items()), Clock())

    assert offer(at, sketch()) == BlockRequest(Height(1), kept().block_hash)
    whole = at.take(OTHER, BlockPush(Height(1), kept().encoded), Height(1))
    assert isinstance(whole, ShelvedBlock)
    assert whole.source is None, "it was asked for"


def test_two_that_wait_under_one_short_id_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    twin, first = b"twin of the first", TRANSACTIONS[0]

    def colliding(salt: Digest, digest: Digest) -> bytes:
        return short_id(salt, sha256(first) if digest == sha256(twin) else digest)

    frame = sketch()
    monkeypatch.setattr("potp2p.services.consensus_sketches.short_id", colliding)

    request = offer(desk([twin, *TRANSACTIONS]), frame)

    assert isinstance(request, TransactionsRequest)
    assert request.missing == bytes([1]) + bytes(12)


def altered(short_ids: bytes) -> BlockSketch:
    """Return a sketch with other short ids."""
    true = sketch()
    return BlockSketch(true.header, true.previous_seal, short_ids)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (altered(sketch().short_ids[:-1]), RejectionReason.MALFORMED),
        (altered(sketch().short_ids[:SHORT_ID_BYTES] * 2), RejectionReason.MALFORMED),
    ],
)
def test_duplicate_or_broken_short_ids_are_refused(
    frame: BlockSketch, reason: RejectionReason
) -> None:
    at = desk(TRANSACTIONS)
    with pytest.raises(PeerError) as caught:
        offer(at, frame)

    assert caught.value.reason is reason
    assert not at.pending


def test_more_short_ids_than_a_block_may_hold_are_not_even_decoded() -> None:
    with pytest.raises(PeerError) as caught:
        decode_frame(encode_frame(altered(bytes(SHORT_ID_BYTES * (BLOCK_TRANSACTIONS_MAX + 1)))))

    assert caught.value.reason is RejectionReason.OUT_OF_BOUNDS


def test_short_ids_of_another_block_never_become_a_block_of_this_header() -> None:
    others = tuple(b"other %d " % number + bytes(60) for number in range(100))
    salted = b"".join(short_id(kept().block_hash, sha256(each)) for each in others)

    step = offer(desk(others), altered(salted))

    assert step == BlockRequest(Height(1), kept().block_hash)


@pytest.mark.parametrize(
    "reply",
    [(), TRANSACTIONS[3:4], TRANSACTIONS[3:6], (TRANSACTIONS[4], TRANSACTIONS[3]), (b"x", b"y")],
)
def test_a_reply_with_anything_but_what_was_asked_costs_its_bearer(
    reply: tuple[bytes, ...],
) -> None:
    at = desk(TRANSACTIONS[:3] + TRANSACTIONS[5:])
    offer(at, sketch())

    with pytest.raises(PeerError) as caught:
        at.take(BEARER, TransactionsReply(Height(1), kept().block_hash, reply), Height(1))

    assert caught.value.reason is RejectionReason.BAD_BLOCK
    assert not at.shelf.held


def test_nobody_but_the_bearer_fills_a_sketch() -> None:
    at = desk(TRANSACTIONS[1:])
    offer(at, sketch())
    answer = TransactionsReply(Height(1), kept().block_hash, TRANSACTIONS[:1])

    assert at.take(OTHER, answer, Height(1)) is None
    assert isinstance(at.take(BEARER, answer, Height(1)), ShelvedBlock)
    assert at.take(BEARER, answer, Height(1)) is None, "it is complete"


def test_sketches_of_one_bearer_are_bounded_before_the_pool_is_searched() -> None:
    searches = 0

    def counted() -> tuple[tuple[Digest, bytes], ...]:
        nonlocal searches
        searches += 1
        return ()

    at = SketchDesk(BlockShelf(), counted, Clock())
    for number in range(20):
        offer(at, sketch((*TRANSACTIONS, bytes([number]))))

    assert (searches, len(at.pending)) == (UNASKED_BLOCKS_MAX, UNASKED_BLOCKS_MAX)
    offer(at, sketch(), OTHER)
    assert len(at.pending) == UNASKED_BLOCKS_MAX + 1


@pytest.mark.parametrize("current", [0, 2, 99])
def test_sketches_of_other_heights_and_repeated_ones_are_passed_over(current: int) -> None:
    at = desk(())
    if current:
        assert at.take(BEARER, sketch(), Height(current)) is None
    else:
        assert at.take(BEARER, sketch(), Height(0)) is not None, "one height ahead"
        assert at.take(BEARER, sketch(), Height(1)) is None


def test_a_pull_waits_a_while_for_a_sketch_that_is_being_completed() -> None:
    clock = Clock()
    at = SketchDesk(BlockShelf(), tuple, clock)
    assert not at.is_on_its_way(kept().block_hash)
    offer(at, sketch())

    assert at.is_on_its_way(kept().block_hash)
    clock.now = SKETCH_PATIENCE_SECONDS
    assert not at.is_on_its_way(kept().block_hash), "its bearer had its chance"
    late = TransactionsReply(Height(1), kept().block_hash, TRANSACTIONS)
    assert isinstance(at.take(BEARER, late, Height(1)), ShelvedBlock)


def test_a_new_height_forgets_what_is_below() -> None:
    at = desk(())
    offer(at, sketch())

    at.turn(Height(1))
    assert at.pending
    at.turn(Height(2))
    assert not at.pending


def test_a_request_for_nothing_is_refused_and_one_for_an_unknown_block_is_not_answered() -> None:
    at = desk(())
    empty = TransactionsRequest(Height(1), kept().block_hash, bytes(13))
    assert at.take(OTHER, empty, Height(1)) is None

    at.shelf.put(kept())
    with pytest.raises(PeerError):
        at.take(OTHER, empty, Height(1))


class Committee:
    """Four validators whose blocks are large enough to be sketched."""

    def __init__(self, nursery: trio.Nursery, hub: MemoryHub, lacking: int = 0) -> None:
        self.hub = hub
        self.validators: list[Validator] = make_validators(4, hub)
        for seat, validator in enumerate(self.validators):
            validator.chain.transactions = TRANSACTIONS
            waiting = pool(TRANSACTIONS[lacking if seat == 3 else 0 :])
            validator.service.pool = lambda waiting=waiting: waiting  # type: ignore[misc]
            nursery.start_soon(validator.run)
        nursery.start_soon(hub.run)

    async def grow(self, height: int) -> list[ConsensusFrame]:
        """Wait until all have come so far; return what was said."""
        chains = [validator.chain for validator in self.validators]
        await until(lambda: min(len(chain.blocks) for chain in chains) >= height, seconds=60)
        assert all(chain.blocks[0][0].transactions == TRANSACTIONS for chain in chains)
        return [decode_frame(transit.body) for transit in self.hub.transits]


def count(frames: list[ConsensusFrame], kind: type[object]) -> int:
    return sum(isinstance(frame, kind) for frame in frames)


async def test_where_all_wait_for_the_same_only_sketches_travel(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    frames = await Committee(nursery, MemoryHub()).grow(5)

    assert count(frames, BlockSketch) == 5 * 3
    for kind in (BlockPush, BlockRequest, TransactionsRequest):
        assert not count(frames, kind)
    nursery.cancel_scope.cancel()


async def test_who_lacks_some_asks_for_these_only(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    frames = await Committee(nursery, MemoryHub(), lacking=2).grow(4)

    assert count(frames, TransactionsRequest) == 3, "it leads one of the heights itself"
    replies = [frame for frame in frames if isinstance(frame, TransactionsReply)]
    assert {reply.transactions for reply in replies} == {TRANSACTIONS[:2]}
    nursery.cancel_scope.cancel()


async def test_a_bearer_that_never_answers_is_passed_over(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    def drop(transit: Transit) -> bool:
        return isinstance(decode_frame(transit.body), TransactionsReply)

    frames = await Committee(nursery, MemoryHub(drop=drop), lacking=2).grow(4)

    assert count(frames, BlockPush), "the block came whole"
    nursery.cancel_scope.cancel()


def test_a_sketch_is_a_fraction_of_its_block() -> None:
    block: Block = kept().block

    assert len(encode_frame(sketch())) < len(encode(block)) // 5


async def test_a_validator_that_asks_for_parts_again_and_again_is_answered_once_in_a_while(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    committee = Committee(nursery, MemoryHub())
    await committee.grow(1)
    victim, asker = committee.validators[0], committee.validators[2]
    held = next(iter(victim.service._shelf.held))
    for number in range(200):
        bitmap = bytes([1 << number % 8]) + bytes([number % 256])
        request = TransactionsRequest(Height(1), held, bitmap)
        asker.service.streams.post(
            victim.key.node_id, StreamProtocol.CONSENSUS, encode_frame(request)
        )
        unknown = TransactionsRequest(Height(1), sha256(bytes([number])), bitmap)
        asker.service.streams.post(
            victim.key.node_id, StreamProtocol.CONSENSUS, encode_frame(unknown)
        )
    frames = await committee.grow(2)

    assert count(frames, TransactionsRequest) == 400
    assert 1 <= count(frames, TransactionsReply) <= 3
    assert len(victim.service._gate._last) < 20
    nursery.cancel_scope.cancel()
