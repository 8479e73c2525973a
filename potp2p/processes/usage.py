"""What processes use, as the kernel tells it in /proc."""

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from potp2p.foundation.errors import OperatingError

PROC: Final = Path("/proc")
_KIB: Final = 1_024
_PARENT, _USER_TICKS, _SYSTEM_TICKS = 1, 11, 12
"""Places in /proc/PID/stat, counted after the name (proc(5): fields 4, 14 and 15)."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of one process that are in memory now."""

    anonymous: int
    shared: int
    """Shared memory, not mapped files."""
    resident: int
    """All of it; mapped files, such as a database, count here."""

    @property
    def own(self) -> int:
        """Return what the process itself asked for, without mapped files."""
        return self.anonymous + self.shared


def memory_of(pid: int) -> Memory:
    """Return a process's memory; OperatingError when it is gone."""
    fields = _fields(pid, "status")
    try:
        return Memory(fields["RssAnon"], fields["RssShmem"], fields["VmRSS"])
    except KeyError as error:
        raise OperatingError(f"process {pid} has ended") from error


def proportional_bytes(pid: int) -> int:
    """Return the PSS: each page counts by its share among the processes that map it."""
    try:
        return _fields(pid, "smaps_rollup")["Pss"]
    except KeyError as error:
        raise OperatingError(f"process {pid} has ended") from error


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process, all threads, without its children."""
    fields = _stat(pid)
    ticks = int(fields[_USER_TICKS]) + int(fields[_SYSTEM_TICKS])
    return ticks / os.sysconf("SC_CLK_TCK")


def family_of(root: int) -> tuple[int, ...]:
    """Return a process and all that descend from it."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                children[int(_stat(int(entry.name))[_PARENT])].append(int(entry.name))
            except OperatingError:
                continue  # it ended while we looked
    family = [root]
    for pid in family:
        family.extend(children[pid])
    return tuple(family)


def command_of(pid: int) -> tuple[str, ...]:
    """Return the command line of a process; empty when it is gone."""
    try:
        content = (PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return ()
    return tuple(part.decode("utf-8", "replace") for part in content.split(b"\0") if part)


def _stat(pid: int) -> list[str]:
    try:
        content = (PROC / str(pid) / "stat").read_text()
    except OSError as error:
        raise OperatingError(f"process {pid} has ended") from error
    # The name may hold anything, spaces and brackets too; the last bracket closes it.
    return content[content.rindex(")") + 1 :].split()


def _fields(pid: int, name: str) -> dict[str, int]:
    """Return the sizes that a file of lines such as `VmRSS:  123 kB` tells, in bytes."""
    try:
        lines = (PROC / str(pid) / name).read_text().splitlines()
    except OSError as error:
        raise OperatingError(f"process {pid} has ended") from error
    sizes = {}
    for line in lines:
        label, _, value = line.partition(":")
        number, _, unit = value.strip().partition(" ")
        if unit == "kB" and number.isdecimal():
            sizes[label] = int(number) * _KIB
    return sizes
