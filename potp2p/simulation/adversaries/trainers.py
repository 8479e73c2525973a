"""
Real training inside a simulated network: worker processes behind virtual time.

A command goes to a process at once; after a fixed virtual time its caller blocks until the result
is there. What happens in the network so depends on the virtual time alone, while several processes
compute at once. Equal commands of several validators (check, inspect, aggregate) are computed once:
their results are equal by design, and a test compares them elsewhere.
"""

import heapq
import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import trio

from potp2p.foundation.errors import OperatingError
from potp2p.foundation.limits import FRAME_BYTES_MAX
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.wire import schema
from potp2p.training.commands import (
    Aggregate,
    CheckPayload,
    Command,
    CommandFrame,
    Inspect,
    Replay,
    Train,
)
from potp2p.training.frames import FrameBuffer, encode_frame
from potp2p.training.reports import Failed, Progress, Ready, Report, ReportFrame
from potp2p.workers.jobs import PRIORITIES
from potp2p.workers.ports import OnProgress, WorkerFacts, WorkerState
from potp2p.workers.process import worker_command, worker_environment

READ_BYTES: Final = 1 << 16
CPU_CLOCK: Final = 2
"""CPUCLOCK_SCHED of Linux: nanoseconds that a process ran, whichever thread."""
MEMORY_BYTES: Final = 8 << 30
LEASE_SECONDS: Final = 0.6
"""Virtual time of a lease and of its replay."""
AT_ONCE: Final = 2
"""Commands that a node computes at once: its device, and a spare core for audits."""
CHORE_SECONDS: Final = 0.2
"""Virtual time of everything else."""


@dataclass(slots=True)
class Trainer:
    """One worker process, spoken to with blocking pipes."""

    process: "subprocess.Popen[bytes]"
    waiting: int = 0
    """Commands sent and not answered yet."""
    _buffer: FrameBuffer = field(default_factory=FrameBuffer)
    _number: int = 0
    _reports: dict[int, Report] = field(default_factory=dict[int, Report])

    def send(self, command: Command) -> int:
        """Send a command and return its number."""
        self._number += 1
        self.waiting += 1
        assert self.process.stdin is not None
        frame = CommandFrame(self._number, command)
        self.process.stdin.write(encode_frame(schema.encode(frame)))
        self.process.stdin.flush()
        return self._number

    def wait_for(self, number: int) -> Report:
        """Read until a command is answered."""
        while number not in self._reports:
            self._read()
        return self._reports.pop(number)

    def cpu_seconds(self) -> float:
        """Return the processor time that the process has used."""
        return processor_seconds(self.process.pid)

    def _read(self) -> None:
        assert self.process.stdout is not None
        received = os.read(self.process.stdout.fileno(), READ_BYTES)
        if not received:
            raise OperatingError("a training process ended")
        for body in self._buffer.feed(received):
            frame = schema.decode(ReportFrame, body, bytes_max=FRAME_BYTES_MAX)
            if isinstance(frame.report, Progress | Ready):
                continue
            self.waiting -= 1
            self._reports[frame.number] = frame.report


@dataclass(slots=True)
class _Errand:
    """One command on its way, for all who asked for it."""

    trainer: Trainer
    number: int
    report: Report | None = None

    def wait(self) -> Report:
        if self.report is None:
            self.report = self.trainer.wait_for(self.number)
        return self.report


@dataclass(slots=True)
class TrainerPool:
    """Some processes for all nodes of a network."""

    folder: Path
    trainers: tuple[Trainer, ...]
    counts: Counter[str] = field(default_factory=Counter[str])
    """Commands that nodes asked for, by kind: shared ones count for everybody."""
    sample: Replay | None = None
    """The last replay that was asked for, to be timed."""
    _errands: dict[bytes, _Errand] = field(default_factory=dict[bytes, _Errand])

    def begin(self, command: Command) -> "_Errand":
        """Send a command to the process with the least to do; equal ones are sent once."""
        self.counts[type(command).__name__.lower()] += 1
        key = key_of_command(command)
        if key is None:
            return self._send(command)
        if key not in self._errands:
            shared = command
            if isinstance(command, Aggregate):
                shared = replace(command, result=str(self._result(key)))
            self._errands[key] = self._send(shared)
        return self._errands[key]

    def finish(self, command: Command, errand: "_Errand") -> Report:
        """Wait for a result and put it where its caller expects it."""
        report = errand.wait()
        if isinstance(report, Failed):
            raise OperatingError(report.message)
        if isinstance(command, Aggregate):
            key = key_of_command(command)
            assert key is not None
            shutil.copyfile(self._result(key), command.result)
        if isinstance(command, Replay):
            self.sample = command
        return report

    def replay_per_train(self, repeats: int) -> float | None:
        """
        Return what a replay costs, in leases: processor time, whoever else uses the machine.

        None where nothing was replayed. Leases and replays take turns in one process.
        """
        replay = self.sample
        if replay is None:
            return None
        payload = str(self.folder / "timed.payload")
        names = ("lease", "rules", "model", "theta", "shard")
        lease = Train(**{name: getattr(replay, name) for name in names}, payload=payload)
        spent = {Train: 0.0, Replay: 0.0}
        for _ in range(repeats):
            for command in (lease, replay):
                before = self.trainers[0].cpu_seconds()
                self._run_on_first(command)
                spent[type(command)] += self.trainers[0].cpu_seconds() - before
        return round(spent[Replay] / max(spent[Train], 1e-9), 4)

    def _run_on_first(self, command: Command) -> None:
        trainer = self.trainers[0]
        trainer.wait_for(trainer.send(command))

    def _result(self, key: bytes) -> Path:
        return self.folder / f"{key.hex()}.safetensors"

    def _send(self, command: Command) -> _Errand:
        trainer = min(self.trainers, key=lambda each: each.waiting)
        return _Errand(trainer, trainer.send(command))


def processor_seconds(pid: int) -> float:
    """
    Return the processor time of a process: all its threads, those that ended too.

    By Linux's clock id of another process (clock_getcpuclockid(3)): replays run in threads of their
    own, which /proc counts in hundredths of a second only, or not at all.
    """
    return time.clock_gettime((~pid << 3) | CPU_CLOCK)


def key_of_command(command: Command) -> bytes | None:
    """Return what makes two commands the same work; None where each is its own."""
    named: Command
    match command:
        case Aggregate():
            files = (command.theta, *command.payloads, command.evaluation)
            named = replace(command, model="", theta="", payloads=(), result="", evaluation="")
        case CheckPayload():
            files = (command.theta, command.payload)
            named = replace(command, theta="", payload="")
        case Inspect():
            files = (command.model, command.theta, *command.shards, command.evaluation)
            named = replace(command, model="", theta="", shards=(), evaluation="")
        case _:
            return None
    contents = b"".join(sha256(Path(each).read_bytes()) for each in files)
    return sha256(contents + schema.encode(CommandFrame(0, named)))


@contextmanager
def open_trainers(folder: Path, processes: int) -> Iterator[TrainerPool]:
    """Keep processes for as long as the context lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**worker_environment(), "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            worker_command("cpu", 0),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        for _ in range(processes)
    ]
    try:
        yield TrainerPool(folder, tuple(Trainer(each) for each in started))
    finally:
        for process in started:
            process.kill()
            # Reads to the end, closes the pipes and waits.
            process.communicate()


@dataclass(slots=True)
class _Turns:
    """What a device computes at once; what waits goes by priority, then as it came."""

    free: int = AT_ONCE
    _arrivals: int = 0
    _waiting: list[tuple[int, int, trio.Event]] = field(
        default_factory=list[tuple[int, int, trio.Event]]
    )

    @asynccontextmanager
    async def turn(self, priority: int) -> AsyncIterator[None]:
        """Wait for a turn and keep it for as long as the context lasts."""
        await self._take(priority)
        try:
            yield
        finally:
            self._hand_on()

    async def _take(self, priority: int) -> None:
        if self.free:
            self.free -= 1
            return
        self._arrivals += 1
        place = (priority, self._arrivals, trio.Event())
        heapq.heappush(self._waiting, place)
        try:
            await place[2].wait()
        except trio.Cancelled:
            if place in self._waiting:
                self._waiting.remove(place)
                heapq.heapify(self._waiting)
            else:
                self._hand_on()
            raise

    def _hand_on(self) -> None:
        if self._waiting:
            heapq.heappop(self._waiting)[2].set()
        else:
            self.free += 1


@dataclass(slots=True)
class RealWorkers:
    """One device of a simulated node, whose work a real process does."""

    pool: TrainerPool
    memory_bytes: int = MEMORY_BYTES
    _turns: _Turns = field(default_factory=_Turns)

    async def execute(
        self,
        command: Command,
        progress: OnProgress | None = None,
        device: int = 0,
        priority: int | None = None,
    ) -> Report:
        """Carry out one command: virtual time passes, then the result is waited for."""
        del device
        if progress is not None:
            progress(Progress(0, 1, None))
        is_lease = isinstance(command, Train | Replay)
        async with self._turns.turn(PRIORITIES[type(command)] if priority is None else priority):
            errand = self.pool.begin(command)
            await trio.sleep(LEASE_SECONDS if is_lease else CHORE_SECONDS)
            return self.pool.finish(command, errand)

    def facts(self) -> tuple[WorkerFacts, ...]:
        """Return the one device."""
        idle = WorkerState.IDLE
        return (
            WorkerFacts("cpu", "shared", self.memory_bytes, 1, 0, idle, None, 0, None, None, None),
        )
