"""The worker process itself: it speaks only frames, and it ends when its parent does."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch

from potp2p.foundation.types import Digest
from potp2p.protocol.wire import schema
from potp2p.training.central import Package, read_rules
from potp2p.training.commands import Command, CommandFrame, Evaluate, Inspect, Replay, Train
from potp2p.training.execution import Executor
from potp2p.training.frames import FrameBuffer, encode_frame
from potp2p.training.reports import (
    Evaluated,
    Failed,
    Inspected,
    Progress,
    Ready,
    Replayed,
    Report,
    ReportFrame,
    Trained,
    Unfit,
)
from potp2p.training.step import StepDone, ignore_progress
from potp2p.training.worker import REPLAY_NICE, Pipe, carry_out
from tests.training.orders import VIT, lease

Process = subprocess.Popen[bytes]


@pytest.fixture
def worker() -> Iterator[Process]:
    process = subprocess.Popen(
        [sys.executable, "-m", "potp2p.training.worker", "--device", "cpu"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()


class Line:
    """Frames with one worker."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self._buffer = FrameBuffer()
        self._frames: list[ReportFrame] = []

    def send(self, body: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(body)

    def command(self, frame: CommandFrame) -> None:
        self.send(encode_frame(schema.encode(frame)))

    def receive(self) -> ReportFrame | None:
        assert self.process.stdout is not None
        while not self._frames:
            received = os.read(self.process.stdout.fileno(), 1 << 16)
            if not received:
                return None
            bodies = self._buffer.feed(received)
            self._frames += [schema.decode(ReportFrame, body) for body in bodies]
        return self._frames.pop(0)

    def answer(self) -> ReportFrame | None:
        while (frame := self.receive()) is not None:
            if not isinstance(frame.report, Progress):
                return frame
        return None


def test_a_worker_answers_faults_with_words_and_lives_until_stdin_closes(
    worker: Process, local_folder: Path
) -> None:
    line = Line(worker)
    ready = line.receive()
    assert ready is not None
    assert ready.number == 0
    assert isinstance(ready.report, Ready)
    rules = read_rules(local_folder)
    names = ("config.json", "initial.safetensors", "evaluation.safetensors")
    model, theta, evaluation = (str(local_folder / name) for name in names)

    line.command(CommandFrame(1, Evaluate(rules, model, "/absent", evaluation)))
    assert line.answer() == ReportFrame(1, Failed("cannot read /absent: No such file or directory"))
    line.command(CommandFrame(2, Evaluate(rules, model, theta, evaluation)))
    done = line.answer()
    assert done is not None
    assert isinstance(done.report, Evaluated)

    # The longest lease there is, so that closing stdin comes in the middle of it.
    shard = str(local_folder / "shards" / "0000.safetensors")
    for number in range(3, 60):
        line.command(
            CommandFrame(number, Train(lease(), rules, model, theta, shard, "/dev/null/none"))
        )
    first = line.receive()
    assert first is not None
    assert isinstance(first.report, Progress)
    assert worker.stdin is not None
    worker.stdin.close()
    assert worker.wait(timeout=120) == 0


def test_a_hostile_package_is_refused_and_the_next_one_is_inspected(
    worker: Process, local_folder: Path, tmp_path: Path
) -> None:
    line = Line(worker)
    assert line.receive() is not None
    rules = read_rules(local_folder)
    theta, evaluation = (
        str(local_folder / name) for name in ("initial.safetensors", "evaluation.safetensors")
    )
    hostile = tmp_path / "config.json"
    shard = str(local_folder / "shards" / "0000.safetensors")

    def inspect(number: int, model: Path) -> Inspected:
        command = Inspect(rules, str(model), theta, (shard,), evaluation, calibrate=True)
        line.command(CommandFrame(number, command))
        begun = line.receive()
        assert begun == ReportFrame(number, Progress(0, 1, None))
        frame = line.answer()
        assert frame is not None
        assert isinstance(frame.report, Inspected)
        return frame.report

    for number, value in enumerate(([], {}, [[]], 3)):
        hostile.write_text(json.dumps({**VIT, "hidden_act": value}))
        fault = inspect(number + 1, hostile).fault
        assert fault is not None
        assert "hidden_act has another type" in fault
    assert inspect(9, local_folder / "config.json").fault is None


@dataclass(slots=True)
class Feeling(Executor):
    """An executor that notes how nice the thread is that it runs in."""

    niceness: list[int] = field(default_factory=list[int])

    def execute(self, command: Command, step_done: StepDone) -> Report:
        self.niceness.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return super(Feeling, self).execute(command, step_done)


@pytest.mark.parametrize("is_audit", [True, False])
def test_only_a_replay_takes_what_training_leaves_and_it_finds_the_same(
    is_audit: bool, local: Package, local_folder: Path, tmp_path: Path
) -> None:
    names = ("config.json", "initial.safetensors", "shards/0000.safetensors")
    model, theta, shard = (str(local_folder / name) for name in names)
    payload = str(tmp_path / "payload")
    train = Train(lease(), local.rules, model, theta, shard, payload)
    replay = Replay(lease(), local.rules, model, theta, shard, payload, Digest(bytes(32)))
    command = replay if is_audit else train
    before = os.getpriority(os.PRIO_PROCESS, 0)
    executor = Feeling(torch.device("cpu"))
    assert isinstance(executor.execute(train, ignore_progress), Trained)
    direct = executor.execute(command, ignore_progress)

    pipe = Pipe(os.open(os.devnull, os.O_WRONLY))
    report = carry_out(executor, CommandFrame(1, command), pipe)
    os.close(pipe.reports_fd)

    assert executor.niceness == [before, before, REPLAY_NICE if is_audit else before]
    assert os.getpriority(os.PRIO_PROCESS, 0) == before
    assert isinstance(report, Trained | Replayed)
    assert isinstance(direct, Trained | Replayed)
    assert replace(report, milliseconds=0) == replace(direct, milliseconds=0)


@pytest.mark.parametrize("garbage", [b"\xff\xff\xff\xff", encode_frame(b"not a command")])
def test_garbage_on_stdin_ends_the_worker_with_one_line(worker: Process, garbage: bytes) -> None:
    Line(worker).send(garbage)
    assert worker.wait(timeout=120) == 1
    assert worker.stderr is not None
    assert worker.stderr.read().decode().count("\n") == 1


def test_a_machine_with_other_arithmetic_says_so_and_ends() -> None:
    code = (
        "from potp2p.training import self_test, worker\n"
        "self_test.verify_arithmetic.__defaults__ = ('00' * 32,)\n"
        "worker.run('cpu')"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    ) as process:
        frame = Line(process).receive()
        assert process.wait(timeout=120) == 1
    assert frame is not None
    assert frame.number == 0
    assert isinstance(frame.report, Unfit)
    assert frame.report.message.startswith("exact arithmetic differs on this machine (")


def test_an_unknown_device_is_one_line() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "potp2p.training.worker", "--device", "tpu:9"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        # Stdin stays open meanwhile: at its end the worker would leave without a word.
        assert process.wait(timeout=120) == 1
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read() == b""
        assert process.stderr.read() == b"worker: no device 'tpu:9' on this machine\n"
