"""A network of whole nodes trains a task, pays for it and agrees on everything."""

from pathlib import Path

import trio.testing

from potp2p.protocol.ledger.records import TaskStatus
from tests.doubles.world import make_rules, open_world


async def test_a_task_is_trained_to_its_end_and_paid_for(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    del autojump_clock
    async with open_world(tmp_path, audit_rate=1_000_000) as world:
        _, task_id = await world.submit(make_rules(rounds=2))
        watcher = world.machines["validator-0"]

        def settled() -> bool:
            task = watcher.task(task_id)
            return task is not None and task.status is TaskStatus.FINISHED and task.escrow == 0

        await world.until(settled, seconds=240)
        task = watcher.task(task_id)
        assert task is not None
        assert task.round == 2
        await world.height(watcher.node.chain.head.height)
        world.assert_one_history()
        world.assert_money_conserved()
