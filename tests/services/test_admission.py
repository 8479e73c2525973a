"""Who may wait where: nothing that costs nothing takes the place of what somebody owes."""

from dataclasses import replace

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.limits import MEMPOOL_PER_UNPROVEN_MAX, NONCES_AHEAD_MAX
from potp2p.foundation.types import (
    AccountId,
    Amount,
    BlobId,
    Cycle,
    Epoch,
    Height,
    Round,
    ShardIndex,
    TaskId,
)
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.crypto.identity import KeyPair
from potp2p.protocol.ledger.money import start_unbonding
from potp2p.protocol.ledger.records import Miner
from potp2p.protocol.ledger.stamp import NO_STAMP, search_stamp
from potp2p.protocol.ledger.state import NOBODY
from potp2p.protocol.ledger.transition import sign_paid_transaction, sign_transaction
from potp2p.protocol.wire.transactions import (
    Action,
    Anchor,
    Bond,
    CancelTask,
    Challenge,
    Ready,
    RegisterMiner,
    SubmitTask,
    TransactionBody,
    Transfer,
    Unbond,
)
from potp2p.services.admission import Admission, Room
from potp2p.services.mempool import Mempool
from tests.doubles.ledger_world import RULES, LedgerWorld, key_pair, small_genesis

SEATS = tuple(key_pair(f"validator-{index}") for index in range(4))
CLIENT, RIG = key_pair("client"), key_pair("rig")
TO = AccountId(b"\x07" * 20)
BITS = 4


class Bench:
    """The law over one state that the test writes."""

    def __init__(self) -> None:
        genesis = small_genesis(SEATS, CLIENT, key_pair("sponsor"))
        world = LedgerWorld(genesis, SEATS, (), CLIENT)
        self.chain_id, self.state = world.chain_id, world.state
        self.bond = genesis.money.validator_bond
        rules = replace(genesis, training=replace(genesis.training, stamp_bits=BITS))
        self.admission = Admission(self.chain_id, rules, lambda: self.state, lambda: Height(1))

    def give(self, keys: KeyPair, *, balance: int = 0, nonce: int = 0, bond: int = 0) -> None:
        record = replace(NOBODY, balance=Amount(balance), nonce=nonce, bond=Amount(bond))
        self.state.put_account(keys.account, record)

    def register(self, keys: KeyPair) -> None:
        record = Miner(
            node=keys.node_id,
            payout=keys.account,
            devices=1,
            memory_bytes=0,
            classes=0,
            lowest_price=Amount(0),
            name="",
            registered=Height(1),
            live=True,
            ready_cycle=Cycle(0),
            rate=1,
            accepted=0,
            rejected=0,
            missed=0,
            earned=Amount(0),
            banned_until=Height(0),
            stamp=NO_STAMP,
            changed=Height(1),
            seen=Height(1),
            rounds_open=0,
        )
        self.state.put_miner(keys.account, record)

    def room(self, keys: KeyPair, action: Action, *, nonce: int = 0, fee: int = 0) -> Room | None:
        body = TransactionBody(keys.node_id, nonce, Amount(fee), action)
        standing = self.admission.has_standing(body)
        return None if standing is None else standing.room

    def offer(self, keys: KeyPair, bits: int = BITS) -> RegisterMiner:
        stamp, valid = NO_STAMP, False
        while not valid:
            stamp, valid = search_stamp(self.chain_id, keys.node_id, bits, after=stamp, tries=1_000)
        return RegisterMiner(1, 0, 1, Amount(0), keys.account, "rig", stamp)


def test_who_has_no_money_waits_nowhere_even_for_nothing() -> None:
    bench = Bench()
    assert bench.room(RIG, Unbond(Amount(1))) is None
    bench.give(RIG, balance=1)
    assert bench.room(RIG, Transfer(TO, Amount(1))) is Room.PAID


def test_a_paid_statement_that_would_fail_next_waits_nowhere_and_a_later_one_may() -> None:
    bench = Bench()
    bench.give(RIG, balance=100)
    cancel = CancelTask(TaskId(sha256(b"no such task")))
    assert bench.room(RIG, cancel) is None
    assert bench.room(RIG, Unbond(Amount(1))) is None
    assert bench.room(RIG, cancel, nonce=1) is Room.PAID, "what comes before may make it right"


def test_who_has_only_a_bond_may_ask_for_it_back() -> None:
    bench = Bench()
    bench.give(RIG, bond=5)
    assert bench.room(RIG, Unbond(Amount(5))) is Room.PAID
    for action in (Unbond(Amount(6)), Unbond(Amount(0)), Transfer(TO, Amount(0))):
        assert bench.room(RIG, action) is None
    assert bench.room(RIG, Unbond(Amount(5)), fee=1) is None


def test_who_has_as_much_at_risk_as_a_seat_waits_with_the_seats() -> None:
    bench, said = Bench(), Anchor(Epoch(1), sha256(b"anchor"))
    bench.give(RIG, bond=bench.bond - 1)
    assert bench.room(RIG, said) is None
    bench.give(RIG, bond=bench.bond)
    assert bench.room(RIG, said) is Room.MEMBERS
    start_unbonding(bench.state, RIG.account, bench.bond, Height(500))
    assert bench.room(RIG, said) is Room.MEMBERS, "it may still have to judge and to be judged"


def test_a_balance_must_cover_fee_and_what_the_action_takes() -> None:
    bench = Bench()
    bench.give(RIG, balance=100)
    budget = SubmitTask(BlobId(sha256(b"package")), Amount(91), RULES)
    for action in (Transfer(TO, Amount(91)), Bond(TO, Amount(91)), budget):
        assert bench.room(RIG, action, fee=9) is Room.PAID
        assert bench.room(RIG, action, fee=10) is None


def test_a_nonce_that_is_used_or_far_away_waits_nowhere() -> None:
    bench = Bench()
    bench.give(RIG, balance=100, nonce=5)
    action = Transfer(TO, Amount(1))
    rooms = [bench.room(RIG, action, nonce=nonce) for nonce in (4, 5, 5 + NONCES_AHEAD_MAX)]
    assert rooms == [None, Room.PAID, Room.PAID]
    assert bench.room(RIG, action, nonce=6 + NONCES_AHEAD_MAX) is None


def test_seats_and_bonded_miners_wait_apart_from_everyone_else() -> None:
    bench = Bench()
    said = Ready(Cycle(1))
    assert bench.room(SEATS[0], said) is Room.MEMBERS
    assert bench.room(RIG, said) is None
    bench.register(RIG)
    assert bench.room(RIG, said) is Room.STRANGERS
    bench.give(RIG, bond=1)
    assert bench.room(RIG, said) is Room.MEMBERS
    assert bench.room(RIG, bench.offer(RIG)) is Room.MEMBERS


def test_a_registration_of_a_stranger_needs_its_own_stamp() -> None:
    bench = Bench()
    assert bench.room(RIG, bench.offer(RIG, bits=12)) is Room.STRANGERS
    stolen = replace(bench.offer(RIG), stamp=b"\xff" * 8)
    found = [bench.room(key_pair(f"thief-{index}"), stolen) for index in range(64)]
    assert found.count(None) > 32


def test_fresh_keys_cannot_keep_the_statement_of_an_honest_miner_out() -> None:
    bench = Bench()
    pool = Mempool(bench.chain_id, lambda: Height(10), bench.admission.has_standing)
    bench.register(RIG)
    bench.give(RIG, bond=1)
    refused: list[RejectionReason] = []
    kept = 0
    for index in range(40):
        keys = key_pair(f"flood-{index}")
        bench.give(keys, balance=index % 2)
        for nonce in range(8):
            action = Transfer(TO, Amount(1))
            flood = sign_paid_transaction(keys, bench.chain_id, nonce, Amount(0), action)
            try:
                kept += pool.add(flood)
            except PeerError as error:
                refused.append(error.reason)
    assert kept == len(pool) == 20 * MEMPOOL_PER_UNPROVEN_MAX
    assert set(refused) == {RejectionReason.RATE}
    assert pool.add(sign_transaction(RIG, bench.chain_id, Ready(Cycle(1))))


def test_challenge_waits_for_whoever_has_a_bond_to_stake() -> None:
    bench, hunter = Bench(), key_pair("hunter")
    claim = Challenge(TaskId(sha256(b"task")), Round(0), ShardIndex(0), expects_fail=True)
    bench.give(hunter, balance=5)
    assert bench.room(hunter, claim) is None
    bench.give(hunter, bond=1)
    assert bench.room(hunter, claim) is Room.STRANGERS
    assert bench.room(hunter, Ready(Cycle(0))) is None
    assert bench.room(SEATS[0], claim) is Room.MEMBERS
