"""
Optimizer steps from separate IEEE operations: the same bits in numpy and torch, on every CPU.

No `torch.optim`, no fused multiply-add, no `alpha=`: those differ between instruction sets
(`reference/verification.md` section 12). Square roots come from the caller: numpy's are exact,
torch's float32 are not. Weight decay is decoupled and spares vectors: biases and norms.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch

from potp2p.foundation.types import Round
from potp2p.protocol.wire.tasks import TaskRules
from potp2p.training.fixed_point import float32_of, learning_rate_units
from potp2p.training.layout import Layout
from potp2p.training.tensors import Float32

Array = TypeVar("Array", Float32, torch.Tensor)


@dataclass(frozen=True, slots=True)
class StepNumbers:
    """Every scalar of one step, each exactly a float32."""

    learning_rate: float
    decay: float
    """Learning rate times weight decay."""
    beta1: float
    beta1_rest: float
    beta2: float
    beta2_rest: float
    correction1: float
    """1 - beta1 ^ steps, by repeated multiplication in float64."""
    correction2: float
    epsilon: float


def step_numbers(rules: TaskRules, index: Round, step: int) -> StepNumbers:
    """Return the scalars of a step of a round; `step` counts from 1 since the moments were zero."""
    rule = rules.optimizer
    rate = learning_rate_units(rule, rules.rounds, index)
    return StepNumbers(
        learning_rate=float32_of(rate, 10**9),
        decay=float32_of(rate * rule.weight_decay, 10**18),
        beta1=float32_of(rule.beta1, 10**6),
        beta1_rest=float32_of(10**6 - rule.beta1, 10**6),
        beta2=float32_of(rule.beta2, 10**6),
        beta2_rest=float32_of(10**6 - rule.beta2, 10**6),
        correction1=_correction(rule.beta1, step),
        correction2=_correction(rule.beta2, step),
        epsilon=float32_of(rule.epsilon, 10**12),
    )


def adamw(  # noqa: PLR0913  # the state and the scalars of one step
    numbers: StepNumbers,
    sqrt: Callable[[Array], Array],
    theta_P: Array,
    first_P: Array,
    second_P: Array,
    gradient_P: Array,
    decayed_P: Array,
) -> tuple[Array, Array, Array]:
    """Return theta, first and second moment after one AdamW step."""
    first_P = first_P * numbers.beta1 + gradient_P * numbers.beta1_rest
    second_P = second_P * numbers.beta2 + (gradient_P * gradient_P) * numbers.beta2_rest
    denominator_P = sqrt(second_P / numbers.correction2) + numbers.epsilon
    direction_P = (first_P / numbers.correction1) / denominator_P
    return sgd(numbers, theta_P, direction_P, decayed_P), first_P, second_P


def sgd(numbers: StepNumbers, theta_P: Array, gradient_P: Array, decayed_P: Array) -> Array:
    """Return theta - rate * gradient, after the decoupled decay."""
    if numbers.decay:
        theta_P = theta_P - (theta_P * decayed_P) * numbers.decay
    return theta_P - gradient_P * numbers.learning_rate


def decayed(layout: Layout) -> Float32:
    """Return 1 where weight decay applies (tensors of two dimensions or more), else 0."""
    decayed_P = np.zeros(layout.parameter_count, np.float32)
    for (_, shape), start, end in zip(
        layout.parameters, layout.offsets[:-1], layout.offsets[1:], strict=True
    ):
        if len(shape) > 1:
            decayed_P[start:end] = 1
    return decayed_P


def _correction(beta: int, step: int) -> float:
    assert step >= 1
    power, factor = 1.0, beta / 10**6
    for _ in range(step):
        power *= factor
        # Below this the sum with 1 no longer sees it; stopping early changes no bit.
        if power < 1e-30:  # noqa: PLR2004
            break
    return float(np.float32(1.0 - power))
