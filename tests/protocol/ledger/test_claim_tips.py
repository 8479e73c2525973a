"""A lease's first claim tips the block that takes it in, out of its task's escrow, once."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from potp2p.foundation.types import POT, Amount, PartsPerMillion, Round, TaskId
from potp2p.protocol.crypto.identity import KeyPair, account_of
from potp2p.protocol.ledger.duties import miner_duties
from potp2p.protocol.ledger.records import RoundRecord
from potp2p.protocol.wire.blocks import RANK_NONE
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.transactions import Contribute
from tests.doubles.ledger_world import RULES, LedgerWorld, build_world, with_audits

LEASES = RULES.rounds.shards_per_round
BUDGET = Amount(2 * LEASES * POT)
TIP = POT * 75 // 100 * 2 // 100
"""Of a lease at one POT: two per cent of the miners' three quarters."""
DEADLINE = 16
TWO_ROUNDS = replace(RULES, rounds=replace(RULES.rounds, rounds=2, deadline=DEADLINE))


def opened(
    change: Callable[[Genesis], Genesis] = lambda genesis: genesis,
) -> tuple[LedgerWorld, TaskId]:
    """Return a network whose authors are ranked, in a round in which nobody claims by itself."""
    world = build_world(change=lambda genesis: change(with_audits(1)(genesis)))
    world.run(2)
    first = world.submit()
    world.run_until(lambda: world.task(first).escrow == 0)
    world.run_until(lambda: bool(world.ledger.prospects(world.parent).ranking))
    world.silent = lambda _node, action: isinstance(action, Contribute)
    task = world.submit(TWO_ROUNDS, BUDGET)
    world.run_until(lambda: 0 in world.task(task).open_rounds)
    return world, task


def claims_of(world: LedgerWorld, keys: KeyPair) -> list[bytes]:
    leases = miner_duties(world.state, keys.node_id).leases
    return [world.free(keys, world.contribution(keys, duty)) for duty in leases]


def all_claims(world: LedgerWorld) -> list[bytes]:
    return [claim for keys in world.miners for claim in claims_of(world, keys)]


def record_of(world: LedgerWorld, task: TaskId) -> RoundRecord:
    return world.state.round(task, Round(0))


def test_author_gets_half_of_the_tips_and_the_primary_the_rest_with_its_frame() -> None:
    world, task = opened()
    claims = all_claims(world)
    assert len(claims) == LEASES
    author = account_of(world.ledger.prospects(world.parent).ranking[0])
    balance, issued = world.state.account(author).balance, world.state.chain().issued
    world.block(*claims)
    subsidy = world.state.chain().issued - issued
    tips = LEASES * TIP
    assert world.state.account(author).balance - balance == subsidy + tips // 2
    assert world.state.chain().pending_tips == tips - tips // 2
    assert world.task(task).escrow == BUDGET - tips
    assert world.task(task).paid == tips

    assert world.parent is not None
    seat = world.state.chain().seats[world.parent.frame.primary]
    primary = account_of(seat.node)
    balance = world.state.account(primary).balance
    world.block()
    assert world.state.account(primary).balance - balance == tips - tips // 2
    assert world.state.chain().pending_tips == 0


def test_an_author_without_rank_leaves_the_tips_to_the_frame() -> None:
    world, _ = opened()
    claims = all_claims(world)
    world.block(*claims, rank=RANK_NONE)
    assert world.state.chain().pending_tips == LEASES * TIP


def test_claim_that_is_left_out_tips_the_block_that_takes_it_in() -> None:
    world, task = opened()
    first, *others = all_claims(world)
    world.block(*others)
    assert world.task(task).paid == (LEASES - 1) * TIP
    world.block(first)
    assert world.task(task).paid == LEASES * TIP


def test_claim_said_twice_tips_once() -> None:
    world, task = opened()
    claims = all_claims(world)
    world.block(*claims)
    outcome = world.block(*claims, strict=False)
    assert outcome.included == ()
    assert world.task(task).paid == LEASES * TIP
    assert world.state.chain().pending_tips == 0, "and the second block has none"


def test_only_the_first_of_two_claims_for_a_shard_tips() -> None:
    world, task = opened()
    late, *others = world.miners
    own = claims_of(world, late)
    assert own
    world.block(*(claim for keys in others for claim in claims_of(world, keys)))
    world.run(record_of(world, task).started + DEADLINE // 2 - world.height)
    called = record_of(world, task).stand_ins
    assert called, "it is half time"
    paid = world.task(task).paid
    stood_in = [
        claim
        for keys in others
        for claim in claims_of(world, keys)
        if keys.node_id in {each.miner for each in called}
    ]
    world.block(*stood_in)
    tipped = len({each.shard for each in called})
    assert world.task(task).paid == paid + tipped * TIP
    world.block(*own)
    assert sum(each.claim is not None for each in record_of(world, task).stand_ins) == len(stood_in)
    assert world.task(task).paid == LEASES * TIP, "whoever else claims them"


def test_tips_and_all_other_pay_fit_into_a_budget_that_is_spent_whole() -> None:
    world, task = opened()
    world.silent = lambda _node, _action: False
    before = world.account(world.client).balance
    world.run_until(lambda: world.task(task).escrow == 0)
    record = world.task(task)
    miners = sum(each.paid for each in world.receipts if each.task == task)
    assert miners == 2 * LEASES * (POT * 75 // 100 - TIP)
    assert record.paid >= miners + 2 * LEASES * (TIP + POT * 5 // 100)
    assert world.account(world.client).balance == before + BUDGET - record.paid


@pytest.mark.parametrize("share", [0, 1, 379_000])
def test_network_chooses_how_much_a_claim_tips(share: int) -> None:
    def change(genesis: Genesis) -> Genesis:
        fine = PartsPerMillion(1_000_000)
        money = replace(genesis.money, claim_tip=PartsPerMillion(share), unserved_fine=fine)
        return replace(genesis, money=money)

    world, task = opened(change)
    world.block(*all_claims(world))
    assert world.task(task).paid == LEASES * (POT * 75 // 100 * share // 1_000_000)
