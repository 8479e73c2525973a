"""theta(t+1): the same bits whatever the order, the threads or the CPU."""

import os
import subprocess
import sys
from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
import torch

from potp2p.foundation.types import Round
from potp2p.protocol.wire.tasks import Mode, Optimizer
from potp2p.training.aggregation import (
    aggregate,
    clip_factors,
    mean_buffers_B,
    mean_update_P,
)
from potp2p.training.checkpoint import Checkpoint, encode_checkpoint
from potp2p.training.compression import d8
from potp2p.training.layout import Layout
from potp2p.training.self_test import KNOWN_ANSWER, LAYOUT, compute_answer, numbers
from tests.training.orders import lease, rules

START = Checkpoint(
    LAYOUT, numbers("theta", LAYOUT.parameter_count, 3), np.ones(4, np.float32), None
)
TINY = Layout((("w", (2,)),), (("mean", (1,)),))


def payloads(count: int) -> list[d8.Payload]:
    return [
        d8.decode(
            d8.encode(
                lease(index),
                LAYOUT,
                numbers(f"u{index}", LAYOUT.parameter_count, 2),
                np.full(4, index, np.float32),
            ),
            LAYOUT,
        )
        for index in range(count)
    ]


def tiny(values: list[float], buffer: float = 0) -> d8.Payload:
    update_P, buffers_B = np.array(values, np.float32), np.array([buffer], np.float32)
    return d8.decode(d8.encode(lease(), TINY, update_P, buffers_B), TINY)


@pytest.mark.parametrize(
    ("mode", "optimizer"),
    [
        (Mode.LOCAL, Optimizer.ADAMW),
        (Mode.GRADIENT, Optimizer.SGD),
        (Mode.GRADIENT, Optimizer.ADAMW),
    ],
)
def test_the_order_of_payloads_does_not_show(mode: Mode, optimizer: Optimizer) -> None:
    rule = rules(mode, optimizer)
    start = START.with_moments(rule)
    roots = {
        encode_checkpoint(aggregate(rule, Round(1), start, order))
        for order in permutations(payloads(4))
    }
    assert len(roots) == 1


def test_exact_arithmetic_gives_the_known_answer_with_one_thread_and_with_two() -> None:
    threads = torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            assert compute_answer().hex() == KNOWN_ANSWER
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize(
    "variant",
    [
        {"ATEN_CPU_CAPABILITY": "default", "NPY_DISABLE_CPU_FEATURES": "AVX512F AVX2 FMA3"},
        {"ATEN_CPU_CAPABILITY": "avx2", "OMP_NUM_THREADS": "2", "MKL_CBWR": "COMPATIBLE"},
    ],
    ids=["baseline", "avx2"],
)
def test_exact_arithmetic_is_the_same_on_older_processors(variant: dict[str, str]) -> None:
    code = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "from potp2p.training.self_test import verify_arithmetic; verify_arithmetic()"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **variant}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr.decode()[-400:]


def test_the_median_of_an_even_number_is_the_lower_one() -> None:
    assert clip_factors([4, 100, 1, 9], 100) == [65536, 65536 * 2 // 10, 65536, 65536 * 2 // 3]


def test_a_norm_at_the_limit_is_not_clipped_and_one_above_is() -> None:
    assert clip_factors([100, 100, 400], 200) == [65536, 65536, 65536]
    assert clip_factors([100, 100, 401], 200) == [65536, 65536, 65454]


def test_no_payloads_leave_theta_as_it_is() -> None:
    assert clip_factors([], 100) == []
    assert encode_checkpoint(aggregate(rules(), Round(0), START, [])) == encode_checkpoint(START)


def test_a_full_round_of_the_largest_values_fits_64_bits() -> None:
    largest = [tiny([31.75, -31.75], 2047)] * 1_024
    assert mean_update_P(TINY, largest, [65536] * 1_024).tolist() == [31.75, -31.75]
    assert mean_buffers_B(largest).tolist() == [2047]


def test_the_mean_is_the_exact_mean_rounded_once_to_float32() -> None:
    held = payloads(3)
    factors = clip_factors([payload.norm_squared(LAYOUT) for payload in held], 299)
    assert factors == [65536] * 3
    decoded = [d8.dequantize(LAYOUT, payload) for payload in held]
    mean_P = mean_update_P(LAYOUT, held, factors)
    for index in range(0, LAYOUT.parameter_count, 97):
        exact = sum(Fraction(float(values_P[index])) for values_P in decoded) / 3
        assert mean_P[index] == np.float32(float(exact))


def test_a_payload_that_is_all_zero_has_no_say() -> None:
    start = Checkpoint(TINY, np.array([1, 2], np.float32), np.ones(1, np.float32), None)
    mean = aggregate(rules(), Round(0), start, [tiny([0.5, 0], 4), tiny([0, 0], 9)])
    assert mean.theta_P.tolist() == [0.5, 2]
    assert mean.buffers_B.tolist() == [4]
    assert aggregate(rules(), Round(0), start, [tiny([0, 0], 9)]) is start


def test_a_giant_counts_as_one_honest_vote() -> None:
    held = [tiny([1, 0]), tiny([0, 1]), tiny([-30, -30])]
    factors = clip_factors([payload.norm_squared(TINY) for payload in held], 100)
    mean_P = mean_update_P(TINY, held, factors)
    assert np.abs(mean_P * 3 - [1 - 0.7071, 1 - 0.7071]).max() < 1e-3


def test_gradient_mode_with_sgd_is_the_published_formula() -> None:
    rule = rules(Mode.GRADIENT, Optimizer.SGD)
    start = Checkpoint(TINY, np.array([1, 2], np.float32), np.zeros(1, np.float32), None)
    after = aggregate(rule, Round(0), start, [tiny([0.5, 0], 1), tiny([0.5, 0.5], 2)])
    eta = np.float32(0.005)
    assert after.theta_P.tolist() == [1 - eta * np.float32(0.5), 2 - eta * np.float32(0.25)]
    assert after.buffers_B.tolist() == [1.5]


def test_local_mode_subtracts_the_mean_difference() -> None:
    start = Checkpoint(TINY, np.array([1, 2], np.float32), np.zeros(1, np.float32), None)
    after = aggregate(rules(), Round(0), start, [tiny([0.5, 0]), tiny([0.5, 0.5])])
    assert after.theta_P.tolist() == [0.5, 1.75]


def test_steps_of_void_rounds_do_not_count() -> None:
    rule = rules(Mode.GRADIENT, Optimizer.ADAMW)
    after = aggregate(rule, Round(9), START.with_moments(rule), payloads(1))
    assert after.moments is not None
    assert after.moments.steps == 1
