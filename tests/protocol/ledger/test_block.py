"""Blocks: author and validators agree, limits hold, what does not apply is out or refused."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.limits import BLOCK_TRANSACTIONS_MAX
from potp2p.foundation.types import Amount, Cycle, Height
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.ledger.batch import BODY_RESERVE_BYTES, Limits
from potp2p.protocol.ledger.block import Outcome
from potp2p.protocol.ledger.keys import account_key, chain_key, lease_key, lease_place
from potp2p.protocol.ledger.state import decode_record
from potp2p.protocol.ledger.tree import prove, verify_proof
from potp2p.protocol.wire.blocks import RANK_NONE
from potp2p.protocol.wire.transactions import Ready, Transfer, Unbond
from tests.doubles.ledger_world import LedgerWorld, build_world, key_pair


@pytest.fixture
def world() -> LedgerWorld:
    return build_world(miners=0)


def gifts(world: LedgerWorld, count: int) -> list[bytes]:
    gift = Transfer(account_of(key_pair("friend").node_id), Amount(1))
    return [world.paid(world.client, gift, nonce=number, fee=1) for number in range(count)]


def free(world: LedgerWorld, count: int) -> list[bytes]:
    """Return registrations of rigs: free, of equal size, and in nobody's way."""
    keys = [key_pair(f"rig {index}") for index in range(count)]
    return [world.free(each, world.registration(each)) for each in keys]


def dear_world(floor: int) -> LedgerWorld:
    return build_world(
        miners=0,
        change=lambda whole: replace(
            whole, money=replace(whole.money, base_fee_floor=Amount(floor))
        ),
    )


def run(
    world: LedgerWorld, transactions: Sequence[bytes], *, height: int = 1, strict: bool = True
) -> Outcome:
    method = world.ledger.execute if strict else world.ledger.assemble
    author = world.validators[0].node_id
    return method(None, Height(height), author, RANK_NONE, transactions, lambda _: False)


def test_block_at_another_height_does_not_follow(world: LedgerWorld) -> None:
    for height in (0, 2):
        with pytest.raises(PeerError, match="bad_block"):
            run(world, [], height=height)


def test_author_leaves_out_what_does_not_apply_and_validators_refuse_it(
    world: LedgerWorld,
) -> None:
    good, gap = gifts(world, 1), gifts(world, 3)[2]
    garbage = b"\x80"
    own = run(world, [gap, garbage, *good], strict=False)
    assert own.included == tuple(good)
    assert [(tx, error.reason) for tx, error in own.refused] == [
        (gap, RejectionReason.BAD_NONCE),
        (garbage, RejectionReason.MALFORMED),
    ]
    assert run(world, own.included).state_root == own.state_root
    for bad in ([*good, gap], [*good, garbage], [*good, *good]):
        with pytest.raises(PeerError):
            run(world, bad)


def test_order_of_transactions_is_part_of_the_block(world: LedgerWorld) -> None:
    first, second = gifts(world, 2)
    with pytest.raises(PeerError, match="bad_nonce"):
        run(world, [second, first])


def test_executing_changes_nothing_until_somebody_stores_it(world: LedgerWorld) -> None:
    before = dict(world.store.records)
    one, other = run(world, gifts(world, 2)), run(world, gifts(world, 2))
    assert one.state_root == other.state_root != world.ledger.state_root
    assert world.store.records == before
    assert run(world, gifts(world, 1)).state_root != one.state_root


def test_signature_is_checked_unless_the_mempool_has(world: LedgerWorld) -> None:
    forged = bytearray(gifts(world, 1)[0])
    forged[-1] ^= 1
    with pytest.raises(PeerError, match="bad_signature"):
        run(world, [bytes(forged)])


def test_block_holds_no_more_than_its_limits(world: LedgerWorld) -> None:
    assert BLOCK_TRANSACTIONS_MAX == 2_000
    world.ledger.limits = Limits(transactions=3)
    anchors = free(world, 5)
    own = run(world, anchors, strict=False)
    assert len(own.included) == 3
    assert own.refused == (), "what has no room may come later"
    with pytest.raises(PeerError, match="bad_block"):
        run(world, anchors[:4])
    world.ledger.limits = Limits(bytes=BODY_RESERVE_BYTES + 300)
    small = run(world, anchors[:3], strict=False)
    assert 0 < len(small.included) < 3


def test_paid_transactions_never_take_more_than_half_a_block(world: LedgerWorld) -> None:
    world.ledger.limits = Limits(transactions=4)
    own = run(world, gifts(world, 4), strict=False)
    assert len(own.included) == 2
    with pytest.raises(PeerError, match="bad_block"):
        run(world, gifts(world, 3))
    size = len(gifts(world, 1)[0])
    world.ledger.limits = Limits(bytes=BODY_RESERVE_BYTES + 3 * size)
    many = run(world, gifts(world, 3), strict=False)
    assert len(many.included) == 2, "three would fit, if they had the whole block"


def test_free_transactions_may_flow_over_into_the_paid_half(world: LedgerWorld) -> None:
    world.ledger.limits = Limits(transactions=4)
    anchors, paid = free(world, 3), gifts(world, 2)
    for order in ([*anchors, *paid], [*paid[:1], *anchors]):
        own = run(world, order, strict=False)
        assert [each in own.included for each in (*anchors, *paid)] == [True] * 4 + [False]


def test_a_block_with_an_underpriced_transaction_is_refused_and_its_author_leaves_it_out() -> None:
    world = dear_world(100)
    gift = Transfer(account_of(key_pair("friend").node_id), Amount(1))
    size = len(world.paid(world.client, gift, fee=20_000))
    cheap = world.paid(world.client, gift, fee=100 * size - 1)
    with pytest.raises(PeerError, match="underpriced"):
        run(world, [cheap])
    own = run(world, [cheap], strict=False)
    assert [error.reason for _, error in own.refused] == [RejectionReason.UNDERPRICED]
    enough = world.paid(world.client, gift, fee=100 * size)
    assert run(world, [enough]).included == (enough,)


def test_the_base_fee_is_burned_and_only_the_tip_is_paid_out() -> None:
    world = dear_world(100)
    before = world.state.chain()
    gift = Transfer(account_of(key_pair("friend").node_id), Amount(1))
    paid = world.paid(world.client, gift, fee=50_000)
    world.block(paid)
    after = world.state.chain()
    assert after.burned - before.burned == 100 * len(paid)
    assert after.pending_tips == 50_000 - 100 * len(paid)
    assert after.burned_in_cycle == before.burned_in_cycle, "it must not buy lottery weight"
    assert sum(world.held.values()) == after.supply


def test_the_base_fee_follows_how_full_the_paid_lane_was() -> None:
    world = dear_world(800)
    world.ledger.limits = Limits(transactions=8)
    gift = Transfer(account_of(key_pair("friend").node_id), Amount(1))
    prices = []
    for count in (4, 4, 2, 0, 0, 0):
        nonce = world.account(world.client).nonce
        batch = [
            world.paid(world.client, gift, nonce=nonce + index, fee=1_000_000)
            for index in range(count)
        ]
        world.block(*batch)
        prices.append(world.state.chain().base_fee)
    assert prices == [900, 1_012, 1_012, 886, 800, 800]


def test_who_has_nothing_but_a_bond_gets_it_back_without_a_fee() -> None:
    world = dear_world(100)
    validator = world.validators[0]
    assert world.account(validator).balance == 0
    world.block(world.paid(validator, Unbond(Amount(1))))
    assert world.account(validator).nonce == 1


def left_out(
    world: LedgerWorld, transactions: Sequence[bytes], due: Sequence[bytes]
) -> tuple[bytes, ...]:
    author = world.validators[0].node_id
    return world.ledger.execute(
        None, Height(1), author, RANK_NONE, transactions, lambda _: False, due
    ).left_out


def test_what_is_due_is_named_where_a_block_with_room_leaves_it_out(world: LedgerWorld) -> None:
    first, second = free(world, 2)
    assert left_out(world, [first], [first, second]) == (second,)
    assert left_out(world, [first, second], [first, second]) == ()


def test_nobody_is_blamed_for_what_has_no_room_or_no_longer_applies(world: LedgerWorld) -> None:
    first, second = free(world, 2)
    world.ledger.limits = Limits(transactions=1)
    assert left_out(world, [first], [second]) == ()
    world.ledger.limits = Limits()
    again = world.free(key_pair("rig 0"), Ready(Cycle(7)))
    assert left_out(world, [first], [again]) == ()
    assert left_out(world, gifts(world, 1), [second]) == (second,)


def test_trials_judge_each_statement_for_itself_and_change_nothing(world: LedgerWorld) -> None:
    good = free(world, 1)[0]
    early = world.free(key_pair("rig 0"), Ready(Cycle(0)))
    before = dict(world.store.records)
    answers = world.ledger.trials(None, [good, early, b"\x80", good])
    assert [None if each is None else each.reason for each in answers] == [
        None,
        RejectionReason.NOT_FOUND,
        RejectionReason.MALFORMED,
        None,
    ]
    assert world.store.records == before


def test_state_root_proves_every_record_and_the_absence_of_others(world: LedgerWorld) -> None:
    world.block(*gifts(world, 2))
    root = world.ledger.state_root
    for key, value in world.store.records.items():
        verify_proof(root, key, value, prove(world.store, root, key))
    nobody = account_key(account_of(key_pair("nobody").node_id))
    verify_proof(root, nobody, None, prove(world.store, root, nobody))
    with pytest.raises(PeerError):
        verify_proof(root, chain_key(), None, prove(world.store, root, chain_key()))


def test_lease_key_says_where_the_lease_is() -> None:
    task = account_of(key_pair("x").node_id) + bytes(12)
    assert lease_place(lease_key(task, 7, 9)) == (task, 7, 9)


def test_record_under_an_unknown_prefix_is_malformed() -> None:
    for key in (b"", b"\xff", b"\x0a"):
        with pytest.raises(PeerError, match="malformed"):
            decode_record(key, b"\x80")
