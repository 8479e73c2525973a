"""A replica that fell behind leaves its work to catch-up, journals none of it, and votes again."""

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from potp2p.foundation.types import Height
from potp2p.protocol.wire.blocks import Seal
from potp2p.protocol.wire.schema import decode
from tests.doubles.archives import Stalling, empty_chain
from tests.doubles.world import Machine, World, open_world

AWAY_BLOCKS = 40


def signers(world: World, height: int) -> list[int]:
    """Return whose commits stand in a seal, as the first validator stored it."""
    stored = world.machines["validator-0"].store.block(Height(height))
    assert stored is not None
    return [each.signer for each in decode(Seal, stored[1]).signatures]


async def fall_behind(world: World) -> Machine:
    """Return a validator that was away while the others decided blocks."""
    victim = world.machines["validator-3"]
    await world.height(3, "validator-3")
    victim.kill()
    await world.height(victim.node.chain.head.height + AWAY_BLOCKS, "validator-0")
    return victim


async def votes_again(world: World, seat: int) -> None:
    """Return once a seat's commit stands in a seal."""
    high = world.machines["validator-0"].node.chain.head.height

    def has_signed() -> bool:
        head = world.machines["validator-0"].node.chain.head.height
        return any(seat in signers(world, height) for height in range(high + 1, head + 1))

    await world.until(has_signed)


async def test_a_replica_far_behind_journals_none_of_what_it_missed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=0) as world:
        victim = await fall_behind(world)
        before = victim.journal.order.count("journal")
        missed = world.machines["validator-0"].node.chain.head.height
        world.start(victim)
        await world.height(missed, "validator-3")
        await world.until(lambda: bool(victim.said("caught up from height")))
        syncs = victim.journal.order.count("journal") - before
        assert syncs < AWAY_BLOCKS / 2, "it journaled heights that others had decided"
        await votes_again(world, 3)
        await world.height(missed + 5)
        world.assert_one_history()
        assert not world.hub.penalties


async def test_a_peer_that_stalls_does_not_keep_a_replica_from_voting(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=0) as world:
        await world.height(3)
        chain = empty_chain()
        chain.genesis = world.genesis
        liar = Stalling("stalling", chain, world.hub, claim=Height(1 << 40))
        await world.until(lambda: len(liar.asked) >= 4)
        high = world.machines["validator-0"].node.chain.head.height
        start = trio.current_time()
        await world.height(high + 10)
        assert trio.current_time() - start < 30
        await votes_again(world, 0)
        world.assert_one_history()


@pytest.mark.parametrize("times", [3])
async def test_leaving_without_anything_to_store_resumes_the_same_height(
    times: int, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=0) as world:
        await world.height(3)
        replica = world.machines["validator-1"].node.consensus
        assert replica is not None
        for _ in range(times):
            async with replica.away():
                await trio.sleep(0.2)
        high = world.machines["validator-1"].node.chain.head.height
        await world.height(high + 6)
        await votes_again(world, 1)
        world.assert_one_history()
        assert not world.hub.penalties
