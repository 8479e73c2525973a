"""
The worker process: owns one device, takes commands on stdin, answers on stdout, logs on stderr.

`python -m potp2p.training.worker --device cpu`. It dies with its parent: by signal, and because the
reader thread ends the process when stdin closes, even while a command runs.
"""

import argparse
import ctypes
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from potp2p.foundation.errors import OperatingError, PeerError, Potp2pError
from potp2p.foundation.limits import FRAME_BYTES_MAX
from potp2p.foundation.types import MicroNats
from potp2p.protocol.wire import schema
from potp2p.training.commands import Cancel, CommandFrame, Replay
from potp2p.training.faults import COMPUTATION_ERRORS, describe, printable
from potp2p.training.frames import FrameBuffer, encode_frame
from potp2p.training.reports import Failed, Progress, Ready, Report, ReportFrame, Unfit

if TYPE_CHECKING:
    from potp2p.training.execution import Executor

READ_BYTES: Final = 1 << 16
PR_SET_PDEATHSIG: Final = 1
REPLAY_NICE: Final = 19
"""An audit takes what the training of this machine leaves; Linux keeps a niceness per thread."""
HEARTBEAT_SECONDS: Final = 0.2
"""Steps may take a millisecond; a screen needs five reports a second, a supervisor far fewer."""
ENVIRONMENT: Final = {
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}
"""Read by libraries while they load: nothing is fetched, nothing spins, nothing chats."""


class _Cancelled(OperatingError):
    """The supervisor no longer wants the command in hand."""


@dataclass(slots=True)
class Pipe:
    """Frames over the process's own stdin and stdout."""

    reports_fd: int
    commands: "queue.SimpleQueue[CommandFrame]" = field(default_factory=queue.SimpleQueue)
    cancelled: set[int] = field(default_factory=set)
    _last_progress: float = 0.0

    def send(self, number: int, report: Report) -> None:
        """Write one report; a parent that no longer reads ends us."""
        frame = encode_frame(schema.encode(ReportFrame(number, report)))
        try:
            while frame:
                frame = frame[os.write(self.reports_fd, frame) :]
        except BrokenPipeError:
            os._exit(0)

    def announce(self, number: int) -> None:
        """Say that a command is begun, however soon after the last: its caller's clock starts."""
        self._last_progress = 0.0
        self.send_progress(number, 0, 1, None)

    def send_progress(self, number: int, step: int, steps: int, loss: MicroNats | None) -> None:
        """Report a step now and then, and give up where the command was cancelled."""
        if number in self.cancelled:
            raise _Cancelled("cancelled")
        now = time.monotonic()
        if now - self._last_progress >= HEARTBEAT_SECONDS or step == steps:
            self._last_progress = now
            self.send(number, Progress(step, steps, loss))

    def read_commands(self) -> None:
        """Queue commands until stdin closes, then end the process whatever it is doing."""
        buffer = FrameBuffer()
        try:
            while received := os.read(0, READ_BYTES):
                for body in buffer.feed(received):
                    frame = schema.decode(CommandFrame, body, bytes_max=FRAME_BYTES_MAX)
                    if isinstance(frame.command, Cancel):
                        self.cancelled.add(frame.command.number)
                    else:
                        self.commands.put(frame)
        except (OSError, Potp2pError) as error:
            sys.stderr.write(f"worker: {error}\n")
            os._exit(1)
        os._exit(0)


def run(device_name: str) -> None:
    """Load torch, prove the arithmetic, then serve commands until stdin closes."""
    pipe = Pipe(_take_stdout())
    _die_with_parent()
    os.environ.update(ENVIRONMENT)
    threading.Thread(target=pipe.read_commands, daemon=True).start()
    opened = _open(device_name)
    if isinstance(opened, Unfit):
        pipe.send(0, opened)
        sys.exit(1)
    executor, ready, load_library = opened
    pipe.send(0, ready)
    # After the report, so that the node can go on: the first lease is some blocks away.
    load_library()
    while True:
        frame = pipe.commands.get()
        pipe.send(frame.number, carry_out(executor, frame, pipe))
        pipe.cancelled.discard(frame.number)
        _return_memory()


def _open(device_name: str) -> "tuple[Executor, Ready, Callable[[], None]] | Unfit":
    # Imported here and not above: by now nothing that torch prints can reach the frames, and
    # what it reads from the environment is set.
    import torch  # noqa: PLC0415

    from potp2p.training.devices import open_device  # noqa: PLC0415
    from potp2p.training.execution import Executor  # noqa: PLC0415
    from potp2p.training.model import load_library  # noqa: PLC0415
    from potp2p.training.self_test import UnfitError, verify_arithmetic  # noqa: PLC0415

    torch.set_num_interop_threads(1)
    torch.set_num_threads(1)
    device = open_device(device_name)
    try:
        verify_arithmetic()
    except UnfitError as error:
        return Unfit(printable(str(error)))
    ready = Ready(device.device, device.name, device.memory_bytes, torch.__version__)
    return Executor(torch.device(device.device)), ready, load_library


def carry_out(executor: "Executor", frame: CommandFrame, pipe: Pipe) -> Report:
    """Carry out one command; a replay, with what the training of this machine leaves."""
    if not isinstance(frame.command, Replay):
        return _answer(executor, frame, pipe)
    # A niceness once raised stays: it ends with the thread, and with those that torch adds to it.
    with ThreadPoolExecutor(1, initializer=_give_way) as thread:
        return thread.submit(_answer, executor, frame, pipe).result()


def _give_way() -> None:
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), REPLAY_NICE)


def _answer(executor: "Executor", frame: CommandFrame, pipe: Pipe) -> Report:
    def step_done(step: int, steps: int, loss: MicroNats | None) -> None:
        pipe.send_progress(frame.number, step, steps, loss)

    try:
        pipe.announce(frame.number)
        return executor.execute(frame.command, step_done)
    except (PeerError, OperatingError) as error:
        return Failed(printable(str(error)))
    except COMPUTATION_ERRORS as error:
        # A model, its data and its device do not fit, out of memory above all.
        sys.stderr.write(f"worker: {describe(error)}\n")
        return Failed(describe(error))


def _take_stdout() -> int:
    """Keep the pipe for reports and point stdout at stderr, where libraries may print."""
    sys.stdout.flush()
    reports_fd = os.dup(1)
    os.dup2(2, 1)
    return reports_fd


def _die_with_parent() -> None:
    parent = os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def _return_memory() -> None:
    """Give freed pages back to the system: a worker idles longer than it computes."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="potp2p.training.worker")
    parser.add_argument("--device", required=True)
    parser.add_argument("--nice", type=int, default=0, help="give way to other processes")
    arguments = parser.parse_args()
    os.nice(cast("int", arguments.nice))
    try:
        run(cast("str", arguments.device))
    except Potp2pError as error:
        sys.stderr.write(f"worker: {error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
