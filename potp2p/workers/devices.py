"""Which devices this machine has, asked of a short-lived process: torch stays out of ours."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import trio

from potp2p.foundation.errors import OperatingError
from potp2p.foundation.limits import WORKER_START_SECONDS
from potp2p.workers.process import worker_environment

CPU: Final = "cpu"
DRIVERS: Final = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""Without one of these torch finds the CPU alone, and the question need not be asked."""
DEVICES_MAX: Final = 64
TEXT_MAX: Final = 128


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """One device under the name that torch gives it."""

    device: str
    name: str
    memory_bytes: int


async def discover_names() -> tuple[str, ...]:
    """Return the names of the devices to mine with: every accelerator, else the CPU."""
    if not _has_accelerator():
        return (CPU,)
    found = tuple(facts.device for facts in await discover() if facts.device != CPU)
    return found or (CPU,)


async def discover() -> tuple[DeviceFacts, ...]:
    """Ask torch in a child process what it finds; the CPU is always the last."""
    command = [sys.executable, "-m", "potp2p.training.devices"]
    try:
        with trio.fail_after(WORKER_START_SECONDS):
            done = await trio.run_process(
                command, capture_stdout=True, stdin=b"", env=worker_environment()
            )
    except (OSError, subprocess.CalledProcessError, trio.TooSlowError) as error:
        raise OperatingError(f"cannot ask for devices: {error}") from error
    return parse_devices(done.stdout)


def _has_accelerator() -> bool:
    return any(Path(driver).exists() for driver in DRIVERS)


def parse_devices(line: bytes) -> tuple[DeviceFacts, ...]:
    """Read the JSON line of `potp2p.training.devices`."""
    try:
        listed: object = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise OperatingError("the list of devices is not JSON") from error
    if not isinstance(listed, list) or not 0 < len(listed) <= DEVICES_MAX:
        raise OperatingError("the list of devices is not a list")
    return tuple(_device(entry) for entry in listed)


def _device(entry: object) -> DeviceFacts:
    table = cast("dict[str, object]", entry) if isinstance(entry, dict) else {}
    device, name, memory = (table.get(key) for key in ("device", "name", "memory_bytes"))
    if not isinstance(device, str) or not isinstance(name, str) or type(memory) is not int:
        raise OperatingError("the list of devices has an odd entry")
    return DeviceFacts(device[:TEXT_MAX], name[:TEXT_MAX], memory)
