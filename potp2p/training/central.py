"""
A whole task in one process: the same leases, codec, clip and formula as the network, no peers.

What the network must reproduce, byte for byte, in gradient mode; and, with `plain`, the float
average without codec or clip that it must stay near. `python -m potp2p.training.central
--package DIR --task HEX --rounds N [--plain] [--out FILE]` prints one JSON line per round and the
SHA-256 of the final checkpoint file.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import cast

import numpy as np
import torch

from potp2p.foundation.errors import ConfigurationError, Potp2pError
from potp2p.foundation.types import AccountId, Digest, MicroNats, Round, ShardIndex, TaskId
from potp2p.protocol.scheduling.task_text import parse
from potp2p.protocol.wire.manifests import root_of
from potp2p.protocol.wire.tasks import TaskRules
from potp2p.training.aggregation import aggregate, apply_update
from potp2p.training.checkpoint import Checkpoint, encode_checkpoint, read_checkpoint
from potp2p.training.commands import Lease
from potp2p.training.compression import d8
from potp2p.training.data import Samples, read_samples
from potp2p.training.devices import CPU, open_device
from potp2p.training.evaluation import evaluate
from potp2p.training.model import Model, build_model
from potp2p.training.reports import Evaluated
from potp2p.training.step import Work, compute_lease, ignore_progress
from potp2p.training.tensors import write_file


@dataclass(frozen=True, slots=True)
class Package:
    """A package folder, opened for computing."""

    rules: TaskRules
    model: Model
    initial: Checkpoint
    shards: tuple[Samples, ...]
    evaluation: Samples


@dataclass(frozen=True, slots=True)
class RoundDone:
    """One round of a central run."""

    round: Round
    checkpoint: Checkpoint
    evaluated: Evaluated


def open_package(folder: Path, device: torch.device) -> Package:
    """Read every file of a package folder."""
    rules = read_rules(folder)
    objective = rules.model.objective
    shards = [folder / "shards" / f"{i:04}.safetensors" for i in range(rules.rounds.shards)]
    return Package(
        rules=rules,
        model=build_model(folder / "config.json", rules.model, device),
        initial=read_checkpoint(folder / "initial.safetensors", rules),
        shards=tuple(read_samples(path, objective) for path in shards),
        evaluation=read_samples(folder / "evaluation.safetensors", objective),
    )


def read_rules(folder: Path) -> TaskRules:
    """Return the rules of a package folder."""
    try:
        return parse((folder / "task.toml").read_text(), "task.toml").rules
    except OSError as error:
        raise ConfigurationError(f"cannot read task.toml: {error.strerror}") from error


def run_task(package: Package, task: TaskId, rounds: int, *, plain: bool) -> Iterator[RoundDone]:
    """Yield each round's checkpoint; with `plain`, floats are averaged without codec or clip."""
    checkpoint = package.initial
    for index in range(rounds):
        works = [
            _compute(package, checkpoint, lease)
            for lease in leases_of_round(package.rules, task, Round(index))
        ]
        if plain:
            checkpoint = _average(package.rules, Round(index), checkpoint, works)
        else:
            payloads = [_through_codec(checkpoint, lease, work) for lease, work in works]
            checkpoint = aggregate(package.rules, Round(index), checkpoint, payloads)
        evaluated = evaluate(
            package.model, checkpoint, package.rules, package.evaluation, ignore_progress
        )
        yield RoundDone(Round(index), checkpoint, evaluated)


def leases_of_round(rules: TaskRules, task: TaskId, index: Round) -> list[Lease]:
    """Return a round's leases in the order of shards: least-processed first, then by index."""
    count, each = rules.rounds.shards, rules.rounds.shards_per_round
    shards = sorted((index * each + offset) % count for offset in range(each))
    miner = AccountId(bytes(20))
    return [Lease(miner, task, index, ShardIndex(shard)) for shard in shards]


def _compute(package: Package, checkpoint: Checkpoint, lease: Lease) -> tuple[Lease, Work]:
    samples = package.shards[lease.shard]
    work = compute_lease(package.model, checkpoint, package.rules, lease, samples, ignore_progress)
    return lease, work


def _through_codec(checkpoint: Checkpoint, lease: Lease, work: Work) -> d8.Payload:
    encoded = d8.encode(lease, checkpoint.layout, work.update_P, work.buffers_B)
    return d8.decode(encoded, checkpoint.layout)


def _average(
    rules: TaskRules, index: Round, checkpoint: Checkpoint, works: list[tuple[Lease, Work]]
) -> Checkpoint:
    update_P = np.mean([work.update_P for _, work in works], axis=0, dtype=np.float64)
    buffers_B = np.mean([work.buffers_B for _, work in works], axis=0, dtype=np.float64)
    return apply_update(
        rules, index, checkpoint, update_P.astype(np.float32), buffers_B.astype(np.float32)
    )


def main() -> int:
    """Parse the command line, run, print, return the exit code."""
    parser = argparse.ArgumentParser(prog="potp2p.training.central")
    parser.add_argument("--package", type=Path, required=True)
    parser.add_argument("--task", default="00" * 32)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    try:
        device = open_device(CPU).device
        package = open_package(cast("Path", arguments.package), torch.device(device))
        rounds = cast("int | None", arguments.rounds) or package.rules.rounds.rounds
        checkpoint = package.initial
        task = _task_id(cast("str", arguments.task))
        for done in run_task(package, task, rounds, plain=cast("bool", arguments.plain)):
            checkpoint = done.checkpoint
            _print(done.round, done.evaluated.loss, done.evaluated.accuracy)
        encoded = encode_checkpoint(checkpoint)
        if arguments.out is not None:
            write_file(cast("Path", arguments.out), encoded)
        result = {"sha256": sha256(encoded).hexdigest(), "checkpoint": root_of(encoded).hex()}
        sys.stdout.write(json.dumps(result) + "\n")
    except Potp2pError as error:
        sys.stderr.write(f"central: {error}\n")
        return 3
    return 0


def _print(index: Round, loss: MicroNats, accuracy: int | None) -> None:
    line = {"round": index, "evaluation_loss": loss / 1e6}
    if accuracy is not None:
        line["accuracy"] = accuracy / 1e6
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _task_id(text: str) -> TaskId:
    try:
        task = bytes.fromhex(text)
    except ValueError as error:
        raise ConfigurationError("--task must be 64 hex digits") from error
    if len(task) != 32:  # noqa: PLR2004  # a SHA-256
        raise ConfigurationError("--task must be 64 hex digits")
    return TaskId(Digest(task))


if __name__ == "__main__":
    sys.exit(main())
