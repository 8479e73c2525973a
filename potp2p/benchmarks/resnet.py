"""
The published test case on a real network: ResNet-50, 100 segments, each processed ten times.

`potp2p bench resnet --rounds 100` is the whole of it, hours on two cores. Every node keeps to a
disk quota far below what all rounds' payloads take together, so a run of more rounds than the
quota holds shows that those of settled rounds go. Energy is an estimate: processor time times a
stated power per core, nothing else of the machine counted.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

import trio

from potp2p.benchmarks.machine import Machine
from potp2p.benchmarks.memory import kind_of
from potp2p.foundation.errors import ConfigurationError, OperatingError
from potp2p.foundation.limits import (
    DEVNET_BLOCK_MILLISECONDS_MAX,
    DEVNET_BLOCK_MILLISECONDS_MIN,
    DEVNET_MINERS_MAX,
    DEVNET_VALIDATORS_MAX,
)
from potp2p.processes.documents import Document, document_of
from potp2p.processes.fleet import Child, Fleet
from potp2p.processes.programs import Programs
from potp2p.processes.usage import command_of, cpu_seconds, family_of, proportional_bytes
from potp2p.settings.task_file import read_rules

EXAMPLE: Final = "images-resnet50"
ROUNDS_WHOLE: Final = 100
SEED_BOUND: Final = 1 << 48
LOOK_SECONDS: Final = 5.0
QUOTA_MIB: Final = 2_048
"""Of each node: package, three checkpoints and the payloads of six rounds not settled yet."""
DATABASE_BYTES: Final = 256 << 20
"""What a node keeps beside blobs: chain, journal, snapshots, logs."""
SECONDS_MAX: Final = 24 * 3_600.0
MEBIBYTE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class ResnetFlags:
    """What a person decides."""

    rounds: int
    validators: int
    miners: int
    block_milliseconds: int
    watts_per_core: float
    seed: int


@dataclass(frozen=True, slots=True)
class ResnetPlan:
    """One run."""

    flags: ResnetFlags
    folder: Path
    example: str = EXAMPLE
    programs: Programs = field(default_factory=Programs)


@dataclass(slots=True)
class Usage:
    """What all processes of the run took so far."""

    memory: dict[str, int] = field(default_factory=lambda: defaultdict[str, int](int))
    """Greatest of a single process, by kind."""
    memory_sum: int = 0
    processor: dict[int, float] = field(default_factory=dict[int, float])
    """Seconds of each process, as last seen."""
    kinds: dict[int, str] = field(default_factory=dict[int, str])
    disk: dict[str, int] = field(default_factory=lambda: defaultdict[str, int](int))
    """High-water mark of each node's folder."""
    looks: int = 0

    def look(self, root: int, network: Path) -> None:
        """Take one look at a process, all that descend from it, and what they wrote."""
        self.looks += 1
        total = 0
        for pid in family_of(root):
            try:
                size, seconds = proportional_bytes(pid), cpu_seconds(pid)
                kind = self.kinds.setdefault(pid, kind_of(command_of(pid)))
            except OperatingError:
                continue  # it ended while we looked
            total += size
            self.memory[kind] = max(self.memory[kind], size)
            self.processor[pid] = seconds
        self.memory_sum = max(self.memory_sum, total)
        for node in network.glob("*/blobs"):
            self.disk[node.parent.name] = max(self.disk[node.parent.name], size_of(node.parent))

    def processor_by_kind(self) -> dict[str, float]:
        """Return processor seconds by kind of process."""
        found: dict[str, float] = defaultdict(float)
        for pid, seconds in self.processor.items():
            found[self.kinds[pid]] += seconds
        return {kind: round(seconds, 1) for kind, seconds in sorted(found.items())}


def verify_resnet_plan(plan: ResnetPlan) -> None:
    """Raise ConfigurationError for a run that cannot be made."""
    bounds = (
        ("--rounds", plan.flags.rounds, 1, ROUNDS_WHOLE),
        ("--validators", plan.flags.validators, 1, DEVNET_VALIDATORS_MAX),
        ("--miners", plan.flags.miners, 1, DEVNET_MINERS_MAX),
        (
            "--block-milliseconds",
            plan.flags.block_milliseconds,
            DEVNET_BLOCK_MILLISECONDS_MIN,
            DEVNET_BLOCK_MILLISECONDS_MAX,
        ),
        ("--seed", plan.flags.seed, 0, SEED_BOUND - 1),
    )
    for flag, value, least, most in bounds:
        if not least <= value <= most:
            raise ConfigurationError(f"{flag} {value}: from {least} to {most}")
    if not plan.flags.watts_per_core > 0:
        raise ConfigurationError(f"--watts-per-core {plan.flags.watts_per_core}: above 0")


async def measure_resnet(plan: ResnetPlan, say: Callable[[str], None]) -> Document:
    """Run the network, look at it now and then, and return the figures; no process stays."""
    machine = Machine.look()
    network, logs = plan.folder / "network", plan.folder / "logs"
    logs.mkdir(parents=True)
    fleet, usage = Fleet(logs), Usage()
    try:
        child = fleet.start(
            "devnet",
            (*plan.programs.potp2p, *_arguments(plan, network)),
            environment={"POTP2P_NODE__DISK_QUOTA_MIB": str(QUOTA_MIB)},
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_look, child, network, usage)
            voice = _Voice(child.errors, say)
            nursery.start_soon(voice.run)
            report = await _report(child)
            nursery.cancel_scope.cancel()
        voice.tell()
        rules = read_rules(network / "package" / "task.toml")
    finally:
        await fleet.stop()
    leases = cast("int", report["rounds"]) * rules.rounds.shards_per_round
    parameters, shards = rules.model.parameters, rules.rounds.shards
    return {
        "schema": "potp2p.bench-resnet/1",
        "machine": machine.document(),
        "example": plan.example,
        "parameters": parameters,
        "segments": shards,
        "rounds": report["rounds"],
        "leases": leases,
        "passes_over_segments": round(leases / shards, 2),
        "validators": plan.flags.validators,
        "miners": plan.flags.miners,
        "evaluation_loss": report["evaluation_loss"],
        "test_accuracy": report["test_accuracy"],
        "seconds": report["seconds"],
        "seconds_per_round": _per_round(report, report["seconds"]),
        **_usage_document(plan, usage, leases * parameters),
        "state_roots_agree": report["roots_agree"],
        "is_within_targets": report["roots_agree"] is True and _is_bounded(usage),
    }


def _usage_document(plan: ResnetPlan, usage: Usage, payload_bytes: int) -> Document:
    processor = usage.processor_by_kind()
    spent = sum(processor.values())
    return {
        "looks": usage.looks,
        "memory_bytes_max": dict(sorted(usage.memory.items())),
        "memory_sum_bytes_max": usage.memory_sum,
        "processor_seconds": processor,
        "energy_estimate": {
            "watts_per_core": plan.flags.watts_per_core,
            "watt_hours": round(spent * plan.flags.watts_per_core / 3_600, 2),
            "is_estimate": "processor seconds times the power stated, nothing else counted",
        },
        "disk_bytes_max": dict(sorted(usage.disk.items())),
        "disk_bound_bytes": QUOTA_MIB * MEBIBYTE + DATABASE_BYTES,
        "payload_bytes_of_all_rounds": payload_bytes,
        "is_disk_bounded": _is_bounded(usage),
    }


def _is_bounded(usage: Usage) -> bool:
    return all(
        size <= QUOTA_MIB * MEBIBYTE + DATABASE_BYTES for size in usage.disk.values()
    ) and bool(usage.disk)


def _per_round(report: Document, seconds: object) -> float:
    assert isinstance(seconds, int | float)
    return round(seconds / max(1, cast("int", report["rounds"])), 1)


def _arguments(plan: ResnetPlan, network: Path) -> tuple[str, ...]:
    arguments = ["devnet", "--example", plan.example, "--mode", "local"]
    arguments += ["--validators", str(plan.flags.validators), "--miners", str(plan.flags.miners)]
    arguments += ["--rounds", str(plan.flags.rounds), "--seed", str(plan.flags.seed)]
    arguments += ["--block-milliseconds", str(plan.flags.block_milliseconds)]
    arguments += ["--datadir", str(network), "--out", str(plan.folder / "model")]
    return (*arguments, "--ui", "plain", "--json")


async def _look(child: Child, network: Path, usage: Usage) -> None:
    while True:
        await trio.to_thread.run_sync(usage.look, child.pid, network)
        await trio.sleep(LOOK_SECONDS)


@dataclass(slots=True)
class _Voice:
    """Hands on what the network says of its rounds: hours pass between the first and the last."""

    path: Path
    say: Callable[[str], None]
    _place: int = 0

    async def run(self) -> None:
        """Look every second; ends by cancellation."""
        while True:
            self.tell()
            await trio.sleep(1)

    def tell(self) -> None:
        """Hand on the whole lines since the last time."""
        with self.path.open("rb") as file:
            file.seek(self._place)
            *lines, _rest = file.read().split(b"\n")
        for line in lines:
            self._place += len(line) + 1
            text = line.decode("utf-8", "replace").strip()
            if "round " in text:
                self.say(text)


async def _report(child: Child) -> Document:
    with trio.move_on_after(SECONDS_MAX):
        if await child.ended() != 0:
            raise OperatingError(f"{child.name}: {child.last_words()}")
        return document_of(child)
    raise OperatingError(f"{child.name} did not end within {SECONDS_MAX / 3_600:.0f} h")


def size_of(folder: Path) -> int:
    """Return the bytes on disk of all files below a folder."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_blocks * 512
        except OSError:
            continue  # it went while we looked
    return total


def resnet_lines(document: Document) -> list[str]:
    """Return the figures for a person."""
    memory = cast("dict[str, int]", document["memory_bytes_max"])
    disk = cast("dict[str, int]", document["disk_bytes_max"])
    energy = cast("Document", document["energy_estimate"])
    losses = cast("list[float]", document["evaluation_loss"])
    bound = "within" if document["is_disk_bounded"] is True else "BEYOND"
    return [
        f"model      {document['parameters']} parameters, {document['segments']} segments, "
        f"{document['passes_over_segments']} passes in {document['rounds']} rounds",
        f"loss       {losses[0]:.4f} -> {losses[-1]:.4f}" if losses else "loss       --",
        f"time       {document['seconds']} s, {document['seconds_per_round']} s a round",
        "memory     most of a process: "
        + ", ".join(f"{kind} {size / 1e6:.0f} MB" for kind, size in memory.items()),
        f"disk       most of a node {max(disk.values(), default=0) / 1e6:.0f} MB, {bound} the "
        f"bound of {cast('int', document['disk_bound_bytes']) / 1e6:.0f}; payloads of all rounds "
        f"{cast('int', document['payload_bytes_of_all_rounds']) / 1e6:.0f} MB",
        f"energy     {energy['watt_hours']} Wh, an estimate at {energy['watts_per_core']} W a core",
    ]
