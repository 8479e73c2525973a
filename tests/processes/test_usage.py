"""What the kernel tells about processes, checked with processes whose use is known."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from potp2p.foundation.errors import OperatingError
from potp2p.processes.usage import (
    command_of,
    cpu_seconds,
    family_of,
    memory_of,
    proportional_bytes,
)

BYTES = 40_000_000


@contextmanager
def running(program: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until it says that it is ready; end it afterwards."""
    ending = "\nprint('ready', flush=True)\nimport sys; sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program + ending, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
        process.kill()


@pytest.fixture
def gone() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_bytes_of_its_own_count_as_anonymous() -> None:
    with running("") as small, running(f"kept = b'x' * {BYTES}") as large:
        difference = memory_of(large.pid).anonymous - memory_of(small.pid).anonymous

    assert BYTES * 0.95 < difference < BYTES * 1.1


def test_shared_memory_counts_as_own() -> None:
    program = f"import mmap; kept = mmap.mmap(-1, {BYTES}); kept.write(b'x' * {BYTES})"
    with running(program) as process:
        memory = memory_of(process.pid)

    assert memory.shared >= BYTES
    assert memory.own == memory.anonymous + memory.shared


def test_mapped_file_counts_as_resident_and_not_as_own(tmp_path: Path) -> None:
    path = tmp_path / "database"
    path.write_bytes(b"x" * BYTES)
    program = (
        "import mmap, sys; file = open(sys.argv[1], 'rb'); "
        "kept = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ); sum(kept[::4096])"
    )
    with running(program, str(path)) as process:
        memory = memory_of(process.pid)

    assert memory.resident >= BYTES
    assert memory.own < BYTES


def test_shares_of_a_page_add_up_to_the_page() -> None:
    program = (
        f"import os; kept = b'x' * {BYTES}; child = os.fork()\n"
        "if not child:\n import signal; signal.pause()\n"
    )
    with running(program) as process:
        family = family_of(process.pid)
        sizes = [proportional_bytes(pid) for pid in family]
        for pid in family[1:]:
            os.kill(pid, 9)

    assert len(family) == 2
    assert BYTES < sum(sizes) < 1.8 * BYTES


def test_processor_time_is_its_own_and_not_that_of_its_children() -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass\n"
    with running(burn) as busy:
        spent = cpu_seconds(busy.pid)
    with running(
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
    ) as idle:
        parent = cpu_seconds(idle.pid)

    assert spent >= 0.3 - 2 / os.sysconf("SC_CLK_TCK")
    assert parent < 0.3


def test_name_that_imitates_the_fields_is_read_over() -> None:
    program = "open('/proc/self/comm', 'w').write(') Z 1 (x')"
    with running(program) as process:
        assert family_of(process.pid) == (process.pid,)
        assert process.pid in family_of(os.getpid())
        assert cpu_seconds(process.pid) < 60


def test_family_holds_the_children_of_children() -> None:
    inner = "import sys; print('up', flush=True); sys.stdin.read()"
    program = (
        "import subprocess, sys\n"
        f"kept = subprocess.Popen([sys.executable, '-c', {inner!r}], stdin=subprocess.PIPE,"
        " stdout=subprocess.PIPE, start_new_session=True)\nkept.stdout.readline()"
    )
    with running(program) as process:
        family = family_of(os.getpid())
        _, grandchild = family_of(process.pid)

        assert {process.pid, grandchild} < set(family)
        assert command_of(grandchild) == (sys.executable, "-c", inner)


def test_ended_process_is_said_to_have_ended(gone: int) -> None:
    for question in (memory_of, proportional_bytes, cpu_seconds):
        with pytest.raises(OperatingError, match=f"^process {gone} has ended$"):
            question(gone)
    assert command_of(gone) == ()
    assert family_of(gone) == (gone,)


def test_dead_process_that_nobody_has_waited_for_uses_nothing_to_tell() -> None:
    with running("") as process:
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

        with pytest.raises(OperatingError, match="has ended"):
            memory_of(process.pid)
