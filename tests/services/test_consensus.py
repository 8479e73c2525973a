"""The consensus service over memory and a virtual clock."""

from random import Random

import pytest
import trio
from trio.testing import MockClock

from potp2p.foundation.types import Digest, Height, Rank
from potp2p.protocol.wire.consensus import (
    BlockPush,
    BlockRequest,
    SignedCommit,
    SignedPrepare,
    decode_frame,
)
from tests.doubles.network import MemoryHub, Transit
from tests.doubles.validators import NOTHING, Validator, key_of, make_validators, until


def heights(validators: list[Validator]) -> list[int]:
    """Return how many blocks each validator stores."""
    return [len(validator.chain.blocks) for validator in validators]


def assert_one_chain(validators: list[Validator]) -> None:
    """Compare all stored blocks."""
    chains = [[block for block, _ in validator.chain.blocks] for validator in validators]
    shortest = min(len(chain) for chain in chains)
    assert all(chain[:shortest] == chains[0][:shortest] for chain in chains)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
async def test_validators_decide_one_chain_at_the_block_interval(
    size: int, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    validators = make_validators(size, MemoryHub())
    for validator in validators:
        nursery.start_soon(validator.run)

    await until(lambda: min(heights(validators)) >= 5, seconds=4)

    assert_one_chain(validators)
    assert all(seal.view == 0 for _, seal in validators[0].chain.blocks)
    nursery.cancel_scope.cancel()


async def test_a_lossy_late_network_only_slows_the_chain(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    random = Random(7)

    def drop(transit: Transit) -> bool:
        return random.random() < 0.1

    hub = MemoryHub(drop=drop, delay_seconds=lambda _: random.uniform(0.001, 0.1))
    validators = make_validators(4, hub)
    nursery.start_soon(hub.run)
    for validator in validators:
        nursery.start_soon(validator.run)

    await until(lambda: min(heights(validators)) >= 8, seconds=120)

    assert_one_chain(validators)
    assert not hub.penalties
    nursery.cancel_scope.cancel()


async def test_one_of_four_is_killed_and_votes_again_after_restart(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    hub = MemoryHub(delay_seconds=lambda _: 0.005)
    validators = make_validators(4, hub)
    nursery.start_soon(hub.run)
    for validator in validators:
        nursery.start_soon(validator.run)
    await until(lambda: min(heights(validators)) >= 3)

    victim = validators[2]
    victim.kill()
    await until(lambda: min(heights(validators[:2])) >= 7)
    # Catch-up is another service; it hands over what the others sealed.
    victim.boot()
    nursery.start_soon(victim.run)
    while len(victim.chain.blocks) < len(validators[0].chain.blocks):
        block, seal = validators[0].chain.blocks[len(victim.chain.blocks)]
        await victim.service.adopt(block, seal)
    start = len(validators[0].chain.blocks)
    await until(lambda: min(heights(validators)) >= start + 4)

    assert_one_chain(validators)
    recent = [seal for _, seal in validators[0].chain.blocks[start + 1 :]]
    assert any(victim.index in {each.signer for each in seal.signatures} for seal in recent)
    assert not hub.penalties
    nursery.cancel_scope.cancel()


async def test_dead_primary_costs_one_view_and_not_the_chain(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    validators = make_validators(4, MemoryHub(delay_seconds=lambda _: 0.005))
    nursery.start_soon(validators[0].hub.run)
    for validator in validators[:3]:
        nursery.start_soon(validator.run)

    await until(lambda: min(heights(validators[:3])) >= 5, seconds=8)

    views = [seal.view for _, seal in validators[0].chain.blocks[:4]]
    assert views == [0, 0, 1, 0]
    nursery.cancel_scope.cancel()


async def test_primary_that_never_chooses_loses_its_view(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    validators = make_validators(4, MemoryHub())
    validators[1].chain.never_chooses = True
    for validator in validators:
        nursery.start_soon(validator.run)

    await until(lambda: min(heights(validators)) >= 1, seconds=4)

    block, seal = validators[0].chain.blocks[0]
    assert (seal.view, block.header.frame.primary, block.header.frame.view) == (1, 2, 1)
    nursery.cancel_scope.cancel()


async def test_block_that_does_not_reproduce_the_state_is_not_decided(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    validators = make_validators(4, MemoryHub())
    validators[1].chain.state_root = Digest(b"\x01" * 32)
    for validator in validators:
        nursery.start_soon(validator.run)

    await until(lambda: min(heights(validators)) >= 4, seconds=10)

    roots = {block.header.body.state_root for block, _ in validators[0].chain.blocks}
    assert roots == {NOTHING}
    nursery.cancel_scope.cancel()


async def test_worse_body_than_one_heard_in_time_loses_the_view(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    validators = make_validators(4, MemoryHub())
    for validator in validators[2:]:
        validator.chain.rank = Rank(0)
    for validator in validators:
        nursery.start_soon(validator.run)
    await trio.sleep(0.1)
    for validator in validators:
        await validator.service.hear_body(Height(1), Rank(0))

    await until(lambda: min(heights(validators)) >= 1, seconds=5)

    block, seal = validators[0].chain.blocks[0]
    assert (seal.view, block.header.body.rank) == (1, 0)
    nursery.cancel_scope.cancel()


async def test_withheld_block_is_pulled_by_hash(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """The primary hands its block to one validator only; the others get it from that one."""
    asked: list[Transit] = []

    def drop(transit: Transit) -> bool:
        frame = decode_frame(transit.body)
        if isinstance(frame, BlockRequest):
            asked.append(transit)
        from_primary = transit.sender == key_of(1).node_id
        return (
            isinstance(frame, BlockPush) and from_primary and transit.receiver != key_of(0).node_id
        )

    hub = MemoryHub(drop=drop, delay_seconds=lambda _: 0.005)
    validators = make_validators(4, hub)
    nursery.start_soon(hub.run)
    for validator in validators:
        nursery.start_soon(validator.run)

    await until(lambda: min(heights(validators)) >= 2, seconds=12)

    assert asked
    assert_one_chain(validators)
    nursery.cancel_scope.cancel()


async def test_healthy_committee_pulls_nothing_and_sends_each_block_once(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    hub = MemoryHub()
    validators = make_validators(4, hub)
    for validator in validators:
        nursery.start_soon(validator.run)
    await until(lambda: min(heights(validators)) >= 5)

    frames = [decode_frame(transit.body) for transit in hub.transits]
    assert not any(isinstance(frame, BlockRequest) for frame in frames)
    assert sum(isinstance(frame, BlockPush) for frame in frames) == 5 * 3
    nursery.cancel_scope.cancel()


async def test_votes_that_come_before_their_height_wait_for_it(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """One validator hears commits so late that the next proposal comes before its height."""
    late = key_of(3).node_id

    def delay(transit: Transit) -> float:
        is_late = isinstance(decode_frame(transit.body), SignedCommit) and transit.receiver == late
        return 0.8 if is_late else 0.005

    hub = MemoryHub(delay_seconds=delay)
    validators = make_validators(4, hub)
    nursery.start_soon(hub.run)
    for validator in validators:
        nursery.start_soon(validator.run)
    await until(lambda: min(heights(validators)) >= 6, seconds=12)

    prepared = {
        frame.statement.height
        for transit in hub.transits
        if transit.sender == late
        and isinstance(frame := decode_frame(transit.body), SignedPrepare)
        and frame.statement.signer == 3
    }
    assert {2, 3, 4, 5} <= prepared
    nursery.cancel_scope.cancel()


async def test_partition_without_quorum_stops_and_healing_goes_on(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    hub = MemoryHub(delay_seconds=lambda _: 0.005)
    validators = make_validators(4, hub)
    nursery.start_soon(hub.run)
    for validator in validators:
        nursery.start_soon(validator.run)
    await until(lambda: min(heights(validators)) >= 2)
    nodes = [key_of(index).node_id for index in range(4)]
    hub.partition(nodes[:2], nodes[2:])
    await trio.sleep(5)
    stopped = heights(validators)
    await trio.sleep(60)
    assert heights(validators) == stopped

    hub.heal()
    goal = max(stopped) + 3
    for _ in range(20):
        await trio.sleep(1)
        for late in validators:
            best = max((validator.chain.blocks for validator in validators), key=len)
            for block, seal in list(best[len(late.chain.blocks) :]):
                await late.service.adopt(block, seal)

    assert min(heights(validators)) >= goal
    assert_one_chain(validators)
    nursery.cancel_scope.cancel()


async def test_validator_one_height_behind_gets_there_without_catch_up(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """It misses every vote of a height; the seal and the block of its peers bring it along."""
    late_node = key_of(3).node_id
    is_deaf = True

    def drop(transit: Transit) -> bool:
        return is_deaf and late_node in (transit.sender, transit.receiver)

    hub = MemoryHub(drop=drop)
    validators = make_validators(4, hub)
    for validator in validators:
        nursery.start_soon(validator.run)
    await until(lambda: min(heights(validators[:3])) >= 1)
    for validator in validators[:3]:
        validator.chain.never_chooses = True
    await trio.sleep(3)
    assert heights(validators) == [1, 1, 1, 0]
    is_deaf = False

    await until(lambda: heights(validators) == [1, 1, 1, 1], seconds=5)

    assert_one_chain(validators)
    nursery.cancel_scope.cancel()


async def test_adopted_blocks_bring_a_watcher_without_seat_along(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    validators = make_validators(5, MemoryHub(), seats=4)
    for validator in validators:
        nursery.start_soon(validator.run)
    await until(lambda: min(heights(validators[:4])) >= 3)

    watcher = validators[4]
    for block, seal in list(validators[0].chain.blocks):
        await watcher.service.adopt(block, seal)
        await watcher.service.adopt(block, seal)

    assert len(watcher.chain.blocks) >= 3
    status = watcher.service.status()
    assert status is not None
    assert status.seat is None
    nursery.cancel_scope.cancel()


async def test_status_tells_height_votes_and_who_did_not_sign(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    validators = make_validators(4, MemoryHub(delay_seconds=lambda _: 0.005))
    nursery.start_soon(validators[0].hub.run)
    assert validators[0].service.status() is None
    for validator in validators[:3]:
        nursery.start_soon(validator.run)
    await until(lambda: min(heights(validators[:3])) >= 3, seconds=10)

    status = validators[0].service.status()

    assert status is not None
    assert (status.height, status.seat, status.quorum) == (4, 0, 3)
    assert status.missing == (3,)
    assert status.view_changes >= 1
    nursery.cancel_scope.cancel()
