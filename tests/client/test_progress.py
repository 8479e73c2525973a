"""What a person reads about a task beside its status."""

from dataclasses import replace

from potp2p.client.progress import progress_of
from potp2p.protocol.ledger.records import TaskStatus
from potp2p.protocol.ledger.rounds import UNSTABLE_RULINGS_MAX
from tests.doubles.ledger_world import build_world


def test_a_task_that_honest_machines_cannot_agree_on_says_what_to_change() -> None:
    world = build_world()
    world.run(2)
    task = world.submit()
    record = world.task(task)
    assert progress_of(task, record, world.height).reason is None
    warned = progress_of(task, replace(record, unstable=1), world.height)
    assert warned.reason is not None
    assert "1 of 3 rulings void" in warned.reason
    ended = replace(record, unstable=UNSTABLE_RULINGS_MAX, status=TaskStatus.UNSTABLE)
    found = progress_of(task, ended, world.height)
    assert (found.status, found.over) == ("unstable", True)
    assert found.reason is not None
    assert "lower the rate" in found.reason
