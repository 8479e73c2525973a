"""The pool takes what could be executed, in bounds, and forgets what is over."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from random import Random

import pytest

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.limits import MEMPOOL_STALE_BLOCKS
from potp2p.foundation.types import (
    AccountId,
    Amount,
    ChainId,
    Cycle,
    Digest,
    Height,
    Round,
    Signature,
    TaskId,
)
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.crypto.identity import KeyPair
from potp2p.protocol.ledger.transition import sign_paid_transaction, sign_transaction
from potp2p.protocol.wire.schema import decode, encode
from potp2p.protocol.wire.transactions import (
    Attest,
    Free,
    Ready,
    Transaction,
    TransactionBody,
    Transfer,
)
from potp2p.services import mempool as module
from potp2p.services.admission import Room, Standing
from potp2p.services.mempool import Bounds, Mempool
from tests.doubles.world import key_of

CHAIN = ChainId(sha256(b"mempool tests"))
ANNA, BORIS = key_of("anna"), key_of("boris")
TO = AccountId(b"\x07" * 20)


@dataclass
class Bench:
    """A pool whose height and idea of standing the test sets."""

    height: int = 100
    banned: set[bytes] = field(default_factory=set[bytes])
    strangers: set[bytes] = field(default_factory=set[bytes])
    at_most: int = 2_048
    base_fee: int = 0
    pool: Mempool = field(init=False)

    def __post_init__(self) -> None:
        self.pool = Mempool(
            CHAIN, lambda: Height(self.height), self.has_standing, lambda: self.base_fee
        )

    def has_standing(self, body: TransactionBody) -> Standing | None:
        if body.sender in self.banned:
            return None
        if isinstance(body.action, Transfer):
            return Standing(Room.PAID, self.at_most, body.nonce)
        room = Room.STRANGERS if body.sender in self.strangers else Room.MEMBERS
        return Standing(room, self.at_most)


Bound = Callable[[Room, int, int], None]


@pytest.fixture
def bound(monkeypatch: pytest.MonkeyPatch) -> Bound:
    """Make a room small."""

    def apply(room: Room, transactions: int, size: int) -> None:
        monkeypatch.setitem(module.BOUNDS, room, Bounds(transactions, size))

    return apply


def ready(cycle: int, keys: KeyPair = ANNA, chain: ChainId = CHAIN) -> bytes:
    return sign_transaction(keys, chain, Ready(Cycle(cycle)))


def pay(nonce: int, fee: int, keys: KeyPair = ANNA) -> bytes:
    return sign_paid_transaction(keys, CHAIN, nonce, Amount(fee), Transfer(TO, Amount(5)))


def refusal(pool: Mempool, encoded: bytes) -> RejectionReason:
    with pytest.raises(PeerError) as refused:
        pool.add(encoded)
    return refused.value.reason


def test_a_transaction_is_taken_once() -> None:
    pool = Bench().pool
    assert pool.add(ready(1)) is True
    assert pool.add(ready(1)) is False
    assert (len(pool), pool.candidates()) == (1, (ready(1),))


def test_what_is_not_a_signed_statement_of_this_chain_is_refused() -> None:
    pool = Bench().pool
    assert refusal(pool, b"") is RejectionReason.MALFORMED
    assert refusal(pool, bytes(17_000)) is RejectionReason.OUT_OF_BOUNDS
    assert (
        refusal(pool, ready(1, chain=ChainId(Digest(bytes(32))))) is RejectionReason.BAD_SIGNATURE
    )
    assert len(pool) == 0


def test_a_known_statement_under_another_signature_is_refused_and_not_verified() -> None:
    pool = Bench().pool
    pool.add(ready(1))
    forged = encode(replace(decode(Transaction, ready(1)), signature=Signature(b"\x05" * 64)))
    assert refusal(pool, forged) is RejectionReason.BAD_SIGNATURE
    assert pool.is_verified(ready(1))
    assert not pool.is_verified(forged)


def test_one_sender_cannot_fill_the_pool() -> None:
    pool = Bench(at_most=3).pool
    for cycle in range(3):
        pool.add(ready(cycle))
    assert refusal(pool, ready(3)) is RejectionReason.RATE
    assert pool.add(ready(3, BORIS))
    pool.settle([ready(0)])
    assert pool.add(ready(3))


def test_a_room_is_bounded_in_number_and_bytes(bound: Bound) -> None:
    bound(Room.MEMBERS, 2, 1 << 20)
    pool = Bench().pool
    pool.add(ready(0))
    pool.add(ready(1))
    assert refusal(pool, ready(2)) is RejectionReason.RATE
    bound(Room.MEMBERS, 100, 3 * len(ready(0)))
    pool.add(ready(2))
    assert refusal(pool, ready(3)) is RejectionReason.RATE
    pool.settle([ready(0), ready(1)])
    assert pool.add(ready(3))


def test_the_newest_of_whoever_takes_most_makes_place_for_who_has_none(bound: Bound) -> None:
    for transactions, size in ((4, 1 << 20), (100, 4 * len(ready(0)))):
        bound(Room.MEMBERS, transactions, size)
        pool = Bench().pool
        for cycle in range(4):
            pool.add(ready(cycle))
        assert pool.add(ready(0, BORIS))
        assert pool.add(ready(1, BORIS))
        assert set(pool.candidates()) == {ready(0), ready(1), ready(0, BORIS), ready(1, BORIS)}
        assert refusal(pool, ready(2, BORIS)) is RejectionReason.RATE
        assert refusal(pool, ready(2)) is RejectionReason.RATE


def test_where_bytes_are_scarce_the_largest_statements_make_place(bound: Bound) -> None:
    large = [
        sign_transaction(ANNA, CHAIN, Attest(TaskId(Digest(bytes(32))), Round(each), b"\x01" * 128))
        for each in range(2)
    ]
    small = [ready(each, BORIS) for each in range(3)]
    bound(Room.MEMBERS, 100, sum(len(each) for each in (*large, *small)))
    pool = Bench().pool
    for each in (*large, *small):
        pool.add(each)
    clara = key_of("clara")
    assert pool.add(ready(0, clara)), "three small ones weigh less than two large ones"
    assert set(pool.candidates()) == {large[0], *small, ready(0, clara)}


def test_payers_and_strangers_take_no_place_of_members_nor_of_each_other(bound: Bound) -> None:
    for room in Room:
        bound(room, 1, 1 << 20)
    clara = key_of("clara")
    pool = Bench(strangers={clara.node_id}).pool
    pool.add(pay(0, 9))
    pool.add(ready(1, clara))
    assert refusal(pool, pay(1, 9)) is RejectionReason.RATE
    assert refusal(pool, ready(2, clara)) is RejectionReason.RATE
    assert pool.add(ready(1))
    assert len(pool) == 3


def test_own_statements_find_room_whatever_else_waits(bound: Bound) -> None:
    bound(Room.MEMBERS, 1, 1 << 20)
    bound(Room.OWN, 2, 1 << 20)
    bench = Bench()
    bench.pool.add(ready(1, BORIS))
    assert refusal(bench.pool, ready(0)) is RejectionReason.RATE
    for cycle in range(3):
        bench.height += 1
        assert bench.pool.add(ready(cycle), own=True)
    assert bench.pool.candidates() == (ready(1, BORIS), ready(1), ready(2))


def test_a_full_paid_room_lets_the_furthest_and_then_the_worst_paid_go(bound: Bound) -> None:
    bound(Room.PAID, 3, 1 << 20)
    clara = key_of("clara")
    pool = Bench().pool
    for each in (pay(0, 5), pay(1, 1_000), pay(0, 7, BORIS)):
        pool.add(each)
    assert pool.add(pay(0, 6, clara)), "a turn that has come counts more than a fee far away"
    assert set(pool.candidates()) == {pay(0, 5), pay(0, 7, BORIS), pay(0, 6, clara)}
    dora = key_of("dora")
    assert refusal(pool, pay(0, 5, dora)) is RejectionReason.RATE
    assert refusal(pool, pay(1, 99, dora)) is RejectionReason.RATE
    assert pool.add(pay(0, 8, dora))
    assert set(pool.candidates()) == {pay(0, 7, BORIS), pay(0, 6, clara), pay(0, 8, dora)}


def test_a_newcomer_that_does_not_fit_in_the_end_drives_nobody_out(bound: Bound) -> None:
    cheap, dear = pay(0, 1), pay(0, 9, BORIS)
    bound(Room.PAID, 2, len(cheap) + len(dear))
    pool = Bench().pool
    pool.add(cheap)
    pool.add(dear)
    large = pay(0, 1 << 40, key_of("clara"))
    assert len(large) > len(cheap)
    middling = sign_paid_transaction(
        key_of("clara"), CHAIN, 0, Amount(5), Transfer(TO, Amount(1 << 40))
    )
    assert refusal(pool, middling) is RejectionReason.RATE
    assert set(pool.candidates()) == {cheap, dear}
    assert pool.add(large)


def test_a_nonce_is_taken_once_and_again_only_for_a_higher_fee() -> None:
    pool = Bench().pool
    pool.add(pay(0, 5))
    other = sign_paid_transaction(ANNA, CHAIN, 0, Amount(5), Transfer(TO, Amount(6)))
    assert refusal(pool, other) is RejectionReason.RATE
    assert pool.add(pay(0, 6))
    assert pool.candidates() == (pay(0, 6),)


def test_what_a_block_made_void_is_forgotten_and_what_follows_moves_up(bound: Bound) -> None:
    pool = Bench().pool
    pool.add(pay(0, 5))
    pool.add(pay(1, 5))
    pool.settle([sign_paid_transaction(ANNA, CHAIN, 0, Amount(9), Transfer(TO, Amount(6)))])
    assert pool.candidates() == (pay(1, 5),)
    bound(Room.PAID, 1, 1 << 20)
    assert refusal(pool, pay(0, 5, BORIS)) is RejectionReason.RATE, "its turn has come now"


def test_a_forgery_is_told_from_what_has_no_room_or_standing(bound: Bound) -> None:
    bound(Room.MEMBERS, 1, 1 << 20)
    bench = Bench(banned={BORIS.node_id})
    bench.pool.add(ready(1))
    for honest in (ready(2), ready(2, BORIS)):
        forged = encode(replace(decode(Transaction, honest), signature=Signature(bytes(64))))
        assert refusal(bench.pool, honest) is RejectionReason.RATE
        assert refusal(bench.pool, forged) is RejectionReason.BAD_SIGNATURE


def test_a_sender_without_standing_takes_no_place() -> None:
    bench = Bench(banned={ANNA.node_id})
    assert refusal(bench.pool, ready(1)) is RejectionReason.RATE
    assert bench.pool.add(ready(1, BORIS))
    assert len(bench.pool) == 1


def test_candidates_are_free_ones_by_age_then_fees_in_nonce_order() -> None:
    bench = Bench()
    late, early = ready(9), ready(3, BORIS)
    bench.pool.add(early)
    bench.height += 1
    for each in (pay(1, 90), late, pay(0, 10), pay(0, 50, BORIS), pay(2, 5)):
        bench.pool.add(each)
    assert bench.pool.candidates() == (
        early,
        late,
        pay(0, 10),
        pay(0, 50, BORIS),
        pay(1, 90),
        pay(2, 5),
    )


def test_refused_for_good_is_forgotten_and_too_early_is_kept() -> None:
    pool = Bench().pool
    for each in (ready(1), ready(2), pay(4, 1)):
        pool.add(each)
    pool.refuse(
        [
            (ready(1), PeerError(RejectionReason.DUPLICATE, "said")),
            (ready(2), PeerError(RejectionReason.TOO_EARLY, "phase")),
            (pay(4, 1), PeerError(RejectionReason.BAD_NONCE, "gap")),
        ]
    )
    assert set(pool.candidates()) == {ready(2), pay(4, 1)}


def test_what_waits_too_long_is_forgotten_and_may_come_again() -> None:
    bench = Bench()
    bench.pool.add(ready(1))
    bench.height += MEMPOOL_STALE_BLOCKS
    bench.pool.settle([])
    assert len(bench.pool) == 1
    bench.height += 1
    bench.pool.settle([])
    assert len(bench.pool) == 0
    assert not bench.pool.is_verified(ready(1))
    assert bench.pool.add(ready(1))


def test_among_equal_fees_whoever_came_first_goes_first() -> None:
    bench = Bench()
    payers = sorted((key_of(f"payer {number}") for number in range(8)), key=lambda k: k.node_id)
    encoded = []
    for keys in reversed(payers):
        bench.height += 1
        encoded.append(pay(0, 5, keys))
        bench.pool.add(encoded[-1])

    assert bench.pool.candidates() == tuple(encoded)


def test_a_full_room_knows_who_leaves_first_after_many_changes(bound: Bound) -> None:
    bound(Room.PAID, 50, 1 << 20)
    bench, draw = Bench(), Random(5)
    payers = [key_of(f"payer {number}") for number in range(20)]
    for _ in range(600):
        keys = draw.choice(payers)
        with suppress(PeerError):
            bench.pool.add(pay(draw.randrange(4), draw.randrange(1, 30), keys))
        if draw.random() < 0.1:
            bench.pool.settle([draw.choice(bench.pool.candidates())])
        room = bench.pool._rooms[Room.PAID]
        waiting = [each for share in room.shares.values() for each in share.pending.values()]
        assert room._by_worth == sorted(
            (-each.ahead, each.price, each.identifier) for each in waiting
        )
        assert len(waiting) == room.count == len(bench.pool) <= 50


def test_a_fee_below_the_base_fee_is_refused_by_name_and_a_larger_statement_needs_more() -> None:
    bench = Bench(base_fee=10)
    size = len(pay(0, 1_000))
    assert refusal(bench.pool, pay(0, 10 * size - 1)) is RejectionReason.UNDERPRICED
    assert bench.pool.add(pay(0, 10 * size))
    assert bench.pool.add(ready(1)), "what is free has no price"


def test_what_has_become_too_cheap_waits_for_the_price_to_fall() -> None:
    bench = Bench()
    bench.pool.add(pay(0, 5))
    bench.pool.refuse([(pay(0, 5), PeerError(RejectionReason.UNDERPRICED, "too little"))])
    assert bench.pool.candidates() == (pay(0, 5),)


def test_among_paid_statements_the_fee_per_byte_counts() -> None:
    bench = Bench()
    large = sign_paid_transaction(BORIS, CHAIN, 0, Amount(300), Transfer(TO, Amount(1 << 60)))
    small = pay(0, 298)
    assert len(large) > len(small) + 6
    bench.pool.add(large)
    bench.pool.add(small)
    assert bench.pool.candidates() == (small, large)


def test_only_free_statements_that_a_block_could_have_had_linger() -> None:
    bench = Bench()
    bench.pool.add(ready(1))
    bench.pool.add(pay(0, 5))
    assert bench.pool.lingering(9) == ()
    bench.height += 1
    bench.pool.add(ready(2))
    assert bench.pool.lingering(9) == (ready(1),)


def test_nobody_hides_what_lingers_behind_many_statements_of_its_own() -> None:
    bench = Bench()
    for cycle in range(50):
        bench.pool.add(ready(cycle))
    bench.pool.add(ready(1, BORIS))
    bench.height += 1
    assert ready(1, BORIS) in bench.pool.lingering(2)


def test_each_sender_comes_first_at_some_height() -> None:
    bench = Bench()
    senders = [key_of(f"sender {index}") for index in range(5)]
    for keys in senders:
        bench.pool.add(ready(1, keys))
    first = set()
    for _ in range(5):
        bench.height += 1
        first.add(bench.pool.lingering(1)[0])
    assert len(first) == 5


def test_free_statements_come_by_deadline_then_by_age_and_before_what_is_paid() -> None:
    bench = Bench()

    def deadlines(actions: Sequence[Free]) -> list[Height]:
        return [Height(each.cycle) if isinstance(each, Ready) else Height(99) for each in actions]

    bench.pool.deadlines = deadlines
    bench.pool.add(pay(0, 500))
    bench.pool.add(ready(7))
    bench.height += 1
    bench.pool.add(ready(3))
    bench.pool.add(ready(7, BORIS))
    assert bench.pool.candidates() == (ready(3), ready(7), ready(7, BORIS), pay(0, 500))
