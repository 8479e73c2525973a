"""
theta(t+1) from theta(t) and a round's payloads: exact, whatever the order, threads or CPU.

Integers carry the sum: each payload is clipped to `clip_ratio` percent of the lower median norm by
a factor in units of 2^-16 and added in int64 units of 2^-48; 1,024 payloads of 127 * 2^30 fit.
Then one conversion to float64, one division, one rounding to float32, and the optimizer's separate
operations. Suffixes as in `layout.py`.
"""

from collections.abc import Iterable, Sequence
from math import isqrt
from typing import Final

import numpy as np

from potp2p.foundation.errors import OperatingError
from potp2p.foundation.limits import SHARDS_PER_ROUND_MAX
from potp2p.foundation.types import Round
from potp2p.protocol.wire.tasks import Mode, Optimizer, TaskRules
from potp2p.training.checkpoint import Checkpoint, Moments
from potp2p.training.compression import d8
from potp2p.training.held import Held
from potp2p.training.layout import Layout
from potp2p.training.optimizer import adamw, decayed, sgd, step_numbers
from potp2p.training.tensors import Float32, Int64

FACTOR_ONE: Final = 1 << 16
UNIT_BITS: Final = 48
PERCENT: Final = 100
BLOCK_VALUES: Final = 1 << 20
"""Summed at a time: its integers take 8 MiB, however large the model."""


def clip_factors(norms_squared: list[int], clip_ratio: int) -> list[int]:
    """Return each payload's factor in units of 2^-16; at most `FACTOR_ONE`."""
    if not norms_squared:
        return []
    median = sorted(norms_squared)[(len(norms_squared) - 1) // 2]
    limit = median * clip_ratio**2 // PERCENT**2
    return [FACTOR_ONE if norm <= limit else isqrt((limit << 32) // norm) for norm in norms_squared]


def mean_update_P(  # shape suffix
    layout: Layout, held: Sequence[Held], factors: Sequence[int]
) -> Float32:
    """Return the mean of clipped payloads: rounded to float64 twice at most, once to float32."""
    assert 0 < len(held) <= SHARDS_PER_ROUND_MAX
    assert all(0 <= factor <= FACTOR_ONE for factor in factors)
    mean_P = np.empty(layout.parameter_count, np.float32)
    for block in layout.blocks(BLOCK_VALUES):
        start, end = layout.span(block)
        lengths_C = layout.chunk_lengths_C[block.start : block.stop]
        total_P = np.zeros(end - start, np.int64)
        for payload, factor in zip(held, factors, strict=True):
            values_P, exponents_C = payload.block(layout, block)
            weights_C = factor << (exponents_C.astype(np.int64) - d8.EXPONENT_MIN)
            total_P += values_P * np.repeat(weights_C, lengths_C)
        exact_P = np.ldexp(total_P.astype(np.float64), -UNIT_BITS)
        mean_P[start:end] = (exact_P / len(held)).astype(np.float32)
    return mean_P


def mean_buffers_B(held: Sequence[Held]) -> Float32:  # shape suffix
    """Return the mean of the absolute buffers."""
    total_B: Int64 = np.sum([payload.buffers_B for payload in held], axis=0, dtype=np.int64)
    exact_B = np.ldexp(total_B.astype(np.float64), -d8.BUFFER_BITS)
    return (exact_B / len(held)).astype(np.float32)


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
    rules: TaskRules, index: Round, checkpoint: Checkpoint, payloads: Iterable[Held]
) -> Checkpoint:
    """Return theta(t+1), whatever the order of the payloads; without any theta stays."""
    # All zero is how a lease that diverged is written: it is paid, but has no say in the mean.
    moving = [payload for payload in payloads if not payload.is_zero]
    if not moving:
        return checkpoint
    layout = checkpoint.layout
    norms = [payload.norm_squared(layout) for payload in moving]
    factors = clip_factors(norms, rules.optimizer.clip_ratio)
    update_P = mean_update_P(layout, moving, factors)
    return apply_update(rules, index, checkpoint, update_P, mean_buffers_B(moving))
