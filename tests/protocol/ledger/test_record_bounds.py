"""Records stay within the bounds they are read with, whatever somebody does to stretch them."""

from dataclasses import replace

import pytest

from potp2p.foundation.limits import TRACE_ENTRIES_MIN
from potp2p.foundation.types import POT, Amount, Cycle, NodeId
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.crypto.identity import KeyPair, account_of
from potp2p.protocol.ledger.duties import LeaseDuty
from potp2p.protocol.ledger.keys import LeasePlace
from potp2p.protocol.ledger.receipt_records import Receipt, ReceiptKind
from potp2p.protocol.ledger.records import UNBONDINGS_MAX, CycleWeights, Weight
from potp2p.protocol.verification.commitments import LeaseKey, trace_commitment
from potp2p.protocol.wire.fields import PPM_BOUND
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.schema import decode, encode
from potp2p.protocol.wire.transactions import Bond, Contribute, RevealTrace, Unbond
from potp2p.protocol.wire.verification import Trace, TraceEntry
from tests.doubles.ledger_world import (
    RULES,
    SALT,
    LedgerWorld,
    build_world,
    with_audits,
    with_modest_bonds,
)

ONE_ROUND = replace(RULES, rounds=replace(RULES.rounds, rounds=1))
WILD = Trace((TraceEntry((1 << 40) - 1, (1 << 60) - 1),) * TRACE_ENTRIES_MIN)
"""The largest numbers that a trace can show."""
FEW = 8
"""Miners that a record of weights holds here."""


def test_receipt_of_the_wildest_trace_can_be_read() -> None:
    world = build_world(change=with_audits(1_000_000))
    cheat, contribution, opening = world.miners[0], world.contribution, world.trace_opening

    def claim(keys: KeyPair, duty: LeaseDuty) -> Contribute:
        said = contribution(keys, duty)
        if keys != cheat:
            return said
        lease = LeaseKey(duty.task, duty.round, duty.shard, keys.node_id)
        return replace(said, trace_commitment=trace_commitment(lease, SALT, WILD))

    def opened(place: LeasePlace) -> RevealTrace:
        said = opening(place)
        mine = world.state.lease(*place).miner == cheat.node_id
        return replace(said, trace=WILD) if mine else said

    world.contribution = claim  # type: ignore[method-assign]
    world.trace_opening = opened  # type: ignore[method-assign]
    world.run(2)
    task = world.submit(ONE_ROUND)
    world.run_until(lambda: not world.task(task).escrow)
    read = [decode(Receipt, encode(each)) for each in world.receipts]
    (worst, *_) = [each for each in read if each.kind is ReceiptKind.REJECTED]
    assert worst.audit is not None
    lines = (*worst.audit.auditors, *worst.audit.judges)
    assert {each.measured for each in lines if each.verdict is not None} == {PPM_BOUND - 1}


def test_account_that_leaves_one_seat_after_another_can_be_read() -> None:
    def four_seats(genesis: Genesis) -> Genesis:
        genesis = with_modest_bonds(genesis)
        money = replace(genesis.money, unbonding_blocks=2_400)
        return replace(genesis, money=money, consensus=replace(genesis.consensus, seats_max=4))

    world = build_world(miners=0, change=four_seats)
    rival = world.join("rival", 150 * POT)
    world.run_epoch()
    for _ in range(UNBONDINGS_MAX):
        world.block(world.paid(rival, Unbond(Amount(1))))
    lent = Amount(150 * POT)
    for _ in range(3):
        assert rival.node_id in world.seated()
        world.block(world.paid(rival, Unbond(Amount(world.account(rival).bond - 49 * POT))))
        world.run_epoch()
        # Every block is read back: a list longer than its bound would stop here.
        world.run(1)
        assert rival.node_id not in world.seated()
        world.block(world.paid(world.client, Bond(account_of(rival.node_id), lent)))
        world.run_epoch()
    record = world.account(rival)
    assert len(record.unbonding) == UNBONDINGS_MAX + 1
    assert record.bond > 300 * POT, "what could not start its way stays bonded"


def strangers(first: int, count: int) -> list[NodeId]:
    return sorted(NodeId(b"\x02" + sha256(b"%d" % each)) for each in range(first, first + count))


def with_weights(world: LedgerWorld, cycle: int, nodes: list[NodeId], weight: int) -> None:
    state = world.state
    rows = tuple(Weight(node, Amount(weight)) for node in nodes)
    state.put_result_weights(Cycle(cycle), CycleWeights(rows))
    world.rewrite(state)


def test_frozen_weights_of_more_miners_than_fit_are_those_of_the_heaviest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("potp2p.protocol.ledger.epochs.MINERS_MAX", FEW)
    world = build_world()
    world.run(1)
    light, heavy = strangers(0, FEW), strangers(FEW, FEW // 2)
    with_weights(world, 0, light, 5)
    with_weights(world, 1, heavy, 7)
    world.run(20)
    frozen = {each.miner for each in world.state.frozen_weights(Cycle(2)).weights}
    assert len(frozen) == FEW
    assert frozen == {*heavy, *light[: FEW - len(heavy)]}


def test_cycle_with_the_weights_of_as_many_miners_as_fit_books_no_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("potp2p.protocol.ledger.booking.MINERS_MAX", FEW)
    world = build_world(change=with_audits(1_000_000))
    world.run(2)
    task = world.submit(ONE_ROUND)
    full = strangers(0, FEW)
    for cycle in range(9):
        with_weights(world, cycle, full, 1)
    world.run_until(lambda: not world.task(task).escrow)
    assert {each.kind for each in world.receipts} == {ReceiptKind.PAID}
    assert {each.weight for each in world.receipts} == {0}, "nothing to take back later"
    state = world.state
    assert world.miners[0].node_id not in {
        each.miner for each in state.result_weights(state.chain().cycle).weights
    }
