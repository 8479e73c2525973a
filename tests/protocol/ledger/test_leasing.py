"""Leases are drawn over what was said before f + 1 primaries revealed; no task waits for ever."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from potp2p.foundation.types import POT, Amount, Epoch, Height, NodeId, Round, TaskId
from potp2p.protocol.crypto.identity import KeyPair, account_of
from potp2p.protocol.ledger.records import TaskStatus
from potp2p.protocol.ledger.seats import drawable_below
from potp2p.protocol.ledger.stamp import NO_STAMP
from potp2p.protocol.wire.blocks import NO_DIGEST
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.transactions import (
    Anchor,
    Bond,
    Contribute,
    Ready,
    RegisterMiner,
)
from tests.doubles.ledger_world import RULES, LedgerWorld, build_world, with_audits

DEADLINE = 6


def led_by(world: LedgerWorld, seat: int, *said: bytes) -> None:
    """Decide a block that a given seat proposed, in whatever view it leads."""
    view = world.ledger.prospects(world.parent).primaries.index(seat)
    world.block(*said, *world.duties(), view=view, strict=False)


def waiting_world(change: Callable[[Genesis], Genesis]) -> tuple[LedgerWorld, TaskId]:
    """Return a network with a task that runs, and no miner yet."""
    world = build_world(miners=1, change=change)
    world.silent = lambda node, _action: node == world.miners[0].node_id
    world.run(2)
    task = world.submit()
    world.run_until(lambda: world.task(task).status is TaskStatus.RUNNING)
    return world, task


def unchanged(genesis: Genesis) -> Genesis:
    return genesis


def unsponsored(genesis: Genesis) -> Genesis:
    return replace(genesis, sponsor=None)


def test_registration_is_drawn_from_once_two_other_primaries_have_revealed() -> None:
    world, task = waiting_world(unchanged)
    rig = world.miners[0]
    led_by(world, 0, world.free(rig, world.registration(rig)))
    for _ in range(4):
        led_by(world, 0)
        assert world.task(task).open_rounds == (), "one primary knew every beacon since"
    led_by(world, 1)
    assert world.task(task).open_rounds == (), "its frame is executed in the next block"
    led_by(world, 0)
    assert world.task(task).open_rounds == (0,)


def said_again(world: LedgerWorld, keys: KeyPair, **changes: object) -> bytes:
    return world.free(keys, world.registration(keys, after=world.miner(keys).stamp, **changes))


@pytest.mark.parametrize(
    ("changes", "waits"),
    [
        ({"lowest_price": Amount(1)}, True),
        ({"memory_bytes": 1 << 29}, True),
        ({"name": "renamed"}, False),
    ],
    ids=["price", "memory", "name"],
)
def test_offer_that_changes_waits_again_and_a_new_name_does_not(
    changes: dict[str, object], waits: bool
) -> None:
    world = build_world(miners=1)
    world.run(4)
    rig = world.miners[0]
    before = world.miner(rig).changed
    world.block(said_again(world, rig, **changes))
    assert world.miner(rig).changed == (world.height if waits else before)
    assert world.miner(rig).seen == world.height


def test_ready_waits_like_a_registration() -> None:
    world = build_world(miners=1)
    rig = world.miners[0]
    world.silent = lambda _node, action: isinstance(action, Contribute | Ready)
    world.run(4)
    task = world.submit()
    world.run_until(lambda: not world.miner(rig).live and 0 not in leased(world, task))
    world.silent = lambda _node, action: isinstance(action, Contribute)
    while not world.miner(rig).live:
        led_by(world, 0)
    assert world.miner(rig).changed == world.height
    rounds = world.task(task).open_rounds
    for _ in range(3):
        led_by(world, 0)
        assert world.task(task).open_rounds == rounds
    led_by(world, 1)
    led_by(world, 0)
    assert len(world.task(task).open_rounds) > len(rounds) or world.task(task).round > 0


def leased(world: LedgerWorld, task: TaskId) -> set[Round]:
    """Return the rounds in work."""
    found = world.task(task)
    return {found.round} & set(found.open_rounds)


def test_bond_that_comes_to_suffice_waits_like_a_registration() -> None:
    world, _ = waiting_world(unsponsored)
    rig = world.miners[0]
    world.silent = lambda _node, _action: False
    world.run(4)
    changed = world.miner(rig).changed
    account = account_of(rig.node_id)
    world.block(world.paid(world.client, Bond(account, Amount(19 * POT))))
    assert world.miner(rig).changed == changed, "still a newcomer"
    world.block(world.paid(world.client, Bond(account, Amount(1 * POT))))
    assert world.miner(rig).changed == world.height
    settled = world.height
    world.run(2)
    world.block(world.paid(world.client, Bond(account, Amount(1 * POT))))
    assert world.miner(rig).changed == settled, "nobody holds a rival up by bonding for it"


def test_reveal_of_zeros_for_want_of_an_anchor_is_none() -> None:
    world = build_world()
    poor = {world.validators[seat].node_id for seat in (0, 1)}
    world.silent = lambda node, action: node in poor and isinstance(action, Anchor)
    world.run_epoch()
    world.run_until(lambda: world.state.chain().epoch == Epoch(1))
    seats = {seat.node: place for place, seat in enumerate(world.state.chain().seats)}
    bare = {node for node in seats if world.state.chain().seats[seats[node]].anchor == NO_DIGEST}
    assert bare == poor
    before = revealed(world, poor)
    world.run(8)
    assert revealed(world, poor) == before
    others = set(seats) - poor
    assert min(revealed(world, others)) > max(before)
    assert drawable_below(world.state.chain()) == min(revealed(world, others))


def revealed(world: LedgerWorld, nodes: set[NodeId]) -> list[Height]:
    return [seat.revealed for seat in world.state.chain().seats if seat.node in nodes]


def test_task_without_a_miner_expires_and_is_refunded() -> None:
    world, task = waiting_world(with_audits(1, miner_deadline=DEADLINE))
    since, before = world.task(task).waiting, world.account(world.client).balance
    assert since > 0
    world.run(since + DEADLINE - 1 - world.height)
    assert world.task(task).status is TaskStatus.RUNNING
    world.run(1)
    assert world.task(task).status is TaskStatus.EXPIRED
    assert world.state.chain().tasks == ()
    assert world.account(world.client).balance - before == 18 * POT


def test_miner_in_time_stops_the_clock_for_good() -> None:
    world, task = waiting_world(with_audits(1, miner_deadline=20))
    world.silent = lambda _node, _action: False
    world.run_until(lambda: 0 in world.task(task).open_rounds)
    assert world.task(task).waiting == 0
    world.run_until(lambda: world.task(task).status is TaskStatus.FINISHED)


def test_offer_that_no_task_meets_keeps_no_task() -> None:
    world = build_world(change=with_audits(1, miner_deadline=DEADLINE))
    world.run(4)
    dear = [said_again(world, rig, lowest_price=Amount(10 * POT)) for rig in world.miners]
    world.block(*dear)
    task = world.submit()
    world.run_until(lambda: world.task(task).status is TaskStatus.EXPIRED)


def test_miner_leased_once_is_drawn_in_later_rounds_without_waiting() -> None:
    world = build_world()
    world.run(4)
    task = world.submit(replace(RULES, rounds=replace(RULES.rounds, rounds=2)))
    changed = [world.miner(rig).changed for rig in world.miners]
    world.run_until(lambda: 1 in world.task(task).open_rounds)
    assert [world.miner(rig).changed for rig in world.miners] == changed
    rows = world.state.round(task, Round(1)).leases
    assert {row.miner for row in rows} == {rig.node_id for rig in world.miners}


def test_stranger_registered_twice_needs_another_stamp() -> None:
    world, _ = waiting_world(unchanged)
    rig = world.miners[0]
    first = world.registration(rig)
    assert isinstance(first, RegisterMiner)
    assert first.stamp > NO_STAMP
    world.block(world.free(rig, first))
    assert world.refusal(world.free(rig, first)) is not None
