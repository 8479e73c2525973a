"""One worker process and its three pipes: start, talk in frames, end."""

import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import trio

import potp2p
from potp2p.foundation.errors import OperatingError, PeerError
from potp2p.foundation.limits import FRAME_BYTES_MAX
from potp2p.protocol.wire import schema
from potp2p.training.commands import CommandFrame
from potp2p.training.frames import FrameBuffer, encode_frame
from potp2p.training.reports import ReportFrame

READ_BYTES: Final = 1 << 16
LOG_LINE_BYTES_MAX: Final = 400
INHERITED: Final = (
    "CUDA_VISIBLE_DEVICES",
    "HOME",
    "LANG",
    "LD_LIBRARY_PATH",
    "PATH",
    "SYSTEMROOT",
    "TMPDIR",
    "VIRTUAL_ENV",
)
FIXED: Final = {
    "MALLOC_ARENA_MAX": "2",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "PYTHONUNBUFFERED": "1",
}
"""Few arenas and no idle BLAS threads: a worker's memory is mostly what libraries hoard."""

Log = Callable[[str], None]


def worker_environment() -> dict[str, str]:
    """Return a clean environment in which this very package is importable."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    paths = getattr(potp2p, "__path__")  # noqa: B009  # a package always has one
    return {**inherited, **FIXED, "PYTHONPATH": str(Path(next(iter(paths))).parent)}


def worker_command(device: str, nice: int) -> tuple[str, ...]:
    """Return the command line of a device's worker."""
    module = "potp2p.training.worker"
    return (sys.executable, "-m", module, "--device", device, "--nice", str(nice))


@dataclass(slots=True)
class WorkerProcess:
    """A running worker; every failure to talk with it is an OperatingError."""

    popen: "subprocess.Popen[bytes]"
    _stdin: trio.lowlevel.FdStream
    _stdout: trio.lowlevel.FdStream
    _stderr: trio.lowlevel.FdStream
    _buffer: FrameBuffer = field(default_factory=FrameBuffer)
    _received: deque[ReportFrame] = field(default_factory=deque[ReportFrame])

    @classmethod
    def start(cls, command: tuple[str, ...], environment: Mapping[str, str]) -> "WorkerProcess":
        """
        Start a process in its own session, so that Ctrl-C in a terminal does not reach it.

        Not through trio, which forks in a helper thread: the kernel would send the worker its
        parent-death signal when that thread ends, and idle threads end after seconds.
        """
        try:
            popen = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(environment),
                start_new_session=True,
                close_fds=True,
                bufsize=0,
            )
        except OSError as error:
            raise OperatingError(f"cannot start a worker: {error.strerror}") from error
        assert popen.stdin is not None
        assert popen.stdout is not None
        assert popen.stderr is not None
        stdin, stdout, stderr = (
            trio.lowlevel.FdStream(os.dup(pipe.fileno()))
            for pipe in (popen.stdin, popen.stdout, popen.stderr)
        )
        for pipe in (popen.stdin, popen.stdout, popen.stderr):
            pipe.close()
        return cls(popen, stdin, stdout, stderr)

    async def send(self, frame: CommandFrame) -> None:
        """Write one command."""
        try:
            await self._stdin.send_all(encode_frame(schema.encode(frame)))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise OperatingError("the worker ended") from error

    async def receive(self) -> ReportFrame:
        """Read the next report."""
        while not self._received:
            try:
                received = await self._stdout.receive_some(READ_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise OperatingError("the worker ended") from error
            if not received:
                raise OperatingError("the worker ended")
            for body in self._buffer.feed(bytes(received)):
                try:
                    report = schema.decode(ReportFrame, body, bytes_max=FRAME_BYTES_MAX)
                except PeerError as error:
                    raise OperatingError(f"the worker sent garbage: {error.detail}") from error
                self._received.append(report)
        return self._received.popleft()

    async def pump_log(self, log: Log) -> None:
        """Hand on what the worker writes to stderr, line by line, until it ends."""
        pending = b""
        while True:
            try:
                received = await self._stderr.receive_some(READ_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            if not received:
                return
            *lines, pending = (pending + bytes(received)).split(b"\n")
            # A line without end must not grow in our memory.
            pending = pending[-LOG_LINE_BYTES_MAX:]
            for line in lines:
                text = line[:LOG_LINE_BYTES_MAX].decode(errors="replace").strip()
                if text:
                    log("".join(each if each.isprintable() else " " for each in text))

    async def end(self) -> int:
        """Kill the process if it still runs and return its exit code; safe when cancelled."""
        with trio.CancelScope(shield=True):
            if self.popen.poll() is None:
                self.popen.kill()
            for stream in (self._stdin, self._stdout, self._stderr):
                await stream.aclose()
            return await trio.to_thread.run_sync(self.popen.wait)
