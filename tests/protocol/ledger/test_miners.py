"""Miners: registration with stamp and sponsor, being live, being banned."""

from dataclasses import replace

import pytest

from potp2p.foundation.errors import RejectionReason
from potp2p.foundation.types import POT, Amount, Cycle, Round
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.ledger.stamp import NO_STAMP, is_stamp, last_before, search_stamp
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.transactions import Bond, Contribute, Ready, RegisterMiner, Unbond
from tests.doubles.ledger_world import (
    FORGED,
    HONEST,
    RULES,
    LedgerWorld,
    build_world,
    key_pair,
    with_audits,
)


@pytest.fixture
def world() -> LedgerWorld:
    world = build_world()
    world.run(2)
    return world


def test_newcomer_is_bonded_by_the_sponsor_once(world: LedgerWorld) -> None:
    rig, sponsor = world.miners[0], key_pair("sponsor")
    assert world.account(rig).bond == 20 * POT
    assert world.account(sponsor).balance == (1_000 - 3 * 20) * POT
    again = world.registration(rig, after=world.miner(rig).stamp, name="renamed")
    world.block(world.free(rig, again))
    assert world.miner(rig).name == "renamed"
    assert world.account(rig).bond == 20 * POT


def test_stamp_is_bound_to_the_miner_and_the_network(world: LedgerWorld) -> None:
    late = key_pair("late")
    world.keys[late.node_id] = late
    own = world.registration(late)
    assert isinstance(own, RegisterMiner)
    number = int.from_bytes(own.stamp, "big")
    bits = world.genesis.training.stamp_bits
    wrong = next(
        (number + step).to_bytes(8, "big")
        for step in range(1, 1_000)
        if not is_stamp(world.chain_id, late.node_id, (number + step).to_bytes(8, "big"), bits)
    )
    bad = world.free(late, replace(own, stamp=wrong))
    assert world.refusal(bad) is RejectionReason.BAD_PROOF
    assert world.refusal(world.free(late, replace(own, devices=0))) is not None
    assert world.refusal(world.free(late, own)) is None


def test_old_registration_cannot_be_replayed(world: LedgerWorld) -> None:
    rig = world.miners[0]
    first = world.registration(rig)
    assert isinstance(first, RegisterMiner)
    assert first.stamp == world.miner(rig).stamp
    assert world.refusal(world.free(rig, first)) is RejectionReason.DUPLICATE
    lower = world.registration(rig, after=first.stamp)
    higher = world.registration(rig, after=lower.stamp)
    world.block(world.free(rig, higher))
    assert world.refusal(world.free(rig, lower)) is RejectionReason.DUPLICATE


def test_stamp_is_good_for_its_cycle_and_the_next_two() -> None:
    world = build_world(miners=0)
    late = key_pair("late")
    world.keys[late.node_id] = late
    said = world.free(late, world.registration(late))
    ahead = world.free(late, world.registration(late, after=last_before(NO_STAMP, Cycle(1))))
    assert world.refusal(ahead) is RejectionReason.TOO_LATE, "nobody stamps for a cycle to come"
    while world.state.chain().cycle < 3:
        taken = world.refusal(said)
        assert taken is None, world.height
        world.run(1)
        world.run_until(lambda: world.height % 5 == 4)
    assert world.refusal(said) is RejectionReason.TOO_LATE


def test_search_for_a_stamp_can_be_cut_and_resumed(world: LedgerWorld) -> None:
    node, bits = key_pair("late").node_id, 8
    whole, found = search_stamp(world.chain_id, node, bits, after=NO_STAMP, tries=100_000)
    assert found
    stamp, valid = NO_STAMP, False
    while not valid:
        stamp, valid = search_stamp(world.chain_id, node, bits, after=stamp, tries=7)
    assert stamp == whole


def missing_world() -> LedgerWorld:
    """Return a network whose first miner has just missed its leases."""
    world = build_world()
    world.run(2)
    mute = world.miners[0].node_id
    world.silent = lambda node, action: node == mute and isinstance(action, Contribute | Ready)
    world.submit()
    world.run_until(lambda: not world.miner(world.miners[0]).live)
    return world


def test_miss_ends_live_and_halves_the_rate_and_ready_brings_it_back_once_per_cycle() -> None:
    world = missing_world()
    rig = world.miners[0]
    assert world.miner(rig).missed == 2
    assert world.miner(rig).rate == 1
    cycle = world.state.chain().cycle

    def ready(number: int) -> bytes:
        return world.free(rig, Ready(Cycle(number)))

    if world.miner(rig).ready_cycle == cycle:
        assert world.refusal(ready(cycle)) is RejectionReason.DUPLICATE
        world.run_until(lambda: world.state.chain().cycle > cycle)
        cycle = world.state.chain().cycle
    assert world.refusal(ready(cycle + 1)) is RejectionReason.TOO_EARLY
    world.block(ready(cycle))
    assert world.miner(rig).live
    assert world.refusal(ready(cycle)) is RejectionReason.DUPLICATE


def test_ready_of_this_cycle_cannot_be_replayed_after_another_miss(world: LedgerWorld) -> None:
    rig = world.miners[0]
    ready = world.free(rig, Ready(world.state.chain().cycle))
    assert world.refusal(ready) is RejectionReason.DUPLICATE, "it is live"
    state = world.state
    state.put_miner(account_of(rig.node_id), replace(world.miner(rig), live=False))
    world.rewrite(state)
    assert world.miner(rig).ready_cycle == world.state.chain().cycle
    assert world.refusal(ready) is RejectionReason.DUPLICATE, "it was said in this cycle"


def test_ready_of_long_ago_is_late_and_of_a_stranger_not_found() -> None:
    world = missing_world()
    rig = world.miners[0]
    world.run_until(lambda: world.state.chain().cycle >= 4)
    old = world.free(rig, Ready(Cycle(2)))
    assert world.refusal(old) is RejectionReason.TOO_LATE
    stranger = world.free(world.client, Ready(world.state.chain().cycle))
    assert world.refusal(stranger) is RejectionReason.NOT_FOUND


def test_rounds_go_on_with_the_others_and_a_late_joiner_gets_shards_of_the_next_round() -> None:
    world = build_world()
    late = world.miners[2].node_id
    world.silent = lambda node, _: node == late
    world.run(2)
    task = world.submit()
    world.run_until(lambda: 0 in world.task(task).open_rounds)
    first = {row.miner for row in world.state.round(task, Round(0)).leases}
    assert first == {each.node_id for each in world.miners[:2]}
    world.silent = lambda _node, _action: False
    world.run_until(lambda: 1 in world.task(task).open_rounds)
    assert late in {row.miner for row in world.state.round(task, Round(1)).leases}


@pytest.mark.parametrize(
    "offer",
    [{"memory_bytes": 1}, {"classes": 2}, {"lowest_price": Amount(10 * POT)}],
    ids=["memory", "class", "price"],
)
def test_miner_whose_offer_a_task_does_not_meet_gets_no_lease(
    world: LedgerWorld, offer: dict[str, object]
) -> None:
    rig = world.miners[0]
    after = world.miner(rig).stamp
    world.block(world.free(rig, world.registration(rig, after=after, **offer)))
    task = world.submit()
    world.run_until(lambda: 0 in world.task(task).open_rounds)
    miners = {row.miner for row in world.state.round(task, Round(0)).leases}
    assert miners == {each.node_id for each in world.miners[1:]}


def test_miner_that_withdraws_its_bond_is_a_newcomer_and_can_be_slashed() -> None:
    world = build_world(change=_half_sponsored)
    world.run(2)
    cheat = world.miners[0]
    for miner in world.miners:
        world.block(world.paid(world.client, Bond(miner.account, Amount(10 * POT))))
    world.measure = lambda _auditor, lease: FORGED if lease.miner == cheat.node_id else HONEST
    task = world.submit()
    world.run_until(lambda: 0 in world.task(task).open_rounds)
    world.block(world.paid(cheat, Unbond(Amount(10 * POT))), *world.duties())
    assert world.account(cheat).bond == 10 * POT
    world.run_until(lambda: 1 in world.task(task).open_rounds)
    later = [row.miner for row in world.state.round(task, Round(1)).leases]
    assert later.count(cheat.node_id) <= 1
    world.run_until(lambda: world.miner(cheat).banned_until > 0)
    assert sum(each.amount for each in world.account(cheat).unbonding) == 0


def _half_sponsored(genesis: Genesis) -> Genesis:
    audited = with_audits(1_000_000)(genesis)
    return replace(audited, money=replace(audited.money, sponsor_bond=Amount(10 * POT)))


def test_what_the_sponsor_bonded_is_not_the_miners_to_take() -> None:
    world = build_world()
    world.run(2)
    refused = world.refusal(world.paid(world.miners[0], Unbond(Amount(1))))
    assert refused is RejectionReason.TOO_EARLY


def test_what_the_sponsor_bonded_stays_however_long_its_miner_is_away() -> None:
    world = build_world(miners=1, change=_half_sponsored)
    rig = world.miners[0]
    world.run(2)
    world.silent = lambda node, _: node == rig.node_id
    world.run(4 * world.genesis.consensus.cycle_blocks * world.genesis.consensus.epoch_cycles)
    assert world.account(rig).bond == 10 * POT
    refused = world.refusal(world.paid(rig, Unbond(Amount(10 * POT))))
    assert refused is RejectionReason.TOO_EARLY


def test_banned_miner_says_nothing_until_the_ban_is_over() -> None:
    world = build_world(change=with_audits(1_000_000))
    world.run(2)
    cheat = world.miners[0]
    world.measure = lambda _auditor, lease: FORGED if lease.miner == cheat.node_id else HONEST
    world.submit(replace(RULES, rounds=replace(RULES.rounds, rounds=1)))
    world.run_until(lambda: world.miner(cheat).banned_until > 0)
    again = world.free(cheat, world.registration(cheat, after=world.miner(cheat).stamp))
    assert world.refusal(again) is RejectionReason.BANNED
    ready = world.free(cheat, Ready(world.state.chain().cycle))
    assert world.refusal(ready) is RejectionReason.BANNED
    world.silent = lambda node, _: node == cheat.node_id
    world.run_until(lambda: world.height >= world.miner(cheat).banned_until)
    assert world.refusal(again) is RejectionReason.TOO_LATE, "its stamp is of another cycle"
    fresh = world.free(cheat, world.registration(cheat, after=world.miner(cheat).stamp))
    assert world.refusal(fresh) is None


def test_pay_goes_to_the_payout_account(world: LedgerWorld) -> None:
    rig, purse = world.miners[0], key_pair("purse")
    payout = account_of(purse.node_id)
    world.block(
        world.free(rig, world.registration(rig, after=world.miner(rig).stamp, payout=payout))
    )
    task = world.submit()
    world.run_until(lambda: world.task(task).escrow == 0)
    assert world.miner(rig).earned > 0
    assert world.account(rig).balance == 0
    assert world.state.account(payout).balance >= world.miner(rig).earned
