"""Optimizer steps: the same bits in numpy and torch, and the update the textbook says."""

import numpy as np
import pytest
import torch

from potp2p.foundation.types import Round
from potp2p.protocol.wire.tasks import Mode, Optimizer
from potp2p.training.fixed_point import learning_rate_units
from potp2p.training.layout import Layout
from potp2p.training.optimizer import adamw, decayed, sgd, step_numbers
from potp2p.training.self_test import numbers
from tests.training.orders import rules

COUNT = 10_007
RULES = rules(Mode.GRADIENT, Optimizer.ADAMW)


def float64_root(value: torch.Tensor) -> torch.Tensor:
    return value.double().sqrt().float()


@pytest.mark.parametrize("step", [1, 2, 1_000, 1_000_000])
def test_adamw_has_the_same_bits_in_numpy_and_torch(step: int) -> None:
    scalars = step_numbers(RULES, Round(1), step)
    state = [numbers(name, COUNT, 2) for name in ("theta", "first", "second", "gradient")]
    state[2] = np.abs(state[2])
    decayed_P = (np.arange(COUNT) % 3 == 0).astype(np.float32)

    in_numpy = adamw(scalars, np.sqrt, *state, decayed_P)
    in_torch = adamw(
        scalars, float64_root, *(torch.from_numpy(each) for each in (*state, decayed_P))
    )
    for ours, theirs in zip(in_numpy, in_torch, strict=True):
        assert ours.tobytes() == theirs.numpy().tobytes()


def test_adamw_is_the_textbook_update() -> None:
    scalars = step_numbers(RULES, Round(0), 1)
    theta_P, gradient_P = np.array([1.0], np.float32), np.array([0.1], np.float32)
    zero_P = np.zeros(1, np.float32)
    after, first, second = adamw(scalars, np.sqrt, theta_P, zero_P, zero_P, gradient_P, zero_P)
    # Bias correction makes the first step one learning rate long, but for epsilon.
    assert after[0] == pytest.approx(1 - 0.005 * 0.1 / (0.1 + 1e-6), rel=1e-6)
    assert first[0] == pytest.approx(0.01, rel=1e-6)
    assert second[0] == pytest.approx(1e-4, rel=1e-5)


def test_weight_decay_is_decoupled_and_spares_vectors() -> None:
    layout = Layout((("bias", (2,)), ("weight", (2, 1))), ())
    scalars = step_numbers(RULES, Round(0), 1)
    after = sgd(scalars, np.ones(4, np.float32), np.zeros(4, np.float32), decayed(layout))
    assert after.tolist() == pytest.approx([1, 1, 1 - 0.005 * 0.01, 1 - 0.005 * 0.01], abs=1e-7)
    assert after[2] < 1


def test_the_learning_rate_falls_in_a_straight_line_of_integers() -> None:
    rates = [learning_rate_units(RULES.optimizer, RULES.rounds, Round(i)) for i in range(6)]
    assert rates == [5_000_000, 3_666_666, 2_333_333, 1_000_000, 1_000_000, 1_000_000]
