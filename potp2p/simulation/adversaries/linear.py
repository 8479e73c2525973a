"""
A device that trains a linear classifier in numpy: true gradients and payloads, without torch.

For tests of whole networks: milliseconds a lease, and everything an adversary could forge is there.
It measures distances as `training/replay.py` does; only the model is smaller. A data file holds
`inputs` (N x D) and `labels` (N).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from safetensors.numpy import load_file, save_file

from potp2p.foundation.types import MicroNats, PartsPerMillion
from potp2p.protocol.ledger.tasks import samples_of
from potp2p.protocol.wire.manifests import EVALUATION_FILE, INITIAL_FILE, shard_file
from potp2p.protocol.wire.tasks import TaskRules
from potp2p.protocol.wire.verification import Distances, Trace, TraceEntry
from potp2p.simulation.adversaries.forgery import (
    dice,
    layout_of,
    read_update,
    write_update,
)
from potp2p.simulation.packages import write_files
from potp2p.simulation.workers import FakeWorkers
from potp2p.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from potp2p.training.commands import Aggregate, CheckPayload, Lease, Replay, Train
from potp2p.training.compression import d8
from potp2p.training.fixed_point import micro_nats, nano_norm, parts_per_million
from potp2p.training.layout import Layout
from potp2p.training.reports import Aggregated, Checked, Replayed, Trained
from potp2p.training.tensors import Float32, Float64

FEATURES: Final = 40
CLASSES: Final = 4
SAMPLES: Final = 64
RATE: Final = 0.05
PROBE: Final = 16


@dataclass(slots=True)
class LinearWorkers(FakeWorkers):
    """One device that really trains, a model small enough for tests."""

    def train(self, command: Train) -> Trained:
        """Train the lease and write its payload."""
        work = compute(command.lease, command.rules, command.theta, command.shard)
        layout = layout_of(Path(command.theta), command.rules)
        none_B = np.zeros(0, np.float32)
        write_update(Path(command.payload), command.lease, layout, work.update_P, none_B)
        return Trained(
            samples=samples_of(command.rules),
            loss_before=work.before,
            loss_after=work.after(Path(command.payload), layout),
            diverged=False,
            trace=work.trace,
            milliseconds=1,
        )

    def check(self, command: CheckPayload) -> Checked:
        """Decode the payload and compare its lease."""
        layout = layout_of(Path(command.theta), command.rules)
        encoded = Path(command.payload).read_bytes()
        if d8.decode(encoded, layout).lease != command.lease:
            return Checked("made for another lease")
        return Checked(None)

    def replay(self, command: Replay) -> Replayed:
        """Train the lease again and measure."""
        work = compute(command.lease, command.rules, command.theta, command.shard)
        layout = layout_of(Path(command.theta), command.rules)
        return Replayed(
            loss_before=work.before,
            loss_after=work.after(Path(command.payload), layout),
            diverged=False,
            trace=work.trace,
            distances=distances_of(Path(command.payload), layout, work.update_P),
            instability=None,
            milliseconds=1,
        )

    def aggregate(self, command: Aggregate) -> Aggregated:
        """Apply the mean of the updates, each clipped to the lower median of their norms."""
        checkpoint = read_checkpoint(Path(command.theta), command.rules)
        updates = [read_update(Path(each), checkpoint.layout)[0] for each in command.payloads]
        norms = [float(np.linalg.norm(each)) for each in updates]
        limit = sorted(norms)[(len(norms) - 1) // 2]
        clipped = [
            each * np.float32(min(1.0, limit / max(norm, 1e-30)))
            for each, norm in zip(updates, norms, strict=True)
        ]
        theta_P = (checkpoint.theta_P - np.mean(clipped, axis=0)).astype(np.float32)
        after = Checkpoint(checkpoint.layout, theta_P, checkpoint.buffers_B, None)
        write_checkpoint(Path(command.result), after)
        inputs, labels = read_data(command.evaluation)
        loss, _ = loss_and_gradient(theta_P.astype(np.float64), inputs, labels)
        return Aggregated(micro_nats(loss), PartsPerMillion(0), milliseconds=1)


@dataclass(frozen=True, slots=True)
class LinearWork:
    """What a lease came to."""

    update_P: Float32
    trace: Trace
    before: MicroNats
    theta_P: Float64
    inputs: Float64
    labels: Float64

    def after(self, payload: Path, layout: Layout) -> MicroNats:
        """Return the probe's loss with the payload's own update applied."""
        own_P, _ = read_update(payload, layout)
        inputs, labels = self.inputs[:PROBE], self.labels[:PROBE]
        return micro_nats(loss_and_gradient(self.theta_P - own_P, inputs, labels)[0])


def compute(lease: Lease, rules: TaskRules, theta: str, shard: str) -> LinearWork:
    """Take the rule's steps over a shard."""
    start_P = read_checkpoint(Path(theta), rules).theta_P.astype(np.float64)
    inputs, labels = read_data(shard)
    order = dice(lease, "order").permutation(len(inputs))
    inputs, labels = inputs[order], labels[order]
    theta_P, entries, size = start_P.copy(), [], rules.batch.micro_batch
    for step in range(rules.batch.steps):
        mean_P = np.zeros_like(theta_P)
        for batch in range(rules.batch.micro_batches):
            begin = (step * rules.batch.micro_batches + batch) * size % len(inputs)
            part = slice(begin, begin + size)
            loss, gradient_P = loss_and_gradient(theta_P, inputs[part], labels[part])
            norm = nano_norm(float(np.linalg.norm(gradient_P)))
            entries.append(TraceEntry(micro_nats(loss), norm))
            mean_P += gradient_P / rules.batch.micro_batches
        theta_P = theta_P - RATE * mean_P
    before, _ = loss_and_gradient(start_P, inputs[:PROBE], labels[:PROBE])
    return LinearWork(
        (start_P - theta_P).astype(np.float32),
        Trace(tuple(entries)),
        micro_nats(before),
        start_P,
        inputs,
        labels,
    )


def loss_and_gradient(theta_P: Float64, inputs: Float64, labels: Float64) -> tuple[float, Float64]:
    """Return the mean cross-entropy of a softmax over linear scores, and its gradient."""
    scores = inputs @ theta_P.reshape(FEATURES, CLASSES)
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    chances = scores / scores.sum(axis=1, keepdims=True)
    wanted = np.eye(CLASSES)[labels.astype(np.int64)]
    loss = -float(np.log((chances * wanted).sum(axis=1) + 1e-12).mean())
    return loss, (inputs.T @ (chances - wanted) / len(inputs)).reshape(-1)


def distances_of(payload: Path, layout: Layout, replay_P: Float32) -> Distances:
    """Return how far a payload lies from a replay beyond half a step (DESIGN 8.4)."""
    decoded = d8.decode(payload.read_bytes(), layout)
    half_P = np.repeat(np.ldexp(0.5, decoded.exponents_C.astype(np.int32)), layout.chunk_lengths_C)
    apart_P = np.abs(d8.dequantize(layout, decoded).astype(np.float64) - replay_P) - half_P
    excess = float(np.linalg.norm(np.maximum(apart_P, 0.0)))
    distance = parts_per_million(excess / max(float(np.linalg.norm(replay_P)), 1e-30))
    _, own_C = d8.quantize(layout, replay_P)
    return Distances(distance, distance, bool((own_C == decoded.exponents_C).all()))


def read_data(path: str) -> tuple[Float64, Float64]:
    """Return inputs and labels of a data file."""
    data = load_file(path)
    return data["inputs"].astype(np.float64), data["labels"].astype(np.float64)


def write_linear_package(folder: Path, rules: TaskRules) -> None:
    """Write a package whose shards are clouds around one centre for each class."""
    write_files(folder, rules)
    random = np.random.default_rng(rules.seed)
    centres = random.standard_normal((CLASSES, FEATURES))
    names = [shard_file(index) for index in range(rules.rounds.shards)]
    for name in (*names, EVALUATION_FILE):
        labels = random.integers(0, CLASSES, SAMPLES)
        inputs = centres[labels] + random.standard_normal((SAMPLES, FEATURES))
        data = {"inputs": inputs.astype(np.float32), "labels": labels.astype(np.int64)}
        save_file(data, folder / name)
    layout = Layout((("weight", (FEATURES, CLASSES)),), ())
    theta_P = (0.01 * random.standard_normal(FEATURES * CLASSES)).astype(np.float32)
    none_B = np.zeros(0, np.float32)
    write_checkpoint(folder / INITIAL_FILE, Checkpoint(layout, theta_P, none_B, None))
