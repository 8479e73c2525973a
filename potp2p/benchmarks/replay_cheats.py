"""
Ways to cheat with numbers alone, each as good as it can be: claims and trace are the auditor's own.

So only the payload speaks. A real copier or free-rider does not know the trace either, and fails by
it even where its payload would pass.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from potp2p.benchmarks.replay_bench import Bench, Order, Spot, fewer_steps
from potp2p.benchmarks.replay_rigs import Rig
from potp2p.protocol.wire.tasks import Mode, ToleranceClass
from potp2p.training.checkpoint import read_checkpoint
from potp2p.training.compression import d8
from potp2p.training.tensors import Float32, write_file

Less = Callable[[Bench, Spot, Path], Order | None]
"""What is trained instead, given the weights of the round before; None: it does not apply."""
Change = Callable[[Float32, Float32], Float32]
"""What is sent instead of an honest update, given another miner's."""


def _half_the_work(bench: Bench, spot: Spot, _before: Path) -> Order:
    batch = bench.rules.batch
    if bench.rules.mode is Mode.LOCAL:
        return replace(bench.honest(spot), rules=fewer_steps(bench.rules, steps=batch.steps // 2))
    less = fewer_steps(bench.rules, micro_batches=batch.micro_batches // 2)
    return replace(bench.honest(spot), rules=less)


def _one_micro_batch_less(bench: Bench, spot: Spot, _before: Path) -> Order | None:
    if bench.rules.batch.micro_batches < 2:  # noqa: PLR2004  # then a step would have none
        return None
    return replace(bench.honest(spot), rules=fewer_steps(bench.rules, micro_batches=1))


def _last_step_skipped(bench: Bench, spot: Spot, _before: Path) -> Order | None:
    if bench.rules.mode is not Mode.LOCAL:
        return None
    return replace(bench.honest(spot), rules=fewer_steps(bench.rules, steps=1))


def _stale_weights(bench: Bench, spot: Spot, before: Path) -> Order:
    return replace(bench.honest(spot), theta=before)


def _wrong_shard(bench: Bench, spot: Spot, _before: Path) -> Order:
    return replace(bench.honest(spot), shard=(spot.shard + 1) % bench.rules.rounds.shards)


def _low_precision(bench: Bench, spot: Spot, _before: Path) -> Order | None:
    model = bench.rules.model
    if model.tolerance is not ToleranceClass.SMOOTH:
        return None
    rules = replace(bench.rules, model=replace(model, tolerance=ToleranceClass.BF16))
    return replace(bench.honest(spot), rules=rules)


def _noisy(percent: int) -> Change:
    def change(update: Float32, _other: Float32) -> Float32:
        noise = np.random.default_rng(percent).normal(size=update.size)
        scale = percent / 100 * np.linalg.norm(update) / np.linalg.norm(noise)
        return (update + scale * noise).astype(np.float32)

    return change


def _perturbed_copy(_update: Float32, other: Float32) -> Float32:
    return _noisy(1)(other, other)


LESS: Final[dict[str, Less]] = {
    "half-work": _half_the_work,
    "micro-batch-dropped": _one_micro_batch_less,
    "last-step-skipped": _last_step_skipped,
    "stale-weights": _stale_weights,
    "wrong-shard": _wrong_shard,
    "bf16-as-fp32": _low_precision,
}
CHANGED: Final[dict[str, Change]] = {
    "sign-flip-x10": lambda update, _: update * np.float32(-10),
    "scaled-x2": lambda update, _: update * np.float32(2),
    "scaled-x1.05": lambda update, _: update * np.float32(1.05),
    "noise-1": _noisy(1),
    "noise-5": _noisy(5),
    "noise-only": lambda update, other: _noisy(100)(update, other) - update,
    "copy": lambda _, other: other,
    "perturbed-copy": _perturbed_copy,
    "zero": lambda update, _: np.zeros_like(update),
}
KINDS: Final = (*LESS, *CHANGED)


@dataclass(frozen=True, slots=True)
class Honest:
    """An honest payload of the same round and where it lies."""

    spot: Spot
    payload: Path


async def write_cheat(  # noqa: PLR0913  # what a cheat is made from
    bench: Bench, rig: Rig, kind: str, own: Honest, other: Honest, before: Path
) -> Path | None:
    """Write the payload of a kind of cheat for a spot; None where the kind does not apply."""
    out = bench.scratch / f"{kind}-{own.spot.round}-{own.spot.shard}.payload"
    if kind in LESS:
        order = LESS[kind](bench, own.spot, before)
        if order is None or (kind == "stale-weights" and before == own.spot.theta):
            return None
        await bench.train(rig, own.spot, order, out)
        return out
    layout = read_checkpoint(own.spot.theta, bench.rules).layout
    honest = d8.decode(own.payload.read_bytes(), layout)
    theirs = d8.decode(other.payload.read_bytes(), layout)
    update = CHANGED[kind](d8.dequantize(layout, honest), d8.dequantize(layout, theirs))
    buffers = np.ldexp(honest.buffers_B.astype(np.float32), -d8.BUFFER_BITS)
    write_file(out, d8.encode(own.spot.lease, layout, update, buffers))
    return out
