"""Workers die, hang, lie and babble; callers get an answer or one clear error."""

import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import trio
from trio_typing import TaskStatus

from potp2p.foundation.errors import OperatingError
from potp2p.foundation.limits import REPLAY_YIELDS_MAX
from potp2p.foundation.types import Digest
from potp2p.training.central import read_rules as rules_of
from potp2p.training.commands import Evaluate, Inspect, Replay, Train
from potp2p.training.reports import Evaluated, Progress, Trained
from potp2p.workers.devices import discover_names, parse_devices
from potp2p.workers.ports import WorkerState
from potp2p.workers.supervisor import Limits, UnfitError, Workers
from tests.training.orders import lease, rules

FAKE = Path(__file__).parent / "fake_worker.py"
QUICK = Limits(stall_seconds=100, restarts_max=3, pause_seconds=0.01)
COMMAND = Evaluate(rules(), "model", "theta", "evaluation")
REPLAY = Replay(lease(), rules(), "model", "theta", "shard", "payload", Digest(bytes(32)))
TRAIN = Train(lease(), rules(), "model", "theta", "shard", "payload")


@dataclass(slots=True)
class Rig:
    """Supervised fake workers, with what they logged and how often they started."""

    workers: Workers
    counted: Path
    ending: Path
    """A file whose appearance ends a replay."""
    lines: list[str] = field(default_factory=list[str])

    @property
    def starts(self) -> int:
        return len(self.counted.read_text())

    @property
    def yields(self) -> int:
        return sum("a replay gives way to train" in line for line in self.lines)

    async def replay(self, done: list[str], *, task_status: TaskStatus[None]) -> None:
        """Replay until the end; started once the replay is in hand."""
        progress = [task_status.started]
        # Every run of it is told; only the first is waited for.
        await self.workers.execute(REPLAY, lambda _: progress.pop()() if progress else None)
        done.append("replay")

    async def train(self, done: list[str]) -> None:
        """Train to the end."""
        await self.workers.execute(TRAIN)
        done.append("train")

    async def in_hand(self) -> None:
        """Wait until the replay runs."""
        while self.workers.facts()[0].busy != "replay":  # noqa: ASYNC110  # read, not announced
            await trio.sleep(0.005)


@asynccontextmanager
async def rig(behaviour: str, folder: Path, limits: Limits = QUICK) -> AsyncIterator[Rig]:
    counted, ending = folder / "starts", folder / "ending"
    lines: list[str] = []
    command_line = (sys.executable, str(FAKE), behaviour, str(counted), str(ending))
    workers = Workers(("cpu",), log=lines.append, limits=limits, command_line=command_line)
    async with trio.open_nursery() as nursery:
        await nursery.start(workers.run)
        with trio.fail_after(120):
            yield Rig(workers, counted, ending, lines)
        nursery.cancel_scope.cancel()


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def until(workers: Workers, state: WorkerState) -> None:
    # Facts are read, not announced: a face does no better.
    while workers.facts()[0].state is not state:  # noqa: ASYNC110
        await trio.sleep(0.005)


async def test_a_command_is_answered_and_its_progress_is_heard(tmp_path: Path) -> None:
    heard: list[Progress] = []
    async with rig("honest", tmp_path) as each:
        report = await each.workers.execute(COMMAND, heard.append)
        facts = each.workers.facts()[0]
    assert report == Evaluated(1, None)
    assert heard == [Progress(1, 2, 5)]
    assert (facts.state, facts.name, facts.restarts) == (WorkerState.IDLE, "a fake", 0)


async def test_the_process_ends_with_its_supervisor(tmp_path: Path) -> None:
    async with rig("honest", tmp_path) as each:
        await until(each.workers, WorkerState.IDLE)
        pid = each.workers.facts()[0].pid
        assert pid is not None
        assert is_running(pid)
    assert not is_running(pid)


async def test_a_command_survives_the_death_of_its_worker(tmp_path: Path) -> None:
    async with rig("dies-once", tmp_path) as each:
        assert await each.workers.execute(COMMAND) == Evaluated(2, None)
        assert each.workers.facts()[0].restarts == 1
    assert each.starts == 2
    assert any("exit code 3" in line for line in each.lines)


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("garbage", "the worker sent garbage"),
        ("flood", "worker frame of 2147483648 bytes"),
        ("silent", "the worker was silent for 0.3 s"),
        ("dies", "the worker ended"),
        ("other-number", "the worker answers 10 to 3"),
    ],
)
async def test_a_worker_that_fails_again_and_again_is_an_error_in_the_end(
    behaviour: str, reason: str, tmp_path: Path
) -> None:
    # Only who waits for silence may be impatient: an honest worker is slow on a busy machine.
    limits = replace(QUICK, stall_seconds=0.3) if behaviour == "silent" else QUICK
    async with rig(behaviour, tmp_path, limits) as each:
        with pytest.raises(OperatingError, match=reason):
            await each.workers.execute(COMMAND)
        assert each.workers.facts()[0].restarts == QUICK.attempts_max
    assert each.starts <= QUICK.attempts_max + 1


async def test_restarts_are_bounded_and_callers_are_told_at_once(tmp_path: Path) -> None:
    async with rig("never-ready", tmp_path) as each:
        with pytest.raises(OperatingError, match="ended 4 times and rests"):
            await each.workers.execute(COMMAND)
        assert each.workers.facts()[0].state is WorkerState.FAILED
        with pytest.raises(OperatingError, match="rests"):
            await each.workers.execute(COMMAND)
    assert each.starts == QUICK.restarts_max + 1
    assert "worker: arithmetic differs" in each.lines


async def test_a_machine_with_other_arithmetic_stops_the_node_at_once(tmp_path: Path) -> None:
    with pytest.RaisesGroup(
        pytest.RaisesGroup(pytest.RaisesExc(UnfitError, match="cpu: exact arithmetic differs"))
    ):
        async with rig("unfit", tmp_path) as each:
            await trio.sleep_forever()
    assert each.starts == 1


async def test_a_device_is_tried_again_when_the_window_has_passed(tmp_path: Path) -> None:
    limits = replace(QUICK, restarts_max=1, restart_window_seconds=0.5)
    async with rig("dies", tmp_path, limits) as each:
        with pytest.raises(OperatingError):
            await each.workers.execute(COMMAND)
        await until(each.workers, WorkerState.IDLE)
    assert each.starts >= 3


async def test_a_failed_command_is_an_error_and_the_worker_lives_on(tmp_path: Path) -> None:
    async with rig("fails", tmp_path) as each:
        for _ in range(3):
            with pytest.raises(OperatingError, match="the disk is full"):
                await each.workers.execute(COMMAND)
        assert each.workers.facts()[0].restarts == 0
    assert each.starts == 1


async def test_a_command_that_no_frame_holds_is_refused_without_a_restart(tmp_path: Path) -> None:
    shards = tuple(str(index) * 300 for index in range(4_000))
    command = Inspect(rules(), "model", "theta", shards, "evaluation", calibrate=False)
    async with rig("honest", tmp_path) as each:
        with pytest.raises(OperatingError, match="too many files"):
            await each.workers.execute(command)
        assert each.workers.facts()[0].restarts == 0


async def test_a_cancelled_command_frees_the_device_without_a_restart(tmp_path: Path) -> None:
    async with rig("slow", tmp_path) as each:
        for _ in range(3):
            started = trio.Event()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(each.workers.execute, COMMAND, lambda _: started.set())  # noqa: B023
                await started.wait()
                assert each.workers.facts()[0].busy == "evaluate"
                nursery.cancel_scope.cancel()
            await until(each.workers, WorkerState.IDLE)
        assert each.workers.facts()[0].restarts == 0


async def test_a_worker_that_ignores_its_cancelling_is_ended_and_another_starts(
    tmp_path: Path,
) -> None:
    limits = replace(QUICK, give_up_seconds=0.05)
    async with rig("deaf", tmp_path, limits) as each:
        begun = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(each.workers.execute, COMMAND, lambda _: begun.set())
            await begun.wait()
            nursery.cancel_scope.cancel()
        while not each.workers.facts()[0].restarts:  # noqa: ASYNC110  # read, not announced
            await trio.sleep(0.005)
        await until(each.workers, WorkerState.IDLE)
    assert any("did not give up within 0.05 s" in line for line in each.lines)


async def test_packages_that_end_workers_never_put_the_device_to_rest(tmp_path: Path) -> None:
    command = Inspect(rules(), "model", "theta", ("shard",), "evaluation", calibrate=True)
    async with rig("dies", tmp_path, replace(QUICK, restarts_max=1)) as each:
        for _ in range(2):
            with pytest.raises(OperatingError, match="the worker ended"):
                await each.workers.execute(command)
        await until(each.workers, WorkerState.IDLE)
        assert each.workers.facts()[0].restarts == 2 * QUICK.attempts_max


async def test_a_device_that_never_starts_rests_also_with_a_package_in_hand(tmp_path: Path) -> None:
    command = Inspect(rules(), "model", "theta", ("shard",), "evaluation", calibrate=True)
    async with rig("never-ready", tmp_path) as each:
        with pytest.raises(OperatingError, match="ended 4 times and rests"):
            await each.workers.execute(command)


async def test_training_goes_before_audits_that_came_first(tmp_path: Path) -> None:
    order: list[str] = []

    async def call(workers: Workers, name: str, priority: int) -> None:
        await workers.execute(COMMAND, priority=priority)
        order.append(name)

    async with rig("honest", tmp_path) as each, trio.open_nursery() as nursery:
        # The process is still starting, so all of these wait.
        for index, (name, priority) in enumerate([("audit", 3), ("train", 1), ("check", 0)]):
            nursery.start_soon(call, each.workers, name, priority)
            while each.workers.facts()[0].queued <= index:
                await trio.lowlevel.checkpoint()
    assert order == ["check", "train", "audit"]


async def test_a_replay_in_hand_gives_way_to_training_and_begins_again(tmp_path: Path) -> None:
    done: list[str] = []
    async with rig("replays", tmp_path) as each, trio.open_nursery() as nursery:
        await nursery.start(each.replay, done)
        await each.workers.execute(TRAIN)
        done.append("train")
        assert each.yields == 1
        await each.in_hand()
        each.ending.touch()
    assert done == ["train", "replay"]
    assert each.starts == 1
    assert each.workers.facts()[0].restarts == 0


async def test_a_replay_gives_way_only_so_often(tmp_path: Path) -> None:
    done: list[str] = []
    async with rig("replays", tmp_path) as each, trio.open_nursery() as nursery:
        await nursery.start(each.replay, done)
        for _ in range(REPLAY_YIELDS_MAX):
            await each.train(done)
            await each.in_hand()
        nursery.start_soon(each.train, done)
        while not each.workers.facts()[0].queued:
            await trio.lowlevel.checkpoint()
        each.ending.touch()
    assert done == ["train"] * REPLAY_YIELDS_MAX + ["replay", "train"]
    assert each.yields == REPLAY_YIELDS_MAX


async def test_a_replay_that_was_given_up_while_it_gave_way_never_comes_back(
    tmp_path: Path,
) -> None:
    done: list[str] = []
    async with rig("replays", tmp_path) as each:
        async with trio.open_nursery() as nursery:
            await nursery.start(each.replay, done)
            await each.workers.execute(TRAIN)
            nursery.cancel_scope.cancel()
        assert await each.workers.execute(COMMAND) == Evaluated(1, None)
        await until(each.workers, WorkerState.IDLE)
    assert done == []


async def test_a_long_step_is_waited_for_and_a_replay_that_ends_with_it_counts(
    tmp_path: Path,
) -> None:
    done: list[str] = []
    async with (
        rig("replays-on", tmp_path, replace(QUICK, give_up_seconds=0.01)) as each,
        trio.open_nursery() as nursery,
    ):
        await nursery.start(each.replay, done)
        nursery.start_soon(each.train, done)
        while not each.yields:
            await trio.lowlevel.checkpoint()
        await trio.sleep(0.2)  # a process that is ended for its silence would be gone by now
        each.ending.touch()
    assert done == ["replay", "train"]
    assert each.starts == 1


async def test_a_worker_that_dies_of_giving_way_neither_loses_the_replay_nor_its_standing(
    tmp_path: Path,
) -> None:
    done: list[str] = []
    limits = replace(QUICK, restarts_max=0, attempts_max=1)
    async with (
        rig("dies-when-cancelled", tmp_path, limits) as each,
        trio.open_nursery() as nursery,
    ):
        await nursery.start(each.replay, done)
        await each.workers.execute(TRAIN)
        done.append("train")
        await each.in_hand()
        each.ending.touch()
    assert done == ["train", "replay"]
    assert each.starts == 2


async def test_a_cancelled_caller_in_the_queue_is_passed_over(tmp_path: Path) -> None:
    async with rig("honest", tmp_path) as each:
        with trio.move_on_after(0):
            await each.workers.execute(COMMAND)
        heard: list[Progress] = []
        assert await each.workers.execute(COMMAND, heard.append) == Evaluated(1, None)
        assert len(heard) == 1


async def test_killing_a_real_worker_in_a_lease_does_not_lose_the_lease(
    local_folder: Path, tmp_path: Path
) -> None:
    workers = Workers(("cpu",), nice=5)
    rule = rules_of(local_folder)
    command = Train(
        lease(),
        rule,
        str(local_folder / "config.json"),
        str(local_folder / "initial.safetensors"),
        str(local_folder / "shards" / "0000.safetensors"),
        str(tmp_path / "payload"),
    )
    killed: list[int] = []

    def kill_once(_progress: Progress) -> None:
        pid = workers.facts()[0].pid
        if not killed and pid is not None:
            killed.append(pid)
            os.kill(pid, signal.SIGKILL)

    async with trio.open_nursery() as nursery:
        await nursery.start(workers.run)
        with trio.fail_after(300):
            report = await workers.execute(command, kill_once)
        assert workers.facts()[0].restarts == 1
        nursery.cancel_scope.cancel()
    assert isinstance(report, Trained)
    assert killed
    assert (tmp_path / "payload").stat().st_size > rule.model.parameters


async def test_some_device_is_found() -> None:
    names = await discover_names()
    assert names
    assert all(name == "cpu" or name.startswith("cuda:") for name in names)


@pytest.mark.parametrize(
    "line", [b"", b"{}", b"[]", b"[1]", b'[{"device": "cpu"}]', b"[" + b"{}," * 99 + b"{}]"]
)
def test_an_odd_list_of_devices_is_refused(line: bytes) -> None:
    with pytest.raises(OperatingError, match="list of devices"):
        parse_devices(line)
