"""Money between accounts and bonds: nonces, fees, limits, and the way back of a bond."""

from dataclasses import replace

import pytest

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.types import POT, Amount, ChainId
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.ledger.records import UNBONDINGS_MAX
from potp2p.protocol.ledger.state import NOBODY
from potp2p.protocol.ledger.transition import (
    decode_transaction,
    sign_paid_transaction,
    transaction_id,
    verify_transaction,
)
from potp2p.protocol.wire.schema import encode
from potp2p.protocol.wire.transactions import Bond, Ready, Transfer, Unbond
from tests.doubles.ledger_world import LedgerWorld, build_world, key_pair

RICH = 1_000 * POT
STRANGER = key_pair("stranger")


@pytest.fixture
def world() -> LedgerWorld:
    return build_world(miners=0)


def to_stranger(amount: int) -> Transfer:
    return Transfer(account_of(STRANGER.node_id), Amount(amount))


def test_transfer_moves_money_and_its_fee_goes_to_the_primary(world: LedgerWorld) -> None:
    world.block(world.paid(world.client, to_stranger(5), fee=3))
    assert world.account(world.client).balance == RICH - 8
    assert world.account(STRANGER).balance == 5
    assert world.state.chain().pending_tips == 3
    primary = world.validators[world.parent.frame.primary]
    assert world.account(primary).balance == 0

    world.block()
    assert world.account(primary).balance == 3
    assert world.state.chain().pending_tips == 0


@pytest.mark.parametrize(
    ("amount", "fee", "reason"),
    [
        (RICH + 1, 0, RejectionReason.INSUFFICIENT_FUNDS),
        (RICH, 1, RejectionReason.INSUFFICIENT_FUNDS),
        (0, 1, RejectionReason.OUT_OF_BOUNDS),
    ],
)
def test_overspend_and_empty_transfers_are_refused(
    world: LedgerWorld, amount: int, fee: int, reason: RejectionReason
) -> None:
    signed = world.paid(world.client, to_stranger(amount), fee=fee)
    assert world.refusal(signed) is reason


def test_refused_transaction_costs_neither_fee_nor_nonce(world: LedgerWorld) -> None:
    before = world.account(world.client)
    world.block(world.paid(world.client, to_stranger(RICH + 1), fee=9), strict=False)
    assert world.account(world.client) == before


@pytest.mark.parametrize("nonce", [1, 2, (1 << 48) - 1])
def test_nonce_gap_is_refused(world: LedgerWorld, nonce: int) -> None:
    signed = world.paid(world.client, to_stranger(1), nonce=nonce)
    assert world.refusal(signed) is RejectionReason.BAD_NONCE


def test_paid_transaction_counts_once(world: LedgerWorld) -> None:
    signed = world.paid(world.client, to_stranger(1))
    world.block(signed)
    assert world.refusal(signed) is RejectionReason.BAD_NONCE
    with pytest.raises(PeerError, match="bad_nonce"):
        world.block(world.paid(world.client, to_stranger(1)), signed)
    assert world.account(STRANGER).balance == 1


def test_chain_of_nonces_fits_one_block(world: LedgerWorld) -> None:
    world.block(*(world.paid(world.client, to_stranger(1), nonce=each) for each in range(20)))
    assert world.account(STRANGER).balance == 20


def test_transfer_to_oneself_changes_only_the_nonce(world: LedgerWorld) -> None:
    world.block(world.paid(world.client, Transfer(account_of(world.client.node_id), Amount(RICH))))
    assert world.account(world.client) == replace(NOBODY, balance=Amount(RICH), nonce=1)


def test_account_emptied_before_its_first_word_leaves_the_state(world: LedgerWorld) -> None:
    world.block(world.paid(world.client, to_stranger(7)))
    world.block(world.paid(STRANGER, Transfer(account_of(world.client.node_id), Amount(7))))
    assert world.account(STRANGER) == replace(NOBODY, nonce=1), "its nonce must never come back"


def test_signature_covers_network_sender_and_body(world: LedgerWorld) -> None:
    elsewhere = ChainId(sha256(b"another network"))
    foreign = sign_paid_transaction(world.client, elsewhere, 0, Amount(0), to_stranger(1))
    assert world.refusal(foreign) is RejectionReason.BAD_SIGNATURE
    mine = decode_transaction(world.paid(world.client, to_stranger(1)))
    theirs = replace(mine, body=replace(mine.body, sender=STRANGER.node_id))
    more = replace(mine, body=replace(mine.body, action=to_stranger(2)))
    for forged in (theirs, more):
        assert world.refusal(encode(forged)) is RejectionReason.BAD_SIGNATURE


def test_one_statement_has_one_id_whatever_its_signature(world: LedgerWorld) -> None:
    body = decode_transaction(world.paid(world.client, to_stranger(1))).body
    assert transaction_id(body) != transaction_id(replace(body, nonce=1))
    assert transaction_id(body) == transaction_id(replace(body))


def test_free_action_with_nonce_or_fee_is_malformed(world: LedgerWorld) -> None:
    for nonce, fee in ((1, 0), (0, 1)):
        signed = sign_paid_transaction(world.client, world.chain_id, nonce, Amount(fee), Ready(0))
        with pytest.raises(PeerError, match="malformed"):
            verify_transaction(decode_transaction(signed), world.chain_id)


def test_trailing_byte_is_another_transaction_than_any(world: LedgerWorld) -> None:
    signed = world.paid(world.client, to_stranger(1))
    assert world.refusal(signed + b"\x00") is RejectionReason.MALFORMED


def test_bond_comes_back_when_its_time_has_come(world: LedgerWorld) -> None:
    own = account_of(world.client.node_id)
    world.block(world.paid(world.client, Bond(own, Amount(50))))
    world.block(world.paid(world.client, Unbond(Amount(30))))
    due = world.height + world.genesis.money.unbonding_blocks
    assert world.account(world.client).bond == 20
    while world.height < due - 1:
        world.block()
    assert world.account(world.client).balance == RICH - 50
    world.block()
    record = world.account(world.client)
    assert (record.balance, record.bond, record.unbonding) == (RICH - 20, 20, ())


def test_two_unbondings_of_one_block_both_come_back(world: LedgerWorld) -> None:
    own = account_of(world.client.node_id)
    world.block(world.paid(world.client, Bond(own, Amount(50))))
    place = world.account(world.client).nonce
    world.block(
        *(world.paid(world.client, Unbond(Amount(10)), nonce=place + each) for each in range(2))
    )
    for _ in range(world.genesis.money.unbonding_blocks):
        world.block()
    assert world.account(world.client).balance == RICH - 30


def test_unbonding_has_its_limits(world: LedgerWorld) -> None:
    own = account_of(world.client.node_id)
    assert (
        world.refusal(world.paid(world.client, Unbond(Amount(1))))
        is RejectionReason.INSUFFICIENT_FUNDS
    )
    world.block(world.paid(world.client, Bond(own, Amount(100))))
    for _ in range(UNBONDINGS_MAX):
        world.block(world.paid(world.client, Unbond(Amount(1))))
    assert world.refusal(world.paid(world.client, Unbond(Amount(1)))) is RejectionReason.RATE


def test_validator_keeps_the_least_bond_while_it_holds_its_seat(world: LedgerWorld) -> None:
    seat, least = world.validators[0], world.genesis.money.validator_bond
    world.block(world.paid(world.client, Bond(account_of(seat.node_id), Amount(5))))
    world.block(world.paid(seat, Unbond(Amount(5))))
    record = world.account(seat)
    assert (record.bond, [each.amount for each in record.unbonding]) == (least, [5])
    world.block(world.paid(seat, Unbond(Amount(least))))
    record = world.account(seat)
    assert (record.bond, [each.amount for each in record.unbonding]) == (least, [5])
