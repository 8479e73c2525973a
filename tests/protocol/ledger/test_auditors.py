"""Who may be drawn to audit: frozen a cycle before, by bond, and nobody who acts for the miner."""

from collections import Counter
from dataclasses import replace

import pytest

from potp2p.foundation.types import POT, AccountId, Amount, Cycle, NodeId, Round, ShardIndex
from potp2p.protocol.crypto.identity import KeyPair, account_of
from potp2p.protocol.ledger.audit_records import AuditorTable
from potp2p.protocol.ledger.auditors import SEAT_RATE, sponsor_of
from potp2p.protocol.ledger.money import add_bond, free_bond, slash_amount
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.transactions import AuditCommit, Bond, RevealAudit, Unbond
from tests.doubles.ledger_world import (
    HONEST,
    NEAR,
    RULES,
    LedgerWorld,
    build_world,
    key_pair,
    with_audits,
)

ONE_ROUND = replace(RULES, rounds=replace(RULES.rounds, rounds=1))
EVERY = 1_000_000
CYCLE = 10


def rich_miners(genesis: Genesis) -> Genesis:
    """Return miners that have more bonded than any seat."""
    money = replace(genesis.money, sponsor_bond=Amount(10_000 * POT))
    rows = tuple(
        replace(each, balance=Amount(100_000 * POT)) if each.account == genesis.sponsor else each
        for each in genesis.accounts
    )
    return with_audits(EVERY)(replace(genesis, money=money, accounts=rows))


def table_of(world: LedgerWorld, cycle: int) -> AuditorTable:
    found = world.state.auditors(Cycle(cycle))
    assert found is not None
    return found


def to_cycle(world: LedgerWorld, cycle: int) -> None:
    """Go to the first block of a cycle."""
    while world.state.chain().cycle < cycle:
        world.run(1)


def drawn(world: LedgerWorld) -> Counter[NodeId]:
    """Return how often everyone is drawn for one round."""
    task = world.submit(ONE_ROUND)
    world.silent = lambda _node, action: isinstance(action, AuditCommit)
    world.run_until(lambda: 0 in world.task(task).open_rounds)
    world.run_until(lambda: world.state.round(task, Round(0)).drawn)
    counts: Counter[NodeId] = Counter()
    for shard in world.state.round(task, Round(0)).audits:
        audit = world.state.audit(task, Round(0), shard)
        miner = world.state.lease(task, Round(0), shard).miner
        assert miner not in {each.auditor for each in audit.auditors}
        counts.update(each.auditor for each in audit.auditors)
    return counts


def test_in_the_first_cycles_only_seats_audit_and_then_bonded_miners_too() -> None:
    world = build_world(change=rich_miners)
    world.run(2)
    rigs, seats = ({each.node_id for each in some} for some in (world.miners, world.validators))
    assert set(drawn(world)) <= seats
    world.silent = lambda _node, _action: False
    to_cycle(world, 2)
    assert {row.node for row in table_of(world, 1).rows} == rigs | seats
    assert set(drawn(world)) & rigs, "by weight"


def test_tables_of_this_cycle_and_the_last_are_kept() -> None:
    world = build_world()
    to_cycle(world, 5)
    kept = [cycle for cycle in range(7) if world.state.auditors(Cycle(cycle)) is not None]
    assert kept == [4, 5]


def test_bond_that_comes_or_goes_after_the_freeze_moves_no_draw() -> None:
    def world_with(change: object) -> LedgerWorld:
        world = build_world(change=rich_miners)
        to_cycle(world, 2)
        change(world)
        return world

    def nothing(world: LedgerWorld) -> None:
        world.run(1)

    def more(world: LedgerWorld) -> None:
        account = account_of(world.miners[0].node_id)
        rich = key_pair("sponsor")
        world.block(*world.duties(), world.paid(rich, Bond(account, Amount(30_000 * POT))))

    def less(world: LedgerWorld) -> None:
        seat = world.validators[0]
        world.block(*world.duties(), world.paid(seat, Unbond(Amount(POT))))

    expected = drawn(world_with(nothing))
    assert drawn(world_with(more)) == expected
    assert drawn(world_with(less)) == expected


def test_weak_or_idle_miners_and_other_classes_are_not_called() -> None:
    world = build_world(change=rich_miners)
    world.run(2)
    other, small, tiny = world.miners
    changes: tuple[tuple[KeyPair, dict[str, object]], ...] = (
        (other, {"classes": 2}),
        (small, {"memory_bytes": 1 << 10}),
    )
    for keys, change in changes:
        stamp = world.miner(keys).stamp
        world.block(world.free(keys, world.registration(keys, after=stamp, **change)))
    state = world.state
    slash_amount(state, account_of(tiny.node_id), 9_990 * POT)
    assert free_bond(state.account(account_of(tiny.node_id))) < world.genesis.money.miner_bond
    world.rewrite(state)
    to_cycle(world, 2)
    assert {row.node for row in table_of(world, 1).rows} == {
        each.node_id for each in (*world.validators, other, small)
    }
    # The round itself waits for a miner that may train it.
    stamp = world.miner(small).stamp
    world.block(world.free(small, world.registration(small, after=stamp)))
    assert set(drawn(world)) <= {each.node_id for each in world.validators}


def test_sponsor_is_who_put_up_half_of_a_bond_and_never_the_genesis_sponsor() -> None:
    world = build_world()
    world.run(2)
    state, rig = world.state, account_of(world.miners[0].node_id)
    backer, other = world.client.account, world.validators[0].account
    assert state.account(rig).backer == world.genesis.sponsor
    assert sponsor_of(state, rig, world.genesis) is None
    # A little for everybody excludes nobody.
    add_bond(state, rig, POT, other)
    assert sponsor_of(state, rig, world.genesis) is None
    add_bond(state, rig, 21 * POT, backer)
    assert sponsor_of(state, rig, world.genesis) == backer
    add_bond(state, rig, 100 * POT)
    assert sponsor_of(state, rig, world.genesis) is None, "its own is the larger part now"


def test_table_names_who_bonded_an_auditor() -> None:
    world = build_world(change=lambda genesis: rich_miners(replace(genesis, sponsor=None)))
    friend = world.miners[2]
    world.block(world.paid(world.client, Bond(friend.account, Amount(900 * POT))))
    to_cycle(world, 1)
    rows = {row.node: row for row in table_of(world, 1).rows}
    assert rows[friend.node_id].sponsor == world.client.account
    assert set(rows) == {each.node_id for each in (*world.validators, friend)}


@pytest.mark.parametrize("lapse", [AuditCommit, RevealAudit, None], ids=["absent", "shy", "vague"])
def test_auditor_of_no_use_is_not_drawn_for_the_rest_of_its_epoch(lapse: type | None) -> None:
    # Epochs have two cycles; audits are drawn early in the first one.
    world = build_world(change=with_audits(EVERY, audit_deadline=2))
    away = world.validators[2]
    while world.height < 14:
        world.run(1)
    if lapse is None:
        world.measure = lambda auditor, _lease: NEAR if auditor == away.node_id else HONEST
    world.submit(replace(RULES, rounds=replace(RULES.rounds, rounds=2)))
    world.silent = lambda node, action: (
        lapse is not None and node == away.node_id and isinstance(action, lapse)
    )
    world.run_until(lambda: away.node_id in lapsed_of(world))
    assert world.state.chain().cycle == 2
    to_cycle(world, 3)
    assert away.node_id not in {row.node for row in table_of(world, 3).rows}
    to_cycle(world, 4)
    assert lapsed_of(world) == ()
    assert away.node_id in {row.node for row in table_of(world, 4).rows}, "a new epoch"


def lapsed_of(world: LedgerWorld) -> tuple[NodeId, ...]:
    table = world.state.auditors(world.state.chain().cycle)
    return () if table is None else table.lapsed


def test_nobody_gets_more_audits_than_it_can_do_while_others_are_idle() -> None:
    world = build_world(validators=8, change=with_audits(EVERY))
    world.run(2)
    counts = drawn(world)
    assert sum(counts.values()) == 12
    assert max(counts.values()) <= SEAT_RATE


def committee(payouts: dict[int, AccountId]) -> tuple[NodeId, ...]:
    """Return who audits shard 0 where miners name a payout once the beacon of its draw is out."""
    world = build_world(miners=6, change=with_audits(EVERY))
    to_cycle(world, 2)
    task = world.submit(ONE_ROUND)
    world.run_until(lambda: 0 in world.task(task).open_rounds)
    world.run_until(lambda: len(world.state.round(task, Round(0)).draw_beacons) == 3)
    assert not world.state.round(task, Round(0)).drawn
    said = [
        world.registration(
            world.miners[place], after=world.miner(world.miners[place]).stamp, payout=payout
        )
        for place, payout in payouts.items()
    ]
    signed = [
        world.free(world.miners[place], each) for place, each in zip(payouts, said, strict=True)
    ]
    world.block(*signed, *world.duties(), strict=False)
    assert world.state.round(task, Round(0)).drawn
    for place, payout in payouts.items():
        assert world.miner(world.miners[place]).payout == payout
    return tuple(each.auditor for each in world.state.audit(task, Round(0), ShardIndex(0)).auditors)


def test_payout_named_once_the_beacon_is_out_changes_no_committee() -> None:
    before = committee({})
    for node in before:
        assert committee(dict.fromkeys(range(6), account_of(node))) == before


def next_committees(*, commits: bool) -> list[tuple[NodeId, ...]]:
    """Return who audits a second round where auditors of the first commit as its draw comes."""
    world = build_world(miners=8, change=with_audits(EVERY, audit_deadline=12))
    to_cycle(world, 2)
    rigs = {each.node_id for each in world.miners}
    world.silent = lambda node, action: isinstance(action, AuditCommit) and node in rigs
    task = world.submit(RULES)
    world.run_until(lambda: 1 in world.task(task).open_rounds)
    world.run_until(lambda: len(world.state.round(task, Round(1)).draw_beacons) == 3)
    assert not world.state.round(task, Round(1)).drawn
    state = world.state
    for each in world.miners:
        state.put_miner(each.account, replace(world.miner(each), rate=1))
    world.rewrite(state)
    if commits:
        world.silent = lambda _node, _action: False
    world.run(1)
    record = world.state.round(task, Round(1))
    assert record.drawn
    return [
        tuple(each.auditor for each in world.state.audit(task, Round(1), shard).auditors)
        for shard in record.audits
    ]


def test_who_commits_to_another_audit_just_before_a_draw_does_not_draw_again() -> None:
    assert next_committees(commits=True) == next_committees(commits=False)
