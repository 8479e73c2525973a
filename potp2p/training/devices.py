"""
Devices that torch finds here, and the switches that make it repeatable.

`python -m potp2p.training.devices` prints one JSON line, so that a node can learn what a machine
has without loading torch into its own process.
"""

import json
import os
import platform
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import torch

from potp2p.foundation.errors import ConfigurationError

CPU: Final = "cpu"


@dataclass(frozen=True, slots=True)
class Device:
    """One device under the name that torch gives it."""

    device: str
    name: str
    memory_bytes: int


def discover() -> tuple[Device, ...]:
    """List CUDA devices, then the CPU, which is always one."""
    found: list[Device] = []
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            found.append(Device(f"cuda:{index}", properties.name, properties.total_memory))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return (*found, Device(CPU, _processor_name(), memory))


def open_device(name: str) -> Device:
    """Find a device by its torch name and make everything on it repeatable."""
    for device in discover():
        if device.device == name:
            make_deterministic()
            return device
    raise ConfigurationError(f"no device {name!r} on this machine")


def make_deterministic() -> None:
    """Switch off every freedom that changes results from run to run (DESIGN section 7)."""
    # What torch.use_deterministic_algorithms calls, without the compiler that it loads to tell it
    # the same: 68 MB and 800 modules in every worker.
    torch._C._set_deterministic_algorithms(True)  # noqa: FBT003
    assert torch.are_deterministic_algorithms_enabled()
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    torch.set_flush_denormal(False)  # takes no keyword


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return (names[0] if names else platform.machine())[:100]


if __name__ == "__main__":
    sys.stdout.write(json.dumps([asdict(device) for device in discover()]) + "\n")
