"""The memory of a whole local network while it trains: summed PSS of all its processes."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

import trio

from potp2p.benchmarks.machine import Machine
from potp2p.benchmarks.training_runs import DevnetRun, report_of, start_run
from potp2p.foundation.errors import ConfigurationError, OperatingError
from potp2p.foundation.limits import DEVNET_MINERS_MAX, DEVNET_VALIDATORS_MAX
from potp2p.processes.documents import Document
from potp2p.processes.fleet import Child, Fleet
from potp2p.processes.programs import Programs
from potp2p.processes.usage import command_of, family_of, proportional_bytes

SUM_BYTES_MAX: Final = 4_000_000_000
LOOK_SECONDS: Final = 0.5
"""Walking the page tables of twenty processes takes the kernel some 100 ms: no more often."""
SEED: Final = 1
_KINDS: Final = (
    ("potp2p.training.worker", "worker"),
    ("potp2p.training", "client"),
    ("bootstrap.main", "bootstrap"),
    ("devnet", "devnet"),
    ("start", "node"),
)
"""What a process is, by the first word found in its command line; all else is the client's."""


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """One measurement."""

    validators: int
    miners: int
    folder: Path
    programs: Programs = field(default_factory=Programs)


@dataclass(slots=True)
class Peak:
    """The moment of the greatest sum so far."""

    total: int = 0
    processes: int = 0
    seconds: float = 0.0
    by_kind: Counter[str] = field(default_factory=Counter[str])
    samples: int = 0

    def take(self, sizes: dict[int, tuple[str, int]], seconds: float) -> None:
        """Count one look; keep it when it is the greatest."""
        self.samples += 1
        total = sum(size for _, size in sizes.values())
        if total <= self.total:
            return
        self.total, self.processes, self.seconds = total, len(sizes), seconds
        self.by_kind = Counter[str]()
        for kind, size in sizes.values():
            self.by_kind[kind] += size


def verify_memory_plan(plan: MemoryPlan) -> None:
    """Raise ConfigurationError for a measurement that cannot be made."""
    if not 1 <= plan.validators <= DEVNET_VALIDATORS_MAX:
        raise ConfigurationError(
            f"--validators {plan.validators}: from 1 to {DEVNET_VALIDATORS_MAX}"
        )
    if not 1 <= plan.miners <= DEVNET_MINERS_MAX:
        raise ConfigurationError(f"--miners {plan.miners}: from 1 to {DEVNET_MINERS_MAX}")


async def measure_memory(plan: MemoryPlan) -> Document:
    """Return the figures; no process stays."""
    machine = Machine.look()
    logs = plan.folder / "logs"
    logs.mkdir(parents=True)
    fleet = Fleet(logs)
    run = DevnetRun(
        "devnet", "local", plan.validators, plan.miners, SEED, None, plan.folder / "network"
    )
    peak = Peak()
    try:
        child = start_run(fleet, plan.programs, run)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_look, child, peak)
            report = await report_of(child)
            nursery.cancel_scope.cancel()
    finally:
        await fleet.stop()
    return {
        "schema": "potp2p.bench-memory/1",
        "machine": machine.document(),
        "validators": plan.validators,
        "miners": plan.miners,
        "seconds": report["seconds"],
        "test_accuracy": report["test_accuracy"],
        "samples": peak.samples,
        "proportional_bytes_max": peak.total,
        "at_seconds": round(peak.seconds, 1),
        "processes": peak.processes,
        "by_kind": dict(peak.by_kind),
        "targets": {"proportional_bytes": SUM_BYTES_MAX},
        "is_within_targets": peak.total <= SUM_BYTES_MAX,
    }


async def _look(child: Child, peak: Peak) -> None:
    start = trio.current_time()
    while True:
        sizes = await trio.to_thread.run_sync(family_sizes, child.pid)
        peak.take(sizes, trio.current_time() - start)
        await trio.sleep(LOOK_SECONDS)


def family_sizes(root: int) -> dict[int, tuple[str, int]]:
    """Return kind and PSS of a process and of all that descend from it."""
    sizes = {}
    for pid in family_of(root):
        try:
            sizes[pid] = (kind_of(command_of(pid)), proportional_bytes(pid))
        except OperatingError:
            continue  # it ended while we looked
    return sizes


def kind_of(command: tuple[str, ...]) -> str:
    """Say what a process of the network is."""
    for word, kind in _KINDS:
        if any(part == word or (word in part and "." in word) for part in command):
            return kind
    return "client"


def memory_lines(document: Document) -> list[str]:
    """Return the figures for a person."""
    kinds = cast("dict[str, int]", document["by_kind"])
    lines = [f"{kind:<10} {size / 1e6:>9.1f} MB" for kind, size in sorted(kinds.items())]
    lines.append(
        f"most       {cast('int', document['proportional_bytes_max']) / 1e6:>9.1f} MB of at most"
        f" {SUM_BYTES_MAX / 1e6:.0f}, {document['processes']} processes,"
        f" {document['at_seconds']} s after the start"
    )
    return lines
