"""A network of whole nodes trains a task, pays for it and agrees on everything."""

from pathlib import Path

from trio.testing import MockClock

from potp2p.foundation.types import Height
from potp2p.observability.status import StateCode
from potp2p.protocol.ledger.records import TaskStatus
from potp2p.protocol.wire.blocks import RANK_NONE, Block
from potp2p.protocol.wire.exchange import Role
from potp2p.protocol.wire.schema import decode
from tests.doubles.world import BUDGET, CLIENT_MONEY, FEE, World, key_of, make_rules, open_world

MINERS = ("miner-0", "miner-1", "miner-2")


def balance(world: World, name: str) -> int:
    """Return an account's money as the first validator has it."""
    return world.machines["validator-0"].node.chain.state().account(key_of(name).account).balance


async def test_a_task_is_trained_to_its_end_and_everyone_is_paid(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=3, audit_rate=1_000_000) as world:
        rules = make_rules(rounds=2)
        _, task_id = await world.submit(rules)
        watcher = world.machines["validator-0"]
        chain = watcher.node.chain
        issued = chain.state().chain().issued
        before = {name: balance(world, name) for name in world.machines}

        passed: list[int] = []

        def is_settled() -> bool:
            task = chain.state().task(task_id)
            passed.append(sum(task.passes))
            return task.status is TaskStatus.FINISHED and task.escrow == 0

        await world.until(is_settled, seconds=240)
        await world.height(chain.head.height)
        task = chain.state().task(task_id)
        assert (task.round, len(task.losses), task.open_rounds) == (2, 2, ())
        assert max(passed) == rules.rounds.rounds * rules.rounds.shards_per_round
        assert not task.passes, "a task that is over takes little room"
        earned = {name: balance(world, name) - before[name] for name in world.machines}
        assert all(earned[name] > 0 for name in MINERS)
        assert sum(earned[f"validator-{seat}"] for seat in range(4)) > 0, "auditors are paid"
        spent = CLIENT_MONEY - balance(world, "client")
        assert 0 < spent <= BUDGET + FEE
        assert chain.state().chain().burned > 0
        assert chain.state().chain().issued >= issued
        world.assert_one_history()
        world.assert_money_conserved()
        assert not world.hub.penalties, "nobody was hostile"


async def test_accepted_work_wins_the_right_to_author_blocks(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=2) as world:
        await world.submit(make_rules(rounds=2))
        chain = world.machines["validator-0"].node.chain
        await world.until(lambda: len(chain.prospects.ranking) == 2, seconds=60)
        first = chain.prospects.height
        certificate = chain.prospects.certificate
        assert certificate.total_weight > 0
        await world.height(first + 8)
        ranks = [rank_at(world, height) for height in range(first + 1, first + 8)]
        assert ranks.count(0) >= 5, f"winners were passed over: {ranks}"
        world.assert_one_history()
        world.assert_money_conserved()


async def test_a_miner_that_joins_late_gets_leases_and_is_paid(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=1) as world:
        _, task_id = await world.submit(make_rules(rounds=6))
        chain = world.machines["validator-0"].node.chain
        await world.until(lambda: chain.state().task(task_id).round >= 1)
        late = world.add("miner-late", Role.MINER)
        await world.until(
            lambda: chain.state().task(task_id).status is TaskStatus.FINISHED, seconds=240
        )
        record = chain.state().miner(late.keys.account)
        assert record is not None
        assert (record.accepted > 0, record.missed) == (True, 0)


async def test_every_snapshot_of_a_working_network_is_sane(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=2) as world:
        _, task_id = await world.submit(make_rules(rounds=2))
        chain = world.machines["validator-0"].node.chain
        states: set[StateCode] = set()

        def look() -> bool:
            for machine in world.machines.values():
                status = machine.node.status.snapshot()
                states.add(status.state)
                assert (status.state is StateCode.MINING) or status.reasons
                assert status.chain.height == machine.node.chain.head.height
                assert status.chain.supply > 0
                assert status.chain.block_time is None or status.chain.block_time <= status.time
                assert (status.consensus is None) is (machine.node.consensus is None)
            return chain.state().task(task_id).status is TaskStatus.FINISHED

        await world.until(look, seconds=120)
        assert {StateCode.VALIDATING, StateCode.MINING} <= states


def rank_at(world: World, height: int) -> int | None:
    """Return the author's rank of a block, None for a primary's own."""
    stored = world.machines["validator-0"].store.block(Height(height))
    assert stored is not None
    rank = decode(Block, stored[0]).header.body.rank
    return None if rank == RANK_NONE else rank
