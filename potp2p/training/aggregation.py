"""
theta(t+1) from theta(t) and a round's payloads: exact, whatever the order, threads or CPU.

Integers carry the sum: each payload is clipped to `clip_ratio` percent of the lower median norm by
a factor in units of 2^-16 and added in int64 units of 2^-48; 1,024 payloads of 127 * 2^30 fit.
Then one conversion to float64, one division, one rounding to float32, and the optimizer's separate
operations. Suffixes as in `layout.py`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import isqrt
from typing import Final

import numpy as np

from potp2p.foundation.errors import OperatingError
from potp2p.foundation.limits import SHARDS_PER_ROUND_MAX
from potp2p.foundation.types import Round
from potp2p.protocol.wire.tasks import Mode, Optimizer, TaskRules
from potp2p.training.checkpoint import Checkpoint, Moments
from potp2p.training.compression import d8
from potp2p.training.layout import Layout
from potp2p.training.optimizer import adamw, decayed, sgd, step_numbers
from potp2p.training.tensors import Float32, Int64

FACTOR_ONE: Final = 1 << 16
UNIT_BITS: Final = 48
PERCENT: Final = 100


def clip_factors(norms_squared: list[int], clip_ratio: int) -> list[int]:
    """Return each payload's factor in units of 2^-16; at most `FACTOR_ONE`."""
    if not norms_squared:
        return []
    median = sorted(norms_squared)[(len(norms_squared) - 1) // 2]
    limit = median * clip_ratio**2 // PERCENT**2
    return [FACTOR_ONE if norm <= limit else isqrt((limit << 32) // norm) for norm in norms_squared]


@dataclass(slots=True)
class Sum:
    """Running integer sum of clipped payloads: one accumulator, payloads need not be held."""

    layout: Layout
    total_P: Int64 = field(init=False)
    buffers_B: Int64 = field(init=False)
    count: int = 0

    def __post_init__(self) -> None:
        self.total_P = np.zeros(self.layout.parameter_count, np.int64)
        self.buffers_B = np.zeros(self.layout.buffer_count, np.int64)

    def add(self, payload: d8.Payload, factor: int) -> None:
        """Add one payload times its factor."""
        assert 0 <= factor <= FACTOR_ONE
        assert self.count < SHARDS_PER_ROUND_MAX
        weights_C = factor << (payload.exponents_C.astype(np.int64) - d8.EXPONENT_MIN)
        self.total_P += payload.values_P * np.repeat(weights_C, self.layout.chunk_lengths_C)
        self.buffers_B += payload.buffers_B
        self.count += 1

    def mean_P(self) -> Float32:  # shape suffix
        """Return the mean update: rounded to float64 twice at most, then once to float32."""
        exact_P = np.ldexp(self.total_P.astype(np.float64), -UNIT_BITS)
        return (exact_P / self.count).astype(np.float32)

    def mean_buffers_B(self) -> Float32:  # shape suffix
        """Return the mean of the absolute buffers."""
        exact_B = np.ldexp(self.buffers_B.astype(np.float64), -d8.BUFFER_BITS)
        return (exact_B / self.count).astype(np.float32)


def sum_payloads(layout: Layout, payloads: Iterable[d8.Payload], clip_ratio: int) -> Sum:
    """Clip and add the payloads of a round; their order does not matter."""
    held = list(payloads)
    factors = clip_factors([d8.norm_squared(layout, payload) for payload in held], clip_ratio)
    total = Sum(layout)
    for payload, factor in zip(held, factors, strict=True):
        total.add(payload, factor)
    return total


def apply_update(
    rules: TaskRules, index: Round, checkpoint: Checkpoint, update_P: Float32, buffers_B: Float32
) -> Checkpoint:
    """
    Return the checkpoint after one update of the round `index`.

    The update is a mean of payloads, or the single one whose effect a miner claims.
    """
    layout = checkpoint.layout
    moments: Moments | None = None
    if rules.mode is Mode.LOCAL:
        theta_P = checkpoint.theta_P - update_P
    elif rules.optimizer.optimizer is Optimizer.SGD:
        numbers = step_numbers(rules, index, 1)
        theta_P = sgd(numbers, checkpoint.theta_P, update_P, decayed(layout))
    else:
        before = checkpoint.moments
        assert before is not None, "the reader checked the rules"
        numbers = step_numbers(rules, index, before.steps + 1)
        theta_P, first_P, second_P = adamw(
            numbers,
            np.sqrt,
            checkpoint.theta_P,
            before.first_P,
            before.second_P,
            update_P,
            decayed(layout),
        )
        moments = Moments(first_P, second_P, before.steps + 1)
    if not np.isfinite(theta_P).all():
        raise OperatingError("the update leaves the range of float32")
    return Checkpoint(layout, theta_P, buffers_B, moments)


def aggregate(
    rules: TaskRules, index: Round, checkpoint: Checkpoint, payloads: Iterable[d8.Payload]
) -> Checkpoint:
    """Return theta(t+1); without payloads theta stays."""
    # All zero is how a lease that diverged is written: it is paid, but has no say in the mean.
    moving = [payload for payload in payloads if payload.values_P.any()]
    total = sum_payloads(checkpoint.layout, moving, rules.optimizer.clip_ratio)
    if not total.count:
        return checkpoint
    return apply_update(rules, index, checkpoint, total.mean_P(), total.mean_buffers_B())
