"""The dashboard on a real pseudo-terminal: keys, restored modes, what stays behind."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator

import pytest

SECONDS = 120

PROGRAM = """
import signal
import trio
from potp2p.ui.dashboard import run_dashboard
from tests.doubles.status import miner_status
# A shell that runs the tests in the background has its children ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
trio.run(lambda: run_dashboard(miner_status, restart_command="potp2p start"))
"""


class Terminal:
    """A program on a pseudo-terminal of 80x24."""

    def __init__(self) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.seen = b""
        environment = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": "."}
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            start_new_session=True,
        )

    def read_until(self, wanted: bytes) -> None:
        deadline = time.monotonic() + SECONDS
        os.set_blocking(self.master, False)
        while wanted not in self.seen:
            assert time.monotonic() < deadline, self.seen[-2_000:]
            try:
                self.seen += os.read(self.master, 1 << 16)
            except BlockingIOError:
                time.sleep(0.01)

    def press(self, key: bytes) -> None:
        os.write(self.master, key)

    def end(self) -> int:
        self.read_until(b"again")
        return self.process.wait(SECONDS)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    if terminal.process.poll() is None:
        terminal.process.kill()
        terminal.process.wait()
    os.close(terminal.master)
    os.close(terminal.slave)


def test_q_ends_the_dashboard_and_restores_the_terminal(terminal: Terminal) -> None:
    terminal.read_until(b"MINING")

    terminal.press(b"q")

    assert terminal.end() == 0
    assert terminal.seen.rindex(b"\x1b[?1049l") > terminal.seen.rindex(b"MINING")
    assert terminal.seen.index(b"ran      2d 04:11 as rig-lab") > terminal.seen.rindex(
        b"\x1b[?1049l"
    )
    assert termios.tcgetattr(terminal.slave) == terminal.before


def test_question_mark_opens_help_and_any_key_closes_it(terminal: Terminal) -> None:
    terminal.read_until(b"MINING")
    terminal.press(b"?")
    terminal.read_until(b"the node stops cleanly")
    terminal.seen = b""
    terminal.press(b"x")

    terminal.read_until(b"MINING")


def test_interrupt_restores_the_terminal(terminal: Terminal) -> None:
    terminal.read_until(b"MINING")

    terminal.process.send_signal(2)
    terminal.end()

    assert b"\x1b[?1049l" in terminal.seen
    assert termios.tcgetattr(terminal.slave) == terminal.before
