"""
What a node needs that has nothing to do: memory and processor time, without its worker.

A network of real processes with blocks of a public network's length, no task, nobody who asks for
status; an observer beside it, which has no worker at all. The kernel is asked, not the nodes.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

import trio

from potp2p.api.status_client import read_status
from potp2p.benchmarks.machine import Machine
from potp2p.foundation.errors import ConfigurationError, OperatingError, UnreachableError
from potp2p.foundation.limits import DEVNET_MINERS_MAX, DEVNET_VALIDATORS_MAX
from potp2p.observability.representation import decode_document
from potp2p.processes.documents import Document, first_line, parse_document
from potp2p.processes.fleet import Child, Fleet
from potp2p.processes.programs import Programs
from potp2p.processes.usage import Memory, cpu_seconds, memory_of

MEMORY_BYTES_MAX: Final = 150_000_000
CPU_SHARE_MAX: Final = 0.03
BLOCK_MILLISECONDS: Final = 2_000
"""As on the public network (DESIGN section 13)."""
SECONDS_MIN, SECONDS_MAX = 5, 3_600
START_SECONDS: Final = 180.0
SYNC_SECONDS: Final = 60.0
CALM_SECONDS: Final = 20.0
"""From the last start to the first figure: workers load torch and test their device once."""
LOOK_SECONDS: Final = 1.0
ANSWER_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class FootprintPlan:
    """One measurement."""

    seconds: int
    validators: int
    miners: int
    folder: Path
    """Where the nodes live; the caller removes it."""
    calm_seconds: float = CALM_SECONDS
    programs: Programs = field(default_factory=Programs)


@dataclass(slots=True)
class Subject:
    """One measured process."""

    name: str
    role: str
    pid: int
    cpu_before: float = 0.0
    memory: list[Memory] = field(default_factory=list[Memory])


def verify_footprint_plan(plan: FootprintPlan) -> None:
    """Raise ConfigurationError for a measurement that cannot be made."""
    if not SECONDS_MIN <= plan.seconds <= SECONDS_MAX:
        raise ConfigurationError(f"--seconds {plan.seconds}: from {SECONDS_MIN} to {SECONDS_MAX}")
    if not 1 <= plan.validators <= DEVNET_VALIDATORS_MAX:
        raise ConfigurationError(
            f"--validators {plan.validators}: from 1 to {DEVNET_VALIDATORS_MAX}"
        )
    if not 1 <= plan.miners <= DEVNET_MINERS_MAX:
        raise ConfigurationError(f"--miners {plan.miners}: from 1 to {DEVNET_MINERS_MAX}")


async def measure_footprint(plan: FootprintPlan) -> Document:
    """Return the figures; no process stays."""
    machine = Machine.look()
    logs = plan.folder / "logs"
    logs.mkdir(parents=True)
    fleet = Fleet(logs)
    try:
        network = await _start_network(plan, fleet)
        observer = await _start_observer(plan, fleet, network)
        subjects = [*_subjects(network), observer]
        await trio.sleep(plan.calm_seconds)
        return await _measure(plan, machine, subjects)
    finally:
        await fleet.stop()


async def _start_network(plan: FootprintPlan, fleet: Fleet) -> Document:
    arguments: tuple[str, ...] = ("devnet", "--idle", "--ui", "none", "--json")
    arguments += ("--block-milliseconds", str(BLOCK_MILLISECONDS))
    arguments += ("--validators", str(plan.validators), "--miners", str(plan.miners))
    arguments += ("--datadir", str(plan.folder / "network"))
    child = fleet.start("devnet", (*plan.programs.potp2p, *arguments))
    return parse_document((await first_line(child, START_SECONDS)).encode(), "devnet")


async def _start_observer(plan: FootprintPlan, fleet: Fleet, network: Document) -> Subject:
    """Set a node up as a person would, and wait until it has caught up."""
    folder = plan.folder / "observer"
    arguments: tuple[str, ...] = ("init", "--role", "observer", "--name", "observer", "--no-input")
    arguments += ("--bootstrap", str(_part(network, "bootstrap")["address"]))
    arguments += ("--genesis", str(network["genesis"]), "--datadir", str(folder))
    arguments += ("--listen", "/ip4/127.0.0.1/tcp/0")
    setting_up = fleet.start("init", (*plan.programs.potp2p, *arguments))
    if await setting_up.ended() != 0:
        raise OperatingError(f"init: {setting_up.last_words()}")
    fleet.forget(setting_up)
    start = ("start", "--datadir", str(folder), "--ui", "plain")
    child = fleet.start("observer", (*plan.programs.potp2p, *start))
    await _synced(child, folder / "status.sock")
    return Subject("observer", "observer", child.pid)


async def _synced(child: Child, socket: Path) -> None:
    with trio.move_on_after(SYNC_SECONDS):
        while True:
            if child.returncode is not None:
                raise OperatingError(f"{child.name} ended: {child.last_words()}")
            try:
                if (await _sync_of(socket)).get("synced") is True:
                    return
            except UnreachableError:
                pass  # it starts
            await trio.sleep(LOOK_SECONDS)
    raise UnreachableError(f"{child.name} did not catch up within {SYNC_SECONDS:.0f} s")


def _subjects(network: Document) -> list[Subject]:
    nodes = cast("list[Document]", network["nodes"])
    bootstrap = _part(network, "bootstrap")
    return [
        Subject("bootstrap", "bootstrap", cast("int", bootstrap["pid"])),
        *(
            Subject(str(node["name"]), str(node["role"]), cast("int", node["pid"]))
            for node in nodes
        ),
    ]


async def _measure(plan: FootprintPlan, machine: Machine, subjects: list[Subject]) -> Document:
    """Look at every process once a second, and at the height before and after."""
    socket = plan.folder / "observer" / "status.sock"
    height_before = await _height(socket)
    start = trio.current_time()
    for subject in subjects:
        subject.cpu_before = cpu_seconds(subject.pid)
    while trio.current_time() < start + plan.seconds:
        await trio.sleep(LOOK_SECONDS)
        for subject in subjects:
            subject.memory.append(memory_of(subject.pid))
    seconds = trio.current_time() - start
    rows = [_row(subject, seconds) for subject in subjects]
    blocks = await _height(socket) - height_before
    memory_max = max(cast("int", row["own_memory_bytes"]) for row in rows)
    cpu_max = max(cast("float", row["cpu_share"]) for row in rows)
    return {
        "schema": "potp2p.bench-footprint/1",
        "machine": machine.document(),
        "seconds": round(seconds, 1),
        "blocks": blocks,
        "block_milliseconds": BLOCK_MILLISECONDS,
        "processes": rows,
        "own_memory_bytes_max": memory_max,
        "cpu_share_max": cpu_max,
        "targets": {"own_memory_bytes": MEMORY_BYTES_MAX, "cpu_share": CPU_SHARE_MAX},
        "is_within_targets": memory_max <= MEMORY_BYTES_MAX and cpu_max <= CPU_SHARE_MAX,
    }


def _row(subject: Subject, seconds: float) -> Document:
    """Return the most memory seen, and the processor time as a share of one core."""
    cpu = cpu_seconds(subject.pid) - subject.cpu_before
    most = max(subject.memory, key=lambda each: each.own)
    return {
        "name": subject.name,
        "role": subject.role,
        "own_memory_bytes": most.own,
        "anonymous_bytes": most.anonymous,
        "shared_bytes": most.shared,
        "growth_bytes": subject.memory[-1].own - subject.memory[0].own,
        "resident_bytes": max(each.resident for each in subject.memory),
        "cpu_seconds": round(cpu, 2),
        "cpu_share": round(cpu / seconds, 4),
    }


def footprint_lines(document: Document) -> list[str]:
    """Return the figures for a person."""
    lines = [f"{'process':<14} {'own MB':>8} {'resident MB':>12} {'core':>7}"]
    lines += [
        f"{row['name']:<14} {_megabytes(row['own_memory_bytes']):>8}"
        f" {_megabytes(row['resident_bytes']):>12} {cast('float', row['cpu_share']):>7.2%}"
        for row in cast("list[Document]", document["processes"])
    ]
    lines.append(
        f"most           {_megabytes(document['own_memory_bytes_max'])} MB of at most"
        f" {MEMORY_BYTES_MAX / 1e6:.0f}, {cast('float', document['cpu_share_max']):.2%} of a core"
        f" of at most {CPU_SHARE_MAX:.0%}"
    )
    lines.append(f"window         {document['seconds']} s, {document['blocks']} blocks")
    return lines


def _megabytes(size: object) -> str:
    return f"{cast('int', size) / 1e6:.1f}"


async def _height(socket: Path) -> int:
    height = (await _sync_of(socket)).get("height")
    if not isinstance(height, int):
        raise OperatingError("the observer knows no height")
    return height


async def _sync_of(socket: Path) -> Document:
    encoded = await trio.to_thread.run_sync(read_status, socket, ANSWER_SECONDS)
    return _part(decode_document(encoded), "sync")


def _part(document: Document, name: str) -> Document:
    return cast("Document", document[name])
