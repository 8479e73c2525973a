"""The pool takes what could be executed, in bounds, and forgets what is over."""

from dataclasses import dataclass, field, replace

import pytest

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.types import AccountId, Amount, ChainId, Cycle, Height, Signature
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.crypto.identity import KeyPair
from potp2p.protocol.ledger.transition import sign_paid_transaction, sign_transaction
from potp2p.protocol.wire.schema import decode, encode
from potp2p.protocol.wire.transactions import Ready, Transaction, TransactionBody, Transfer
from potp2p.services import mempool as module
from potp2p.services.mempool import Mempool
from tests.doubles.world import key_of

CHAIN = ChainId(sha256(b"mempool tests"))
ANNA, BORIS = key_of("anna"), key_of("boris")
TO = AccountId(b"\x07" * 20)


@dataclass
class Bench:
    """A pool whose height and idea of standing the test sets."""

    height: int = 100
    banned: set[bytes] = field(default_factory=set[bytes])
    pool: Mempool = field(init=False)

    def __post_init__(self) -> None:
        self.pool = Mempool(CHAIN, lambda: Height(self.height), self.has_standing)

    def has_standing(self, body: TransactionBody) -> bool:
        return body.sender not in self.banned


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
    assert refusal(pool, ready(1, chain=ChainId(bytes(32)))) is RejectionReason.BAD_SIGNATURE
    assert len(pool) == 0


def test_a_known_statement_under_another_signature_is_refused_and_not_verified() -> None:
    pool = Bench().pool
    pool.add(ready(1))
    forged = encode(replace(decode(Transaction, ready(1)), signature=Signature(b"\x05" * 64)))
    assert refusal(pool, forged) is RejectionReason.BAD_SIGNATURE
    assert pool.is_verified(ready(1))
    assert not pool.is_verified(forged)


def test_one_sender_cannot_fill_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MEMPOOL_PER_SENDER_MAX", 3)
    pool = Bench().pool
    for cycle in range(3):
        pool.add(ready(cycle))
    assert refusal(pool, ready(3)) is RejectionReason.RATE
    assert pool.add(ready(3, BORIS))
    pool.settle([ready(0)])
    assert pool.add(ready(3))


def test_the_pool_is_bounded_in_number_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MEMPOOL_TRANSACTIONS_MAX", 2)
    pool = Bench().pool
    pool.add(ready(0))
    pool.add(ready(1))
    assert refusal(pool, ready(2)) is RejectionReason.RATE
    monkeypatch.setattr(module, "MEMPOOL_TRANSACTIONS_MAX", 100)
    monkeypatch.setattr(module, "MEMPOOL_BYTES_MAX", 3 * len(ready(0)))
    pool.add(ready(2))
    assert refusal(pool, ready(3)) is RejectionReason.RATE
    pool.settle([ready(0), ready(1)])
    assert pool.add(ready(3))


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
    bench.height += module.MEMPOOL_STALE_BLOCKS
    bench.pool.settle([])
    assert len(bench.pool) == 1
    bench.height += 1
    bench.pool.settle([])
    assert len(bench.pool) == 0
    assert not bench.pool.is_verified(ready(1))
    assert bench.pool.add(ready(1))
