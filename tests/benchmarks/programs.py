"""Stand-in programs for benchmarks, and how to see that none stays."""

import os
import sys
from pathlib import Path

from potp2p.processes.programs import Programs
from potp2p.processes.usage import command_of

STAND_IN = (sys.executable, "-m", "tests.doubles.bench_programs")
PROGRAMS = Programs(potp2p=(*STAND_IN, "potp2p"), central=(*STAND_IN, "central"))


def running_in(folder: Path) -> list[int]:
    """Return the processes whose command line names a folder."""
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [
        pid
        for pid in pids
        if pid != os.getpid() and any(str(folder) in part for part in command_of(pid))
    ]
