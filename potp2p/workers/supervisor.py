"""
One worker process per device: started, fed, watched, restarted within a bound.

A worker is ours but not trusted to live. Silence for longer than the stall limit counts as death;
the command in hand runs again on the next process, a few times; a device that ends too often rests
until the restart window has passed, and meanwhile its callers are told at once.

Training is never held up by an audit: a replay in hand gives the device to a lease or to an
aggregation at its next step, and begins again when the device is free. It does so a few times only:
a node whose device is never free for long enough would else miss its audits, which costs its bond.
"""

import heapq
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NoReturn

import trio
from trio_typing import TaskStatus

from potp2p.foundation.errors import OperatingError
from potp2p.foundation.limits import (
    FRAME_BYTES_MAX,
    WORKER_ATTEMPTS_MAX,
    WORKER_GIVE_UP_SECONDS,
    WORKER_QUEUE_MAX,
    WORKER_RESTART_WINDOW_SECONDS,
    WORKER_RESTARTS_MAX,
    WORKER_STALL_SECONDS,
    WORKER_START_SECONDS,
)
from potp2p.protocol.wire import schema
from potp2p.training.commands import Cancel, Command, CommandFrame, Inspect
from potp2p.training.reports import Failed, Progress, Ready, Report, ReportFrame, Unfit
from potp2p.workers.jobs import PRIORITIES, Job
from potp2p.workers.ports import OnProgress, WorkerFacts, WorkerState
from potp2p.workers.process import Log, WorkerProcess, worker_command, worker_environment

PAUSE_SECONDS_MAX: Final = 8.0
COMMAND_BYTES_MAX: Final = FRAME_BYTES_MAX - 64
"""What a frame leaves for a command beside its number and kind."""
WORKER_NICE: Final = 10
"""Training gives way to the votes and blocks of the same machine: those have deadlines in ms."""


class UnfitError(OperatingError):
    """The machine computes other bits than all others: no node may run on it."""


def _no_log(_line: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a worker may take and how often it may end; tests use smaller numbers."""

    start_seconds: float = WORKER_START_SECONDS
    stall_seconds: float = WORKER_STALL_SECONDS
    give_up_seconds: float = WORKER_GIVE_UP_SECONDS
    restarts_max: int = WORKER_RESTARTS_MAX
    restart_window_seconds: float = WORKER_RESTART_WINDOW_SECONDS
    attempts_max: int = WORKER_ATTEMPTS_MAX
    pause_seconds: float = 0.5
    """Before the second restart in a row; doubles up to `PAUSE_SECONDS_MAX`."""


@dataclass(slots=True)
class _Device:
    """Queue and process of one device."""

    name: str
    command_line: tuple[str, ...]
    environment: Mapping[str, str]
    limits: Limits
    log: Log
    state: WorkerState = WorkerState.STARTING
    ready: Ready | None = None
    pid: int | None = None
    restarts: int = 0
    busy: Job | None = None
    last: Progress | None = None
    started_at: float = 0.0
    _queue: list[tuple[int, int, Job]] = field(default_factory=list[tuple[int, int, Job]])
    _arrivals: int = 0
    _arrived: trio.Event = field(default_factory=trio.Event)
    _number: int = 0
    _ended_at: deque[float] = field(default_factory=deque[float])

    def push(self, job: Job) -> None:
        if self.state is WorkerState.FAILED:
            raise OperatingError(f"worker {self.name} ended {self.restarts} times and rests")
        if len(self._queue) >= WORKER_QUEUE_MAX:
            raise OperatingError(f"worker {self.name} has {WORKER_QUEUE_MAX} commands waiting")
        self._arrivals += 1
        job.arrival = self._arrivals
        heapq.heappush(self._queue, (job.priority, job.arrival, job))
        self._arrived.set()
        if self.busy is not None and self.busy.give_way_to(job):
            self.log(f"worker {self.name}: a replay gives way to {job.name}")

    async def run(self) -> NoReturn:
        """Keep one process running for this device; ends by cancellation."""
        while True:
            fault = await self._run_process()
            if isinstance(fault, UnfitError):
                # No restart mends it, and whatever we posted would be wrong.
                raise fault
            self.restarts += 1
            if not self._is_ended_by_others():
                self._ended_at.append(trio.current_time())
            self.log(f"worker {self.name}: {fault}; restart {self.restarts}")
            self._retry(fault)
            await self._pause()

    async def _run_process(self) -> OperatingError:
        """Start a process and feed it until it fails; return how it failed."""
        self.state, self.ready = WorkerState.STARTING, None
        try:
            process = WorkerProcess.start(self.command_line, self.environment)
        except OperatingError as error:
            return error
        self.pid = process.popen.pid
        fault: OperatingError | None = None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(process.pump_log, self.log)
                try:
                    await self._feed(process)
                except OperatingError as error:
                    fault = error
                nursery.cancel_scope.cancel()
        finally:
            exit_code = await process.end()
            self.pid, self.last = None, None
            self.state = WorkerState.WAITING
        assert fault is not None, "feeding ends only by a fault"
        if isinstance(fault, UnfitError):
            return fault
        return OperatingError(f"{fault} (exit code {exit_code})")

    async def _feed(self, process: WorkerProcess) -> NoReturn:
        first = await self._receive(process, self.limits.start_seconds)
        if isinstance(first.report, Unfit):
            raise UnfitError(f"worker {self.name}: {first.report.message}")
        if first.number != 0 or not isinstance(first.report, Ready):
            raise OperatingError("the worker did not say that it is ready")
        self.ready = first.report
        while True:
            self.state = WorkerState.IDLE
            job = self.busy or await self._next_job()
            self.busy, self.state = job, WorkerState.BUSY
            outcome = await self._converse(process, job)
            self.busy, self.last = None, None
            if isinstance(outcome, Failed) and job.is_giving_way():
                self._put_back(job)
            else:
                job.finish(outcome)

    def _put_back(self, job: Job) -> None:
        """Let a replay that gave way begin again in its turn; that was no attempt of its own."""
        job.stopped = trio.Event()
        job.attempts -= 1
        heapq.heappush(self._queue, (job.priority, job.arrival, job))

    async def _next_job(self) -> Job:
        while True:
            while self._queue:
                _, _, job = heapq.heappop(self._queue)
                if not job.abandoned.is_set():
                    return job
            self._arrived = trio.Event()
            await self._arrived.wait()

    async def _converse(self, process: WorkerProcess, job: Job) -> Report:
        """Send a command and read reports until the final one."""
        self._number += 1
        number = self._number
        job.attempts += 1
        self.last, self.started_at = None, trio.current_time()
        await process.send(CommandFrame(number, job.command))
        seconds = self.limits.give_up_seconds
        outcome: Report | OperatingError
        # What remains where the nursery is cancelled while the report is awaited.
        outcome = OperatingError(f"the worker did not give up within {seconds:g} s")
        async with trio.open_nursery() as nursery:
            scope = nursery.cancel_scope
            nursery.start_soon(_cancel_when_stopped, process, job, number, seconds, scope)
            # Kept out of the nursery's hands, which would wrap it in a group.
            try:
                outcome = await self._final_report(process, job, number)
            except OperatingError as error:
                outcome = error
            nursery.cancel_scope.cancel()
        if isinstance(outcome, OperatingError):
            raise outcome
        return outcome

    async def _final_report(self, process: WorkerProcess, job: Job, number: int) -> Report:
        while True:
            frame = await self._receive(process, self.limits.stall_seconds)
            if frame.number != number:
                raise OperatingError(f"the worker answers {frame.number} to {number}")
            if not isinstance(frame.report, Progress):
                return frame.report
            self.last = frame.report
            if job.progress is not None and not job.abandoned.is_set():
                job.progress(frame.report)

    async def _receive(self, process: WorkerProcess, seconds: float) -> ReportFrame:
        with trio.move_on_after(seconds):
            return await process.receive()
        raise OperatingError(f"the worker was silent for {seconds:g} s")

    def _is_ended_by_others(self) -> bool:
        """
        Tell whether an end says nothing about the device.

        A stranger's package may end a process that was well, and strangers must not be able to put
        a device to rest; nor does a step that outlasts our patience with what we gave up.
        """
        job = self.busy
        if job is None or self.ready is None:
            return False
        return isinstance(job.command, Inspect) or job.stopped.is_set()

    def _retry(self, fault: OperatingError) -> None:
        """Keep the command in hand for the next process, unless it has had its chances."""
        job = self.busy
        if job is None:
            return
        if job.is_giving_way():
            self._put_back(job)
            self.busy = None
        elif job.abandoned.is_set() or job.attempts >= self.limits.attempts_max:
            job.finish(OperatingError(f"worker {self.name}: {fault}"))
            self.busy = None

    async def _pause(self) -> None:
        window = self.limits.restart_window_seconds
        now = trio.current_time()
        while self._ended_at and now - self._ended_at[0] > window:
            self._ended_at.popleft()
        recent = len(self._ended_at)
        if recent > self.limits.restarts_max:
            self._fail_all()
            await trio.sleep(self._ended_at[0] + window - now)
        elif recent > 1:
            pause = self.limits.pause_seconds * 2 ** min(recent - 2, 16)
            await trio.sleep(min(pause, PAUSE_SECONDS_MAX))

    def _fail_all(self) -> None:
        self.state = WorkerState.FAILED
        fault = OperatingError(f"worker {self.name} ended {self.restarts} times and rests")
        waiting = [job for _, _, job in self._queue]
        self._queue.clear()
        if self.busy is not None:
            waiting.append(self.busy)
            self.busy = None
        for job in waiting:
            job.finish(fault)

    def facts(self) -> WorkerFacts:
        """Return what is known now."""
        ready, last = self.ready, self.last
        rate: float | None = None
        if last is not None and last.step and trio.current_time() > self.started_at:
            rate = last.step / (trio.current_time() - self.started_at)
        return WorkerFacts(
            device=self.name,
            name=ready.name if ready else None,
            memory_bytes=ready.memory_bytes if ready else None,
            pid=self.pid,
            restarts=self.restarts,
            state=self.state,
            busy=self.busy.name if self.busy else None,
            queued=len(self._queue),
            step=last.step if last else None,
            steps=last.steps if last else None,
            steps_per_second=rate,
        )


class Workers:
    """The devices of this node; `run` in a nursery, then `execute` from anywhere."""

    def __init__(  # noqa: PLR0913  # all but the devices have defaults
        self,
        devices: tuple[str, ...],
        *,
        log: Log = _no_log,
        nice: int = WORKER_NICE,
        limits: Limits | None = None,
        command_line: tuple[str, ...] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Take devices by name; an environment is added to the clean one that workers get."""
        assert devices, "a node computes on at least one device"
        environment = {**worker_environment(), **(environment or {})}
        self._devices = tuple(
            _Device(
                name=name,
                command_line=command_line or worker_command(name, nice),
                environment=environment,
                limits=limits or Limits(),
                log=log,
            )
            for name in devices
        )

    async def run(self, *, task_status: TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep one process per device; ends by cancellation, with every process ended."""
        async with trio.open_nursery() as nursery:
            for device in self._devices:
                nursery.start_soon(device.run)
            task_status.started()

    async def execute(
        self,
        command: Command,
        progress: OnProgress | None = None,
        device: int = 0,
        priority: int | None = None,
    ) -> Report:
        """Carry out one command and return its final report; see `ports.Workers`."""
        if len(schema.encode(command)) > COMMAND_BYTES_MAX:
            raise OperatingError(f"{type(command).__name__} names too many files for one frame")
        job = Job(command, progress, PRIORITIES[type(command)] if priority is None else priority)
        self._devices[device].push(job)
        try:
            await job.done.wait()
        finally:
            # Cancelled or done: whoever works on it need not go on.
            job.abandon()
        if job.fault is not None:
            raise job.fault
        assert job.report is not None
        if isinstance(job.report, Failed):
            raise OperatingError(job.report.message)
        return job.report

    def facts(self) -> tuple[WorkerFacts, ...]:
        """Return one entry per device."""
        return tuple(device.facts() for device in self._devices)


async def _cancel_when_stopped(
    process: WorkerProcess, job: Job, number: int, seconds: float, conversation: trio.CancelScope
) -> None:
    """Ask for an end of what is not wanted now; end the conversation where nobody waits for one."""
    await job.stopped.wait()
    try:
        await process.send(CommandFrame(number, Cancel(number)))
    except OperatingError:
        # The reader of reports meets the same end and deals with it.
        return
    # What gives way need not hurry: a process that is ended for it takes longer to come back.
    await job.abandoned.wait()
    await trio.sleep(seconds)
    conversation.cancel()
