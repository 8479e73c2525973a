"""
How fast validators agree: real processes, libp2p, signatures and synced disks on this machine.

Validators propose their own bodies, since nobody trains, at an interval of zero. A block is final
when a quorum of all seats has stored it; its time begins when its primary sends the proposal. The
processes share this machine's cores with each other and with the load.
"""

import json
import time
from dataclasses import dataclass, field
from typing import Final

import trio

from potp2p.benchmarks.consensus_figures import (
    Notes,
    finality_seconds,
    first_counted,
    first_stored,
    longest_gap,
    percentile,
    submission_seconds,
    throughput,
)
from potp2p.benchmarks.consensus_network import (
    BenchNetwork,
    Validator,
    bench_key,
    start_network,
)
from potp2p.benchmarks.consensus_plan import ConsensusPlan, with_targets
from potp2p.benchmarks.machine import Machine
from potp2p.foundation.errors import OperatingError
from potp2p.foundation.types import Digest, Height
from potp2p.processes.documents import Document, first_line
from potp2p.processes.fleet import Child, Fleet
from potp2p.processes.usage import cpu_seconds, memory_of
from potp2p.protocol.crypto.hashing import sha256
from potp2p.storage.chain import LmdbChainStore
from potp2p.storage.environment import Environment

LOOK_SECONDS: Final = 0.5
LOAD_SECONDS: Final = 180.0
"""Until the load has signed ahead and reached every validator."""
ASSUMED_RATE: Final = 4_000
"""Transactions signed ahead for each second of saturation."""
WINDOW_BLOCKS: Final = 6
WINDOW_MIN, WINDOW_MAX = 300, 3_200
AWAY_SECONDS: Final = 2.0


@dataclass(slots=True)
class _Window:
    """What is known of the measured time."""

    first: int = 0
    last: int = 0
    """Nanoseconds of the machine's clock."""
    cpu: dict[str, float] = field(default_factory=dict[str, float])
    resident: dict[str, int] = field(default_factory=dict[str, int])
    own: dict[str, int] = field(default_factory=dict[str, int])
    lost_at: int | None = None
    lost_seat: int | None = None
    restarted_at: int | None = None


async def measure_consensus(plan: ConsensusPlan) -> Document:
    """Return the figures; no process stays."""
    machine = Machine.look()
    logs = plan.folder / "logs"
    logs.mkdir(parents=True)
    fleet = Fleet(logs)
    network = BenchNetwork(
        plan.folder,
        tuple(
            Validator(seat, bench_key(f"validator-{seat}"), plan.folder / f"validator-{seat + 1}")
            for seat in range(plan.validators)
        ),
        plan.programs,
        fleet,
        plan.transactions_per_block,
        (plan.latency_milliseconds, plan.bandwidth_megabits),
    )
    try:
        await start_network(network)
        # The highest seats die: as good as any, since turns go round.
        for validator in network.validators[plan.validators - plan.dead :]:
            await network.kill(validator)
        load = await _start_load(plan, network) if plan.transactions_per_block else None
        await trio.sleep(plan.warm_up_seconds)
        window = await _watch(plan, network, load)
    finally:
        await fleet.stop()
    return _document(plan, machine, network, load, window)


async def _start_load(plan: ConsensusPlan, network: BenchNetwork) -> Child:
    seconds = plan.seconds + plan.warm_up_seconds
    assumed = plan.rate or ASSUMED_RATE
    document = {
        "chain_id": sha256(network.genesis).hex(),
        "address": network.address,
        "nodes": [each.keys.node_id.hex() for each in network.running],
        "notes": [str(each.outputs[-1]) for each in network.running],
        "ahead": int(assumed * seconds),
        "rate": plan.rate,
        "window": min(max(WINDOW_BLOCKS * plan.transactions_per_block, WINDOW_MIN), WINDOW_MAX),
    }
    path = network.folder / "load.json"
    path.write_text(json.dumps(document))
    load = network.fleet.start("load", (*plan.programs.load, str(path)))
    await first_line(load, LOAD_SECONDS)
    return load


async def _watch(plan: ConsensusPlan, network: BenchNetwork, load: Child | None) -> _Window:
    """Look at every process until the time is over; do in its middle what was asked for."""
    window = _Window(first=time.monotonic_ns())
    processes = {each.name: _pid(each) for each in network.running}
    if load is not None:
        processes["load"] = load.pid
    before = {name: cpu_seconds(pid) for name, pid in processes.items()}
    async with trio.open_nursery() as nursery:
        if plan.lose_primary:
            nursery.start_soon(_lose_primary, plan, network, window, processes)
        if plan.restart:
            nursery.start_soon(_restart, plan, network, window, processes)
        for _ in range(int(plan.seconds / LOOK_SECONDS)):
            await trio.sleep(LOOK_SECONDS)
            for name, pid in processes.items():
                memory = memory_of(pid)
                window.resident[name] = max(memory.resident, window.resident.get(name, 0))
                window.own[name] = max(memory.own, window.own.get(name, 0))
    window.last = time.monotonic_ns()
    window.cpu = {name: cpu_seconds(pid) - before[name] for name, pid in processes.items()}
    # What was noted just now is still to be written.
    await trio.sleep(LOOK_SECONDS)
    return window


def _pid(validator: Validator) -> int:
    assert validator.child is not None
    return validator.child.pid


async def _lose_primary(
    plan: ConsensusPlan, network: BenchNetwork, window: _Window, processes: dict[str, int]
) -> None:
    """Kill whoever proposes next, in the middle of the window."""
    await trio.sleep(plan.seconds / 3)
    notes = _notes(network)
    height = max(notes.finals(), default=0) + 1
    victim = network.validators[height % len(network.validators)]
    if victim.child is None:
        victim = network.running[0]
    processes.pop(victim.name)
    window.lost_seat = victim.seat
    await network.kill(victim)
    window.lost_at = time.monotonic_ns()


async def _restart(
    plan: ConsensusPlan, network: BenchNetwork, window: _Window, processes: dict[str, int]
) -> None:
    """Kill a validator, and start it again after the others have gone on."""
    await trio.sleep(plan.seconds / 4)
    victim = network.running[-1]
    processes.pop(victim.name)
    window.lost_seat = victim.seat
    await network.kill(victim)
    window.lost_at = time.monotonic_ns()
    await trio.sleep(AWAY_SECONDS)
    network.start_validator(victim)
    window.restarted_at = time.monotonic_ns()


def _notes(network: BenchNetwork) -> Notes:
    notes = Notes(len(network.validators))
    for validator in network.validators:
        for path in validator.outputs:
            notes.add(validator.seat, path)
    return notes


def _samples(network: BenchNetwork, load: Child) -> tuple[list[tuple[int, int]], Document]:
    """Look sampled transactions up on the chain of a validator that has ended."""
    handed: list[tuple[int, str]] = []
    taken = refused = 0
    for line in load.output.read_bytes().splitlines():
        if line.endswith(b"}") and b"ids" in line:
            note = json.loads(line)
            taken, refused = taken + note["taken"], refused + note["refused"]
            handed += [(note["at"], each) for each in note["ids"]]
    found: list[tuple[int, int]] = []
    last = network.running[0]
    with Environment.open(last.folder / "chain.lmdb") as environment:
        store = LmdbChainStore(environment)
        for at, identifier in handed:
            height: Height | None = store.height_of(Digest(bytes.fromhex(identifier)))
            if height is not None:
                found.append((at, height))
    counts: Document = {"taken": taken, "refused": refused, "sampled": len(handed)}
    return found, counts | {"sampled_on_chain": len(found)}


def _document(
    plan: ConsensusPlan,
    machine: Machine,
    network: BenchNetwork,
    load: Child | None,
    window: _Window,
) -> Document:
    notes = _notes(network)
    seconds = (window.last - window.first) / 1e9
    blocks, transactions = throughput(notes, window.first, window.last)
    if not blocks:
        raise OperatingError("no block became final within the window")
    finality = finality_seconds(notes, window.first, window.last)
    names = [each.name for each in network.validators if each.name in window.cpu]
    waits: list[float] = []
    handed: Document = {}
    if load is not None:
        samples, handed = _samples(network, load)
        waits = submission_seconds(samples, notes, window.first, window.last)
    views = [each.view for height, each in notes.heights.items() if height in notes.finals()]
    document: Document = {
        "schema": "potp2p.bench-consensus/1",
        "machine": machine.document(),
        "conditions": _conditions(plan),
        "seconds": round(seconds, 2),
        "blocks": blocks,
        "blocks_per_second": round(blocks / seconds, 2),
        "transactions_per_second": round(transactions / seconds, 1),
        "finality_p50_seconds": _rounded(percentile(finality, 0.5)),
        "finality_p99_seconds": _rounded(percentile(finality, 0.99)),
        "submission_p50_seconds": _rounded(percentile(waits, 0.5)),
        "submission_p99_seconds": _rounded(percentile(waits, 0.99)),
        "loop_hold_p50_seconds": _worst(notes.hold, 0),
        "loop_hold_p99_seconds": _worst(notes.hold, 1),
        "loop_hold_max_seconds": _worst(notes.hold, 2),
        "rss_bytes_max": max(window.resident[name] for name in names),
        "cpu_cores_mean": round(sum(window.cpu[name] for name in names) / len(names) / seconds, 3),
        "views_beyond_first": sum(view > 0 for view in views),
        "processes": [
            {
                "name": name,
                "rss_bytes_max": window.resident[name],
                "own_memory_bytes_max": window.own[name],
                "cpu_cores": round(cpu / seconds, 3),
            }
            for name, cpu in sorted(window.cpu.items())
        ],
        "handed_over": handed,
    }
    return with_targets(plan, document | _event_figures(plan, notes, window))


def _worst(hold: dict[int, list[float]], place: int) -> float | None:
    return _rounded(max((each[place] for each in hold.values()), default=None))


def _conditions(plan: ConsensusPlan) -> Document:
    document: Document = {
        "validators": plan.validators,
        "dead": plan.dead,
        "transactions_per_block": plan.transactions_per_block,
        "rate": plan.rate,
        "latency_milliseconds": plan.latency_milliseconds,
        "bandwidth_megabits": plan.bandwidth_megabits,
        "block_interval_milliseconds": 0,
        "warm_up_seconds": plan.warm_up_seconds,
    }
    return document


def _event_figures(plan: ConsensusPlan, notes: Notes, window: _Window) -> Document:
    """Return what the loss or the restart of a validator cost."""
    document: Document = {}
    if window.lost_at is None:
        return document
    document["lost_seat"] = window.lost_seat
    if plan.lose_primary:
        gap = longest_gap(notes, window.lost_at, window.last)
        document["lost_primary_seconds"] = _rounded(gap)
    if window.restarted_at is not None and window.lost_seat is not None:
        first = first_stored(notes, window.lost_seat, window.restarted_at)
        seconds = None if first is None else (first - window.restarted_at) / 1e9
        document["restart_to_block_seconds"] = _rounded(seconds)
        counted = first_counted(notes, window.lost_seat, window.restarted_at)
        seconds = None if counted is None else (counted - window.restarted_at) / 1e9
        document["restart_to_voting_seconds"] = _rounded(seconds)
    return document


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
