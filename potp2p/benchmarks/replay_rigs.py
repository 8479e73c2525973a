"""
Rigs that a replay is tried on: every device, and a CPU that acts as older ones would.

A CPU has one instruction set, but its libraries take the lesser paths when told to, and those round
as lesser machines do (`reference/verification.md`).
"""

from dataclasses import dataclass, field, replace
from typing import Final

from potp2p.protocol.wire.tasks import TaskRules
from potp2p.workers.devices import CPU, discover


@dataclass(frozen=True, slots=True)
class Rig:
    """One way to compute a lease on this machine."""

    name: str
    device: str
    threads: int = 1
    environment: dict[str, str] = field(default_factory=dict[str, str])

    def rules(self, rules: TaskRules) -> TaskRules:
        """Return rules that ask for this rig's number of threads."""
        return replace(rules, model=replace(rules.model, threads=self.threads))


CPU_RIGS: Final = (
    Rig("cpu", CPU),
    Rig("cpu-2-threads", CPU, threads=2),
    Rig("cpu-aten-avx2", CPU, environment={"ATEN_CPU_CAPABILITY": "avx2"}),
    Rig("cpu-aten-default", CPU, environment={"ATEN_CPU_CAPABILITY": "default"}),
    Rig("cpu-onednn-avx2", CPU, environment={"ONEDNN_MAX_CPU_ISA": "AVX2"}),
    Rig(
        "cpu-avx2-2-threads",
        CPU,
        threads=2,
        environment={"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    ),
    Rig(
        "cpu-oldest",
        CPU,
        environment={
            "ATEN_CPU_CAPABILITY": "default",
            "MKL_CBWR": "COMPATIBLE",
            "NPY_DISABLE_CPU_FEATURES": "AVX512F AVX2 FMA3",
            "ONEDNN_MAX_CPU_ISA": "SSE41",
        },
    ),
)
"""The first computes as a node on this machine does."""


async def rigs_of_this_machine() -> tuple[Rig, ...]:
    """Return the CPU in all its ways and every accelerator."""
    found = [facts.device for facts in await discover()]
    return (*CPU_RIGS, *(Rig(device, device) for device in found if device != CPU))
