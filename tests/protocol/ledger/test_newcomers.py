"""Newcomers: in without a bond, little at a time, and out again when they stay away."""

from dataclasses import replace

import pytest

from potp2p.foundation.errors import RejectionReason
from potp2p.foundation.types import POT, Amount, Height, NodeId, Round
from potp2p.protocol.crypto.identity import KeyPair, account_of
from potp2p.protocol.ledger import miners
from potp2p.protocol.ledger.receipt_records import ReceiptKind
from potp2p.protocol.ledger.records import Miner
from potp2p.protocol.wire.genesis import Genesis, GenesisAccount
from potp2p.protocol.wire.transactions import Contribute, Ready
from tests.doubles.ledger_world import (
    RULES,
    LedgerWorld,
    build_world,
    key_pair,
    with_audits,
)

EPOCH = 20
CYCLE = 10


def unsponsored(genesis: Genesis) -> Genesis:
    """Return a network in which nobody bonds for others, and a base rate of next to nothing."""
    return with_audits(1)(replace(genesis, sponsor=None))


def with_one_bonded(genesis: Genesis) -> Genesis:
    """Bond the first miner so highly that hardly one of its contributions is audited."""
    rig = account_of(key_pair("miner 0").node_id)
    accounts = (*genesis.accounts, GenesisAccount(rig, Amount(0), Amount(10**6 * POT)))
    ordered = tuple(sorted(accounts, key=lambda each: each.account))
    return unsponsored(replace(genesis, accounts=ordered))


def found(world: LedgerWorld, keys: KeyPair) -> Miner | None:
    return world.state.miner(account_of(keys.node_id))


def test_without_a_bond_a_miner_works_is_audited_and_its_pay_is_bond() -> None:
    world = build_world(change=unsponsored)
    world.run(4)
    task = world.submit()
    world.run_until(lambda: world.task(task).escrow == 0)
    assert all(each.audited for each in world.receipts if each.round == 0)
    assert {each.kind for each in world.receipts} == {ReceiptKind.PAID}
    for rig in world.miners:
        earned = world.miner(rig).earned
        assert earned > 0
        assert world.account(rig).bond == earned


def test_newcomers_beside_a_bonded_miner_get_one_lease_each_and_are_audited() -> None:
    world = build_world(miners=6, change=with_one_bonded)
    world.run(4)
    state = world.state
    rich = world.miner(world.miners[0])
    state.put_miner(account_of(rich.node), replace(rich, rate=8))
    world.rewrite(state)
    task = world.submit(replace(RULES, rounds=replace(RULES.rounds, rounds=12)), Amount(72 * POT))
    shares: list[int] = []
    for number in range(12):
        world.run_until(lambda: number in world.task(task).open_rounds)  # noqa: B023
        rows = [row.miner for row in world.state.round(task, Round(number)).leases]
        fresh = [node for node in rows if node != rich.node]
        assert len(set(fresh)) == len(fresh) <= 1, "at most an eighth of six shards, rounded up"
        shares.append(len(fresh))
    assert 0 < sum(shares) < 12
    world.run_until(lambda: world.task(task).escrow == 0)
    by_bond = {each.audited for each in world.receipts if each.miner == rich.node}
    assert by_bond == {False}
    first = {each.miner: each.audited for each in reversed(world.receipts)}
    assert {first[node] for node in first if node != rich.node} == {True}


def test_newcomer_that_stays_away_for_two_epochs_leaves_the_state() -> None:
    world = build_world(change=unsponsored)
    gone, there = world.miners[0], world.miners[1]
    world.run(2)
    seen = world.miner(gone).seen
    world.silent = lambda node, _action: node == gone.node_id
    # The others say something now and then, as one that works does.
    last = world.height
    while found(world, gone) is not None:
        last = world.height
        keep(world, there)
        world.run(1)
    assert world.height > seen + 2 * EPOCH
    assert last <= seen + 4 * EPOCH, "looked at as an epoch ends"
    assert account_of(gone.node_id) not in world.state.chain().miners
    assert found(world, there) is not None


def keep(world: LedgerWorld, keys: KeyPair) -> None:
    """Let a miner offer itself again."""
    again = world.registration(keys, after=world.miner(keys).stamp)
    world.block(world.free(keys, again))


@pytest.mark.parametrize("why", ["bond", "ban", "lease"])
def test_miner_that_matters_to_someone_stays(why: str) -> None:
    world = build_world(miners=1, change=unsponsored)
    rig = world.miners[0]
    world.run(2)
    world.silent = lambda node, _action: node == rig.node_id
    state = world.state
    record = world.miner(rig)
    if why == "bond":
        owner = state.account(rig.account)
        # Out of the client's pocket, so that the books balance.
        payer = state.account(world.client.account)
        state.put_account(rig.account, replace(owner, bond=Amount(20 * POT)))
        left = Amount(payer.balance - 20 * POT)
        state.put_account(world.client.account, replace(payer, balance=left))
    elif why == "ban":
        record = replace(record, banned_until=Height(200))
    else:
        record = replace(record, rounds_open=1)
    state.put_miner(rig.account, record)
    world.rewrite(state)
    world.run(3 * EPOCH + 2)
    assert found(world, rig) is not None


def test_dropped_newcomer_may_come_again() -> None:
    world = build_world(miners=1, change=unsponsored)
    rig = world.miners[0]
    world.run(2)
    world.silent = lambda _node, _action: True
    world.run_until(lambda: found(world, rig) is None)
    world.silent = lambda _node, _action: False
    world.run(2)
    record = world.miner(rig)
    assert (record.accepted, record.rate, record.live) == (0, 1, True)


def test_full_list_takes_a_newcomer_for_the_one_that_was_longest_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(miners, "MINERS_MAX", 3)
    world = build_world(change=unsponsored)
    first, second, third = world.miners
    for rig in (first, second, third):
        world.block(world.free(rig, world.registration(rig)))
    late = key_pair("late")
    world.keys[late.node_id] = late
    refused = world.refusal(world.free(late, world.registration(late)))
    assert refused is RejectionReason.RATE, "all are fresh: one put out could say the same again"
    old = world.free(second, world.registration(second))
    world.silent = lambda _node, _action: True
    world.run(4 * CYCLE)
    keep(world, first)
    world.block(world.free(late, world.registration(late)))
    assert found(world, second) is None
    assert world.refusal(old) is RejectionReason.TOO_LATE
    assert len(world.state.chain().miners) == 3
    assert all(found(world, rig) is not None for rig in (first, third, late))


def test_full_list_is_looked_through_for_some_places_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(miners, "MINERS_MAX", 3)
    monkeypatch.setattr(miners, "NEIGHBOURS", 1)
    world = build_world(change=unsponsored)
    for rig in world.miners:
        world.block(world.free(rig, world.registration(rig)))
    world.silent = lambda _node, _action: True
    world.run(4 * CYCLE)
    low, middle, high = sorted(world.miners, key=lambda each: each.account)
    keep(world, low)
    keep(world, high)
    strangers = [key_pair(f"stranger {number}") for number in range(40)]
    for each in strangers:
        is_before_the_idle = low.account < each.account < middle.account
        reason = None if is_before_the_idle else RejectionReason.RATE
        assert world.refusal(world.free(each, world.registration(each))) is reason
    assert any(low.account < each.account < middle.account for each in strangers)


def test_full_list_of_miners_with_bond_or_leases_takes_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(miners, "MINERS_MAX", 2)
    world = build_world(miners=2, change=with_one_bonded)
    world.run(4)
    world.silent = lambda _node, action: isinstance(action, Contribute)
    task = world.submit()
    world.run_until(lambda: 0 in world.task(task).open_rounds)
    rows = {row.miner for row in world.state.round(task, Round(0)).leases}
    assert rows == {rig.node_id for rig in world.miners}
    late = key_pair("late")
    refused = world.refusal(world.free(late, world.registration(late)))
    assert refused is RejectionReason.RATE


def test_rounds_that_a_miner_has_leases_in_are_counted_until_they_are_settled() -> None:
    world = build_world()
    world.run(4)
    task = world.submit()
    counts: set[tuple[NodeId, int]] = set()
    while world.task(task).escrow:
        world.run(1)
        for rig in world.miners:
            rows = [
                number
                for number in world.task(task).open_rounds
                if rig.node_id
                in {row.miner for row in world.state.round(task, Round(number)).leases}
            ]
            assert world.miner(rig).rounds_open == len(rows)
            counts.add((rig.node_id, len(rows)))
    assert {number for _, number in counts} >= {0, 1, 2}


def test_newcomer_that_misses_is_not_leased_to_before_it_says_ready() -> None:
    world = build_world(miners=1, change=unsponsored)
    rig = world.miners[0]
    world.silent = lambda _node, action: isinstance(action, Contribute | Ready)
    world.run(4)
    task = world.submit()
    world.run_until(lambda: not world.miner(rig).live)
    rounds = world.task(task).round
    world.run(6)
    assert world.task(task).round == rounds
    assert rounds not in world.task(task).open_rounds
