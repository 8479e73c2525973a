"""Is a package what its rules say, and does an honest replay stay far inside its tolerance?"""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Final

import numpy as np

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.types import AccountId, Digest, Round, ShardIndex, TaskId
from potp2p.protocol.scheduling.rules import verify_rules
from potp2p.protocol.verification.tolerance import tolerance_of
from potp2p.protocol.wire.tasks import TaskRules
from potp2p.protocol.wire.verification import Distances
from potp2p.training.checkpoint import Checkpoint
from potp2p.training.commands import Inspect, Lease
from potp2p.training.compression import d8
from potp2p.training.data import Samples, read_samples
from potp2p.training.model import Model
from potp2p.training.replay import measure
from potp2p.training.reports import Inspected
from potp2p.training.step import StepDone, compute_lease

CALIBRATION_LEASE: Final = Lease(
    AccountId(bytes(20)), TaskId(Digest(bytes(32))), Round(0), ShardIndex(0)
)
HONEST_SHARE: Final = 10
"""An honest distance may be a tenth of what its class allows (DESIGN section 7)."""


def inspect(
    command: Inspect, model: Model, checkpoint: Checkpoint, step_done: StepDone
) -> Inspected:
    """Read every file of a package; PeerError says what is wrong with it."""
    rules = command.rules
    verify_rules(rules)
    if len(command.shards) > rules.rounds.shards:
        raise _refused(f"{len(command.shards)} shards, the rules say {rules.rounds.shards}")
    if checkpoint.moments is not None and checkpoint.moments.steps:
        raise _refused("the first checkpoint has taken optimizer steps")
    shapes: set[tuple[int, ...]] = set()
    contents: dict[bytes, int] = {}
    first: Samples | None = None
    for index, path in enumerate((*command.shards, command.evaluation)):
        samples = read_samples(Path(path), rules.model.objective)
        model.verify_samples(samples)
        shapes.add(samples.inputs.shape[1:])
        if index < len(command.shards):
            twin = contents.setdefault(_content_of(samples), index)
            if twin != index:
                # Honest work on both would be dropped as a copy, or audited every time.
                raise _refused(f"shards {twin} and {index} are equal")
        first = first or samples
        step_done(index + 1, len(command.shards) + 1, None)
    if len(shapes) > 1:
        raise _refused("samples of different shapes")
    assert first is not None
    _probe(model, checkpoint, rules, first)
    if not command.calibrate:
        return Inspected(None, model.layout.parameter_count, None, None)
    distances = calibrate(model, checkpoint, rules, first, step_done)
    return Inspected(
        fault=_fault(rules, distances),
        parameters=model.layout.parameter_count,
        distance_all=distances.overall,
        distance_tensor=distances.tensor_max,
    )


def calibrate(
    model: Model,
    checkpoint: Checkpoint,
    rules: TaskRules,
    samples: Samples,
    step_done: StepDone,
) -> Distances:
    """Run one lease with 1 and with 2 threads: two honest machines, as far as one can tell."""
    works = [
        compute_lease(
            model,
            checkpoint,
            replace(rules, model=replace(rules.model, threads=threads)),
            CALIBRATION_LEASE,
            samples,
            step_done,
        )
        for threads in (1, 2)
    ]
    if any(work.diverged for work in works):
        raise _refused("the first lease diverges")
    layout = checkpoint.layout
    encoded = d8.encode(CALIBRATION_LEASE, layout, works[0].update_P, works[0].buffers_B)
    payload = d8.decode(encoded, layout)
    return measure(layout, payload, works[1], tolerance_of(rules.model.tolerance, rules.mode))


def _content_of(samples: Samples) -> bytes:
    return sha256(samples.inputs.tobytes() + samples.labels.tobytes()).digest()


def _probe(model: Model, checkpoint: Checkpoint, rules: TaskRules, samples: Samples) -> None:
    """
    Run one micro-batch forward: shapes that do not fit show here and not in every miner.

    A whole one, since batch-norm over a single value has no variance and refuses.
    """
    model.load(checkpoint)
    model.module.train()
    indices = np.arange(rules.batch.micro_batch, dtype=np.int64) % samples.count
    inputs, labels = samples.batch(indices, model.device)
    try:
        loss = float(model.loss(inputs, labels).detach())
    except (RuntimeError, ValueError, IndexError) as error:
        raise _refused(f"samples do not fit the model: {error}"[:160]) from error
    if not np.isfinite(loss):
        raise _refused("the first loss is not finite")


def _fault(rules: TaskRules, distances: Distances) -> str | None:
    tolerance = tolerance_of(rules.model.tolerance, rules.mode)
    overall, tensor = tolerance.overall // HONEST_SHARE, tolerance.tensor // HONEST_SHARE
    if distances.overall > overall or distances.tensor_max > tensor:
        return (
            f"honest distance {distances.overall} and {distances.tensor_max} ppm "
            f"exceeds a tenth of the class, {overall} and {tensor}"
        )
    if not distances.exponents_fit:
        return "exponents of two honest runs differ"
    return None


def _refused(detail: str) -> PeerError:
    return PeerError(RejectionReason.BAD_TASK, detail)
