"""Draws wait until f + 1 different primaries have revealed; auditors and their pay have limits."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from potp2p.foundation.types import POT, Amount, MicroNats, NodeId, Round, TaskId
from potp2p.protocol.crypto.identity import KeyPair
from potp2p.protocol.ledger.audit_records import Escalation
from potp2p.protocol.ledger.receipt_records import ReceiptKind
from potp2p.protocol.ledger.records import LeaseStatus, RoundRecord
from potp2p.protocol.wire.blocks import NO_DIGEST
from potp2p.protocol.wire.tasks import FinishRule
from potp2p.protocol.wire.transactions import AuditCommit, Bond, Contribute, RoundResult
from tests.doubles.ledger_world import (
    BUDGET,
    RULES,
    LedgerWorld,
    build_world,
    with_audits,
    without_tips,
)

EVERY = 1_000_000
ONE_ROUND = replace(RULES, rounds=replace(RULES.rounds, rounds=1))


def world_at(reached: Callable[[RoundRecord], bool]) -> tuple[LedgerWorld, TaskId]:
    """Return a network whose round 0 has just come to a point."""
    world = build_world(change=with_audits(EVERY))
    world.run(2)
    task = world.submit(ONE_ROUND)
    world.run_until(lambda: 0 in world.task(task).open_rounds)
    world.run_until(lambda: reached(world.state.round(task, Round(0))))
    return world, task


def run_led_by(world: LedgerWorld, seat: int) -> None:
    """Decide a block that a given seat proposed, in whatever view it leads."""
    view = world.ledger.prospects(world.parent).primaries.index(seat)
    world.block(*world.duties(), view=view, strict=False)


def node_of(world: LedgerWorld, seat: int) -> NodeId:
    return world.state.chain().seats[seat].node


def is_fixed(record: RoundRecord) -> bool:
    return record.fixed > 0


def has_result(record: RoundRecord) -> bool:
    return record.result_height > 0


def test_one_primary_that_leads_again_and_again_draws_no_audit() -> None:
    world, task = world_at(is_fixed)
    for _ in range(4):
        run_led_by(world, 0)
        assert world.state.round(task, Round(0)).draw_beacon == NO_DIGEST
    assert world.state.round(task, Round(0)).revealers == (node_of(world, 0),)
    run_led_by(world, 1)
    record = world.state.round(task, Round(0))
    assert record.draw_beacon == NO_DIGEST, "its frame is executed in the next block"
    run_led_by(world, 0)
    assert world.state.round(task, Round(0)).draw_beacon != NO_DIGEST
    assert not world.state.round(task, Round(0)).drawn, "the others' beacons are to come"
    world.run(3)
    assert world.state.round(task, Round(0)).drawn


def test_one_primary_that_leads_again_and_again_books_no_weight() -> None:
    world, task = world_at(has_result)
    # Audits stay open, so that the round stays to be looked at.
    world.silent = lambda _node, action: isinstance(action, AuditCommit)
    for _ in range(4):
        run_led_by(world, 0)
        assert not world.state.round(task, Round(0)).booked
    run_led_by(world, 1)
    run_led_by(world, 0)
    assert world.state.round(task, Round(0)).booked
    assert world.state.round(task, Round(0)).booked_cycle == world.state.chain().cycle


@pytest.mark.parametrize("leaders", [(0, 1, 2), (3, 2, 1)])
def test_primary_of_the_block_that_brought_the_result_does_not_count(
    leaders: tuple[int, ...],
) -> None:
    world, task = world_at(has_result)
    brought = world.parent.frame.primary
    first, second = [seat for seat in leaders if seat != brought][:2]
    run_led_by(world, first)
    # The frame just executed was the one of the block with the result.
    assert world.state.round(task, Round(0)).result_revealers == ()
    run_led_by(world, second)
    assert world.state.round(task, Round(0)).result_revealers == (node_of(world, first),)


def test_drawn_contribution_that_nobody_may_audit_goes_to_all_judges() -> None:
    world = build_world(validators=1, change=with_audits(EVERY))
    world.run(2)
    rig, seat = world.miners[0], world.validators[0]
    after = world.miner(rig).stamp
    world.block(world.free(rig, world.registration(rig, after=after, payout=seat.account)))
    task = world.submit(ONE_ROUND)
    world.run_until(lambda: 0 in world.task(task).open_rounds)
    world.run_until(lambda: world.state.round(task, Round(0)).drawn)
    audits = {
        world.state.lease(task, Round(0), shard).miner: world.state.audit(task, Round(0), shard)
        for shard in world.state.round(task, Round(0)).audits
    }
    assert {
        miner for miner, audit in audits.items() if audit.escalation is Escalation.NO_AUDITOR
    } == {rig.node_id}
    world.run_until(lambda: world.task(task).escrow == 0)
    assert {each.kind for each in world.receipts} == {ReceiptKind.PAID}


def test_auditors_are_paid_no_more_than_their_share_of_the_budget() -> None:
    # At this price every contribution is audited, and by the base rate one audit would be worth
    # more than the whole budget: only the pool that rounds have put aside may be spent.
    world = build_world(change=lambda genesis: without_tips(with_audits(1)(genesis)))
    world.run(2)
    early = replace(RULES, finish=FinishRule(2, MicroNats(1_900_000), 0))
    task = world.submit(early, Amount(40 * BUDGET))
    world.run_until(lambda: world.task(task).escrow == 0)
    assert all(each.audited for each in world.receipts)
    paid = sum(world.account(each).balance for each in world.validators)
    share = 40 * BUDGET * 20 // 100 * 2 // 3
    assert share - 100 <= paid <= share
    assert sum(each.paid for each in world.receipts) == 40 * BUDGET * 75 // 100 * 2 // 3


def test_diverged_claim_is_audited_even_where_nothing_else_would_be() -> None:
    world = build_world(
        change=lambda genesis: with_audits(1)(
            replace(genesis, money=replace(genesis.money, sponsor_bond=Amount(200 * POT)))
        )
    )
    world.run(2)
    told, broken = world.contribution, world.miners[0].node_id

    def contribution(keys: KeyPair, duty: object) -> Contribute:
        said = told(keys, duty)
        return replace(said, diverged=True) if keys.node_id == broken else said

    world.contribution = contribution
    task = world.submit(ONE_ROUND)
    world.run_until(lambda: 0 in world.task(task).open_rounds)
    world.run_until(lambda: world.state.round(task, Round(0)).drawn)
    statuses = {
        shard: world.state.lease(task, Round(0), shard).status
        for shard in world.state.round(task, Round(0)).audits
    }
    leases = world.state.round(task, Round(0)).leases
    assert set(statuses) >= {row.shard for row in leases if row.miner == broken}
    assert set(statuses.values()) == {LeaseStatus.AUDITED}
    assert len(statuses) < len(leases)


def drawn_with_result_after(blocks: int) -> tuple[bytes, tuple[int, ...]]:
    """Return beacon and audits of a round whose result is left out for some blocks."""
    world = build_world(change=with_audits(300_000))
    world.run(4)
    task = world.submit(replace(ONE_ROUND, rounds=replace(ONE_ROUND.rounds, result_deadline=20)))
    world.silent = lambda _node, action: isinstance(action, RoundResult)
    world.run_until(lambda: 0 in world.task(task).open_rounds)
    world.run_until(lambda: world.state.round(task, Round(0)).revealing)
    world.run_until(lambda: world.state.round(task, Round(0)).draw_beacon != NO_DIGEST)
    world.run(blocks)
    world.silent = lambda _node, action: isinstance(action, AuditCommit)
    world.run_until(lambda: world.state.round(task, Round(0)).drawn)
    record = world.state.round(task, Round(0))
    return record.draw_beacon, record.audits


def test_leaving_a_result_out_of_a_block_draws_nothing_again() -> None:
    first = drawn_with_result_after(0)
    assert first[1], "something is drawn at this rate"
    assert [drawn_with_result_after(blocks) for blocks in (1, 2, 5)] == [first] * 3


def test_bond_from_after_the_set_was_fixed_lowers_no_probability() -> None:
    world = build_world(change=lambda genesis: with_audits(120_000)(replace(genesis, sponsor=None)))
    world.run(4)
    task = world.submit(ONE_ROUND)
    world.run_until(lambda: 0 in world.task(task).open_rounds)
    world.run_until(lambda: is_fixed(world.state.round(task, Round(0))))
    rig = world.miners[0]
    world.block(world.paid(world.client, Bond(rig.account, Amount(900 * POT))), *world.duties())
    assert not world.state.round(task, Round(0)).drawn
    world.run_until(lambda: world.state.round(task, Round(0)).drawn)
    record = world.state.round(task, Round(0))
    mine = {row.shard for row in record.leases if row.miner == rig.node_id}
    assert mine <= set(record.audits), "it had no bond when the set was fixed"


def test_suspected_contribution_is_audited_whatever_its_bond() -> None:
    world = build_world(
        change=lambda genesis: with_audits(1)(
            replace(genesis, money=replace(genesis.money, sponsor_bond=Amount(300 * POT)))
        )
    )
    world.flagged = b"\x05"
    world.run(4)
    task = world.submit(ONE_ROUND)
    world.run_until(lambda: 0 in world.task(task).open_rounds)
    world.run_until(lambda: world.state.round(task, Round(0)).drawn)
    assert set(world.state.round(task, Round(0)).audits) >= {0, 2}
