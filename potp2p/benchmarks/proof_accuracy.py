"""
What cheats cost a model: eight miners, two of them malicious, and nobody is banned.

`python -m potp2p.benchmarks.proof_accuracy`: a plan as one JSON object on stdin, accuracies as one
JSON object on stdout. The network's own code trains, forges and aggregates, without a chain: every
forged payload stays for as long as the task lasts. Plain averaging is the same mean without the
norm clip.
"""

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Final, cast

import torch
import trio

from potp2p.benchmarks.proof_package import whole_of
from potp2p.foundation.types import Round, ShardIndex, TaskId
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.scheduling.task_text import parse
from potp2p.protocol.wire.manifests import (
    EVALUATION_FILE,
    INITIAL_FILE,
    MODEL_FILE,
    TASK_FILE,
    shard_file,
)
from potp2p.protocol.wire.tasks import BatchRule, Mode, TaskRules
from potp2p.simulation.adversaries.cheat import Cheat, League
from potp2p.simulation.adversaries.copiers import Copier
from potp2p.simulation.adversaries.forgery import layout_of, read_update, write_update
from potp2p.simulation.adversaries.kinds import Kind, Place
from potp2p.simulation.adversaries.roster import cheat_of
from potp2p.simulation.genesis import key_of
from potp2p.training.commands import Aggregate, Command, Lease, Train
from potp2p.training.examples import cut, digits
from potp2p.training.execution import Executor
from potp2p.training.prepare import write_package
from potp2p.training.reports import Aggregated, Report
from potp2p.training.step import ignore_progress

MINERS: Final = 8
MALICIOUS: Final = 2
UNCLIPPED: Final = 1_000_000
"""A clip ratio, in percent of the median norm, that clips nothing."""
TASK: Final = TaskId(sha256(b"potp2p/proof/accuracy"))
PPM: Final = 1_000_000


@dataclass(slots=True)
class Run:
    """One training of the model, with this or that in it."""

    executor: Executor
    package: Path
    folder: Path
    rules: TaskRules
    kind: Kind | None
    _cheats: dict[int, Cheat] = field(default_factory=dict[int, Cheat])
    _honest: int = 0
    """Shard of an honest payload of the round."""

    def accuracy(self) -> float:
        """Train to the end and return the accuracy on held-out images."""
        for index in range(MALICIOUS if self.kind is not None else 0):
            assert self.kind is not None
            league = League(self.folder / f"league-{index}")
            self._cheats[MINERS - 1 - index] = cheat_of(self.kind, Place.MINER, league)
        theta = self.package / INITIAL_FILE
        accuracy = 0
        for round_ in range(self.rules.rounds.rounds):
            # As the network deals leases out: nobody keeps a shard, nor does its lie.
            dealt = [((shard + round_) % MINERS, shard) for shard in range(MINERS)]
            # The honest first: a copier finds their payloads there.
            for miner, shard in sorted(dealt, key=lambda lease: lease[0] in self._cheats):
                self._train(theta, round_, miner, shard)
                if miner not in self._cheats:
                    self._honest = shard
            payloads = [self._payload(shard) for shard in range(MINERS)]
            theta, accuracy = self._aggregate(theta, round_, payloads)
        return accuracy / PPM

    def _payload(self, shard: int) -> Path:
        return self.folder / f"{shard}.payload"

    def _train(self, theta: Path, round_: int, miner: int, shard: int) -> None:
        payload = self._payload(shard)
        lease = Lease(key_of(f"m{miner}").account, TASK, Round(round_), ShardIndex(shard))
        command = Train(
            lease,
            self.rules,
            str(self.package / MODEL_FILE),
            str(theta),
            str(self.package / shard_file(shard)),
            str(payload),
        )
        cheat = self._cheats.get(miner)
        if isinstance(cheat, Copier):
            layout = layout_of(theta, self.rules)
            update, buffers = read_update(self._payload(self._honest), layout)
            write_update(payload, lease, layout, cheat.disguise(update, command), buffers)
        elif cheat is not None:
            trio.run(cheat.train, command, self._execute)
        else:
            self.executor.execute(command, ignore_progress)

    async def _execute(self, command: Command) -> Report:
        await trio.lowlevel.checkpoint()
        return self.executor.execute(command, ignore_progress)

    def _aggregate(self, theta: Path, round_: int, payloads: Sequence[Path]) -> tuple[Path, int]:
        result = self.folder / f"theta-{round_ % 2}.safetensors"
        report = self.executor.execute(
            Aggregate(
                self.rules,
                TASK,
                Round(round_),
                str(self.package / MODEL_FILE),
                str(theta),
                tuple(str(each) for each in payloads),
                str(result),
                str(self.package / EVALUATION_FILE),
            ),
            ignore_progress,
        )
        assert isinstance(report, Aggregated)
        assert report.accuracy is not None, "the task classifies"
        return result, report.accuracy


@dataclass(frozen=True, slots=True)
class Plan:
    """What is trained, and how often."""

    kinds: tuple[Kind, ...]
    rounds: int
    steps: int
    seed: int
    repeats: int
    """Seeds, from the first on: one image more or less of a small test set is half a point."""


def measure(plan: Plan) -> dict[str, object]:
    """Return the accuracies of a clean run, of each kind, and of each kind under a plain mean."""
    seeds = range(plan.seed, plan.seed + plan.repeats)
    found = [_measure_seed(plan, seed) for seed in seeds]
    kinds = [str(kind) for kind in plan.kinds]
    return {
        "clean": _mean([each.clean for each in found]),
        "by_kind": {kind: _mean([each.by_kind[kind] for each in found]) for kind in kinds},
        "plain_averaging": {kind: _mean([each.plain[kind] for each in found]) for kind in kinds},
        "rounds": plan.rounds,
        "steps": plan.steps,
        "seeds": [
            {"seed": seed, "clean": each.clean, "by_kind": each.by_kind}
            for seed, each in zip(seeds, found, strict=True)
        ],
    }


def _mean(accuracies: Sequence[float]) -> float:
    return round(fmean(accuracies), 6)


@dataclass(frozen=True, slots=True)
class _Found:
    """Accuracies of one seed."""

    clean: float
    by_kind: dict[str, float]
    plain: dict[str, float]


def _measure_seed(plan: Plan, seed: int) -> _Found:
    with tempfile.TemporaryDirectory(prefix="potp2p-accuracy-") as name:
        folder = Path(name)
        package = folder / "package"
        rules = _prepare(plan, seed, package)
        executor = Executor(torch.device("cpu"))
        plain = replace(rules, optimizer=replace(rules.optimizer, clip_ratio=UNCLIPPED))

        def run(kind: Kind | None, these: TaskRules) -> float:
            part = folder / f"{kind}-{these.optimizer.clip_ratio}"
            part.mkdir()
            return Run(executor, package, part, these, kind).accuracy()

        return _Found(
            run(None, rules),
            {str(kind): run(kind, rules) for kind in plan.kinds},
            {str(kind): run(kind, plain) for kind in plan.kinds},
        )


def _prepare(plan: Plan, seed: int, package: Path) -> TaskRules:
    """Write a package in which every miner has one shard, and return its rules."""
    example = digits(Mode.LOCAL, seed)
    rounds = replace(
        example.rules.rounds, rounds=plan.rounds, shards=MINERS, shards_per_round=MINERS
    )
    rules = replace(example.rules, batch=BatchRule(plan.steps, 1, 32), rounds=rounds)
    write_package(replace(example, shards=cut(whole_of(example), MINERS), rules=rules), package)
    return parse((package / TASK_FILE).read_text(), TASK_FILE).rules


def plan_of(fields: Mapping[str, object]) -> Plan:
    """Read a plan back."""
    kinds = tuple(Kind(each) for each in cast("list[str]", fields["kinds"]))
    rounds, steps, seed, repeats = (
        cast("int", fields[name]) for name in ("rounds", "steps", "seed", "repeats")
    )
    return Plan(kinds, rounds, steps, seed, repeats)


if __name__ == "__main__":
    torch.set_num_threads(1)
    asked = cast("dict[str, object]", json.load(sys.stdin))
    sys.stdout.write(json.dumps(measure(plan_of(asked))) + "\n")
