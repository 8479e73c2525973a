"""
How far honest replays lie apart on this machine, and how far cheats do (`bench replay`).

The commands, the worker processes and the verdict are the network's own: one rig trains a lease as
a miner would, every other replays it as an auditor would, and the protocol judges what they found.
The task then goes on, so that early, middle and late weights are measured. A rig can mine a class
safely when every replay passed with half of each tolerance left; a task that is unstable on its own
machine (`training/nudging.py`) is not safe to order anywhere.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import trio

from potp2p.benchmarks.machine import Machine
from potp2p.benchmarks.replay_bench import Bench, Spot, open_rigs
from potp2p.benchmarks.replay_cheats import KINDS, Honest, write_cheat
from potp2p.benchmarks.replay_figures import Findings, describe_task
from potp2p.benchmarks.replay_recipes import package_of, recipes_named
from potp2p.benchmarks.replay_rigs import Rig, rigs_of_this_machine
from potp2p.foundation.errors import ConfigurationError
from potp2p.processes.documents import Document
from potp2p.processes.fleet import Fleet
from potp2p.protocol.verification.verdict import Verdict, tolerances_apart
from potp2p.settings.task_file import read_rules
from potp2p.training.reports import Trained

REPLAYS_MAX: Final = 100_000
ROUND_STRIDE: Final = 4
"""Rounds from one that is measured to the next, where the task has so many."""
CHEATS_PER_ROUND: Final = 2
"""Leases of a measured round that are cheated on, each in every way."""


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """One campaign."""

    tasks: tuple[str, ...]
    """Recipes and package folders; none: all recipes."""
    replays: int
    """Of each task, at least."""
    cheats: bool
    seed: int
    folder: Path
    rigs: tuple[Rig, ...] = ()
    """None: those of this machine."""


@dataclass(slots=True)
class _Task:
    """One task in work."""

    bench: Bench
    honest: Findings = field(default_factory=Findings)
    cheats: dict[str, Findings] = field(default_factory=dict[str, Findings])


def verify_replay_plan(plan: ReplayPlan) -> None:
    """Raise ConfigurationError for a campaign that cannot be run."""
    if not 1 <= plan.replays <= REPLAYS_MAX:
        raise ConfigurationError(f"--replays {plan.replays}: from 1 to {REPLAYS_MAX}")
    if not 0 <= plan.seed < 1 << 48:
        raise ConfigurationError(f"--seed {plan.seed}: from 0 to {(1 << 48) - 1}")
    recipes_named(plan.tasks)


async def measure_replays(plan: ReplayPlan) -> Document:
    """Run a campaign and return its figures."""
    machine, started = Machine.look(), time.monotonic()
    fleet = Fleet(plan.folder)
    plan.folder.mkdir(parents=True, exist_ok=True)
    rigs = plan.rigs or await rigs_of_this_machine()
    documents: list[Document] = []
    tasks: list[_Task] = []
    try:
        async with open_rigs(rigs) as workers:
            for recipe in recipes_named(plan.tasks):
                package = await package_of(recipe, fleet, plan.folder, plan.seed)
                scratch = plan.folder / f"scratch-{recipe.name}"
                scratch.mkdir(exist_ok=True)
                rules = read_rules(package / "task.toml")
                task = _Task(Bench(package, rules, scratch, rigs, workers))
                await _run_task(plan, task)
                tasks.append(task)
                documents.append(_document(recipe.name, task))
    finally:
        await fleet.stop()
    audited = sum(task.honest.replays for task in tasks)
    passed = sum(task.honest.verdicts[Verdict.PASS] for task in tasks)
    return {
        "schema": "potp2p.bench-replay/1",
        "machine": machine.document(),
        "rigs": [rig.name for rig in rigs],
        "honest": {"audited": audited, "rejected": audited - passed},
        "tasks": documents,
        "seconds": round(time.monotonic() - started, 1),
        "is_within_targets": all(task.honest.is_safe(task.bench.tolerance) for task in tasks),
    }


def _document(name: str, task: _Task) -> Document:
    return {
        "name": name,
        **describe_task(task.bench.rules, task.bench.tolerance),
        "honest": task.honest.document(),
        "is_safe": task.honest.is_safe(task.bench.tolerance),
        "cheats": [{"kind": kind, **found.cheat_document()} for kind, found in task.cheats.items()],
    }


def rounds_measured(plan: ReplayPlan, bench: Bench) -> tuple[int, ...]:
    """Return the rounds whose leases are replayed, spread over as much of the task as is run."""
    per_round = bench.rules.rounds.shards_per_round * max(1, len(bench.rigs) - 1)
    count = -(-plan.replays // per_round)
    last = min(bench.rules.rounds.rounds - 1, ROUND_STRIDE * (count - 1))
    if count > last + 1:
        # More than the task has: it goes on beyond its last round.
        return tuple(range(count))
    return tuple(sorted({last * each // max(1, count - 1) for each in range(count)}))


async def _run_task(plan: ReplayPlan, task: _Task) -> None:
    bench = task.bench
    measured = rounds_measured(plan, bench)
    cheated = {measured[0], measured[len(measured) // 2], measured[-1]} if plan.cheats else set()
    theta = before = bench.initial
    for index in range(measured[-1] + 1):
        spots = bench.spots(index, theta)
        trained = await _train_round(bench, spots)
        if index in measured:
            await _replay_round(task, spots, trained)
        payloads = tuple(payload for _, _, payload in trained)
        if index in cheated:
            await _cheat_round(task, [*map(Honest, spots, payloads)], before)
        if index == measured[-1]:
            return
        before, theta = theta, await bench.advance(index, theta, payloads)


async def _train_round(bench: Bench, spots: tuple[Spot, ...]) -> list[tuple[Rig, Trained, Path]]:
    """Train each lease on another rig than its neighbours."""
    found: dict[int, tuple[Rig, Trained, Path]] = {}
    limiter = trio.CapacityLimiter(Machine.look().cores)

    async def train(place: int, spot: Spot) -> None:
        rig = bench.rigs[(spot.round + place) % len(bench.rigs)]
        payload = bench.scratch / f"honest-{spot.round % 2}-{spot.shard}.payload"
        async with limiter:
            trained = await bench.train(rig, spot, bench.honest(spot), payload)
        found[place] = (rig, trained, payload)

    async with trio.open_nursery() as nursery:
        for place, spot in enumerate(spots):
            nursery.start_soon(train, place, spot)
    return [found[place] for place in range(len(spots))]


async def _replay_round(
    task: _Task, spots: tuple[Spot, ...], trained: list[tuple[Rig, Trained, Path]]
) -> None:
    """Replay every lease on every other rig, on the same one where there is no other."""
    bench = task.bench
    limiter = trio.CapacityLimiter(Machine.look().cores)

    async def replay(auditor: Rig, spot: Spot, miner: Rig, claimed: Trained, payload: Path) -> None:
        async with limiter:
            # Of one lease in a round every auditor says how unstable it is, near or not.
            found = await bench.replay(auditor, spot, payload, always=spot is spots[0])
        task.honest.add(bench.measures(claimed, found), (miner.name, auditor.name))
        if found.instability is not None:
            task.honest.instabilities.append(tolerances_apart(found.instability, bench.tolerance))

    async with trio.open_nursery() as nursery:
        for auditor in bench.rigs:
            for spot, (miner, claimed, payload) in zip(spots, trained, strict=True):
                if auditor is not miner or len(bench.rigs) == 1:
                    nursery.start_soon(replay, auditor, spot, miner, claimed, payload)


async def _cheat_round(task: _Task, honest: list[Honest], before: Path) -> None:
    """Cheat in every way on some leases; another rig than the cheater's replays each."""
    bench = task.bench
    miner, auditor = bench.rigs[0], bench.rigs[-1]
    for place in range(min(CHEATS_PER_ROUND, len(honest))):
        own, other = honest[place], honest[(place + 1) % len(honest)]
        for kind in KINDS:
            payload = await write_cheat(bench, miner, kind, own, other, before)
            if payload is None:
                continue
            found = await bench.replay(auditor, own.spot, payload)
            findings = task.cheats.setdefault(kind, Findings())
            findings.add(bench.measures(found, found), (miner.name, auditor.name))
            if found.instability is not None:
                apart = tolerances_apart(found.instability, bench.tolerance)
                findings.instabilities.append(apart)
            payload.unlink()
