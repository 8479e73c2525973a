"""A task is found by how its id begins, also when it is over; what is not found is said in full."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
from trio.testing import MockClock

from potp2p.client.session import Client
from potp2p.client.task_names import read_digits, task_of
from potp2p.foundation.errors import ConfigurationError, MissingError
from potp2p.foundation.types import Digest, TaskId
from potp2p.network.ports import StreamProtocol
from potp2p.protocol.ledger.records import TaskStatus
from tests.doubles.world import make_rules, open_world


async def test_a_task_that_is_over_and_paid_is_found_by_its_first_digits(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path) as world:
        client, task = await world.submit(make_rules(rounds=1))
        digits = task.hex()
        assert await task_of(client, read_digits(digits[:8].upper())) == task
        chain = world.machines["validator-0"].node.chain
        await world.until(
            lambda: task not in {*chain.state().chain().tasks, *chain.state().chain().unsettled}
        )
        assert chain.state().task(task).status is TaskStatus.FINISHED
        for length in (1, 8, 63, 64):
            assert await task_of(client, digits[:length]) == task
        wrong = ("0" if digits[0] != "0" else "1") + digits[1:8]
        with pytest.raises(MissingError, match=f"begins with {wrong}, nor one that was ordered"):
            await task_of(client, wrong)
        world.hub.drop = lambda transit: transit.channel is StreamProtocol.BLOCKS
        with pytest.raises(MissingError, match=r"cannot be searched .*: give all 64 digits"):
            await task_of(client, digits[:8])


@pytest.mark.parametrize("text", ["", "xyz", "0x12", "a" * 65, "\u0661"])
def test_what_no_id_can_begin_with_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="hex digits"):
        read_digits(text)


@dataclass
class OpenTasks:
    """A client of a chain that lists tasks, and some of them as unsettled."""

    tasks: tuple[TaskId, ...]
    unsettled: tuple[TaskId, ...]

    async def chain(self) -> "OpenTasks":
        """Return what the chain lists."""
        return self


async def test_digits_that_two_tasks_begin_with_name_neither() -> None:
    one, other = (TaskId(Digest(b"\xab" + bytes([n]) * 31)) for n in (1, 2))
    client = cast("Client", OpenTasks(tasks=(one, other), unsettled=(one,)))
    with pytest.raises(ConfigurationError, match="2 tasks begin with ab: give more digits"):
        await task_of(client, "ab")
    assert await task_of(client, "ab01") == one, "listed twice is one task"
