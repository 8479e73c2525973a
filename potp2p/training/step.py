"""
One lease computed: the update, its trace and the loss it started from.

A function of (model, checkpoint, rules, lease, shard) and of nothing else: the miner and every
auditor call the same one. Suffixes as in `layout.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch

from potp2p.foundation.types import MicroNats
from potp2p.protocol.wire.tasks import Mode, Optimizer, TaskRules
from potp2p.protocol.wire.verification import Trace, TraceEntry
from potp2p.training.aggregation import apply_update
from potp2p.training.checkpoint import Checkpoint
from potp2p.training.commands import Lease
from potp2p.training.compression import d8
from potp2p.training.data import Samples, sample_order, samples_per_lease
from potp2p.training.fixed_point import LOSS_MAX, NORM_MAX, micro_nats, nano_norm
from potp2p.training.layout import Layout
from potp2p.training.model import Model, cross_entropy
from potp2p.training.optimizer import adamw, decayed, sgd, step_numbers
from potp2p.training.tensors import Float32, Float64, Int64

PROBE_FRACTION: Final = 16
"""The loss claims cover the first sixteenth of the samples (DESIGN section 9)."""

StepDone = Callable[[int, int, MicroNats | None], None]
"""Called after each micro-batch with its number, how many there are, and its loss."""


def ignore_progress(_step: int, _steps: int, _loss: MicroNats | None) -> None:
    """Drop the progress of work that nobody waits for or would cancel."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a lease came to, before any rounding to a payload."""

    update_P: Float32
    """Mean gradient, or theta(t) - theta local; zero where the lease diverged."""
    buffers_B: Float32
    gradient_squares_C: Float64
    """Sum of squares of every micro-batch's gradient, per chunk: shows which chunks are noise."""
    trace: Trace
    loss_before: MicroNats
    diverged: bool


@dataclass(slots=True)
class _Record:
    """What a lease leaves behind while it runs."""

    layout: Layout
    total: int
    step_done: StepDone
    entries: list[TraceEntry] = field(default_factory=list[TraceEntry])
    gradient_squares_C: Float64 = field(init=False)

    def __post_init__(self) -> None:
        self.gradient_squares_C = np.zeros(self.layout.chunk_starts_C.size)

    def add(self, loss: float, gradient_P: torch.Tensor) -> None:
        """Note one micro-batch; one that is not finite ends the lease."""
        squares_P = gradient_P.detach().cpu().numpy().astype(np.float64) ** 2
        squares_C = np.add.reduceat(squares_P, self.layout.chunk_starts_C)
        entry = TraceEntry(micro_nats(loss), nano_norm(float(np.sqrt(squares_C.sum()))))
        if entry.loss == LOSS_MAX or entry.gradient_norm == NORM_MAX:
            raise _Diverged
        self.gradient_squares_C += squares_C
        self.entries.append(entry)
        self.step_done(len(self.entries), self.total, entry.loss)

    def trace(self) -> Trace:
        """Return one entry per micro-batch; those that a divergence left out are saturated."""
        blank = TraceEntry(LOSS_MAX, NORM_MAX)
        missing = self.total - len(self.entries)
        return Trace((*self.entries, *(blank for _ in range(missing))))


class _Diverged(ArithmeticError):
    """A loss, gradient or parameter is not finite."""


def compute_lease(  # noqa: PLR0913  # exactly what the result is a function of
    model: Model,
    checkpoint: Checkpoint,
    rules: TaskRules,
    lease: Lease,
    samples: Samples,
    step_done: StepDone,
) -> Work:
    """Train one shard for the rule's steps from theta(t)."""
    torch.set_num_threads(max(1, rules.model.threads))
    model.verify_samples(samples)
    order = sample_order(rules, lease, samples.count)
    total = rules.batch.steps * rules.batch.micro_batches
    beat = _standing_at(0, total, step_done)
    loss_before = probe_loss(model, checkpoint, rules, samples, order, beat)
    record = _Record(checkpoint.layout, total, step_done)
    model.load(checkpoint)
    model.module.train()
    diverged = loss_before == LOSS_MAX
    try:
        if rules.mode is Mode.GRADIENT:
            update_P = _mean_gradient(model, rules, samples, order, record)
        else:
            update_P = _local_steps(model, rules, lease, samples, order, record)
        buffers_B = model.read_buffers_B()
        if diverged or not np.isfinite(update_P).all() or not d8.buffers_fit(buffers_B):
            raise _Diverged
    except _Diverged:
        diverged = True
        update_P, buffers_B = np.zeros_like(checkpoint.theta_P), checkpoint.buffers_B
    return Work(
        update_P, buffers_B, record.gradient_squares_C, record.trace(), loss_before, diverged
    )


def loss_after(  # noqa: PLR0913  # exactly what the result is a function of
    model: Model,
    checkpoint: Checkpoint,
    rules: TaskRules,
    lease: Lease,
    samples: Samples,
    payload: d8.Payload,
    step_done: StepDone,
) -> MicroNats:
    """Return the probe's loss once a contribution's own decoded update is applied alone."""
    own = apply_update(
        rules,
        lease.round,
        checkpoint,
        d8.dequantize(checkpoint.layout, payload),
        np.ldexp(payload.buffers_B.astype(np.float32), -d8.BUFFER_BITS),
    )
    order = sample_order(rules, lease, samples.count)
    total = rules.batch.steps * rules.batch.micro_batches
    return probe_loss(model, own, rules, samples, order, _standing_at(total, total, step_done))


def probe_loss(  # noqa: PLR0913  # exactly what the result is a function of
    model: Model,
    checkpoint: Checkpoint,
    rules: TaskRules,
    samples: Samples,
    order: Int64,
    step_done: StepDone,
) -> MicroNats:
    """Return the mean loss of the first sixteenth of the assigned samples."""
    model.load(checkpoint)
    probe = order[: max(1, samples_per_lease(rules) // PROBE_FRACTION)]
    loss, _ = mean_loss(model, samples, probe, rules.batch.micro_batch, step_done)
    return micro_nats(loss)


def _standing_at(step: int, steps: int, step_done: StepDone) -> StepDone:
    """Return a heartbeat of work between the steps of a lease: it can be cancelled, not counted."""

    def beat(_step: int, _steps: int, _loss: MicroNats | None) -> None:
        step_done(step, steps, None)

    return beat


def mean_loss(
    model: Model, samples: Samples, indices: Int64, batch_size: int, step_done: StepDone
) -> tuple[float, int]:
    """Return mean loss and number of right classes of some samples at the loaded parameters."""
    model.module.eval()
    total, right = 0.0, 0
    with torch.no_grad():
        for start in range(0, len(indices), batch_size):
            part = indices[start : start + batch_size]
            inputs, labels = samples.batch(part, model.device)
            logits = model.logits(inputs)
            loss = cross_entropy(model.objective, logits, labels)
            total += float(loss) * len(part)
            if len(labels.shape) == 1:
                right += int((logits.argmax(dim=-1) == labels).sum())
            step_done(start + len(part), len(indices), None)
    return total / len(indices), right


def _mean_gradient(
    model: Model, rules: TaskRules, samples: Samples, order: Int64, record: _Record
) -> Float32:
    """Return the mean gradient of one step's micro-batches, and record each of them."""
    batch = rules.batch
    total_P = torch.zeros_like(model.gradient_P)
    for index in range(batch.micro_batches):
        part = order[index * batch.micro_batch : (index + 1) * batch.micro_batch]
        model.gradient_P.zero_()
        loss = model.loss(*samples.batch(part, model.device))
        loss.backward()
        record.add(float(loss.detach()), model.gradient_P)
        total_P += model.gradient_P
    return (total_P / batch.micro_batches).cpu().numpy()


def _local_steps(  # noqa: PLR0913  # exactly what the result is a function of
    model: Model,
    rules: TaskRules,
    lease: Lease,
    samples: Samples,
    order: Int64,
    record: _Record,
) -> Float32:
    """Take H optimizer steps with fresh moments; return theta(t) - theta local."""
    theta_P = model.theta_P.detach().cpu().numpy().copy()
    start_P = theta_P
    decayed_P = decayed(model.layout)
    first_P, second_P = np.zeros_like(theta_P), np.zeros_like(theta_P)
    per_step = rules.batch.micro_batches * rules.batch.micro_batch
    for step in range(1, rules.batch.steps + 1):
        part = order[(step - 1) * per_step : step * per_step]
        gradient_P = _mean_gradient(model, rules, samples, part, record)
        numbers = step_numbers(rules, lease.round, step)
        if rules.optimizer.optimizer is Optimizer.SGD:
            theta_P = sgd(numbers, theta_P, gradient_P, decayed_P)
        else:
            theta_P, first_P, second_P = adamw(
                numbers, np.sqrt, theta_P, first_P, second_P, gradient_P, decayed_P
            )
        if not np.isfinite(theta_P).all():
            raise _Diverged
        with torch.no_grad():
            model.theta_P.copy_(torch.from_numpy(theta_P))
    return start_P - theta_P
