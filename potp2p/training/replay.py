"""
How far a payload lies from a replay: what exceeds half a quantisation step (DESIGN 8.4).

Honest rounding to the payload's own step costs nothing; what is left is compared with the replay's
norm. Floats here: distances are judged by tolerance, never hashed. Suffixes as in `layout.py`.
"""

from itertools import pairwise
from typing import Final

import numpy as np

from potp2p.protocol.wire.tasks import ToleranceClass
from potp2p.protocol.wire.verification import Distances
from potp2p.training.compression import d8
from potp2p.training.fixed_point import parts_per_million
from potp2p.training.layout import Layout
from potp2p.training.tensors import Float32, Float64

FLOOR: Final = 1e-6
"""Tensors and chunks below this share of the whole norm are rounding noise."""
BOUNDARY: Final = {ToleranceClass.SMOOTH: 1e-2, ToleranceClass.RELU: 1e-1}
"""How near its power of two a chunk's largest value must lie for an exponent to be one off."""


def measure(
    layout: Layout, payload: d8.Payload, replay_P: Float32, tolerance: ToleranceClass
) -> Distances:
    """Compare a decoded payload with an auditor's own unrounded update."""
    # The codec saturates, and an honest payload with it.
    exact_P = np.clip(replay_P, -d8.MAGNITUDE_MAX, d8.MAGNITUDE_MAX).astype(np.float64)
    lengths_C = layout.chunk_lengths_C
    half_steps_C = np.ldexp(0.5, payload.exponents_C.astype(np.int32))
    decoded_P = d8.dequantize(layout, payload).astype(np.float64)
    excess_P = np.maximum(np.abs(decoded_P - exact_P) - np.repeat(half_steps_C, lengths_C), 0.0)
    norm = float(np.linalg.norm(exact_P))
    return Distances(
        overall=parts_per_million(_ratio(float(np.linalg.norm(excess_P)), norm)),
        tensor_max=parts_per_million(_worst_tensor(layout, excess_P, exact_P, norm)),
        exponents_fit=_exponents_fit(layout, payload, replay_P, norm, BOUNDARY[tolerance]),
    )


def _worst_tensor(
    layout: Layout,
    excess_P: Float64,
    exact_P: Float64,
    norm: float,
) -> float:
    worst = 0.0
    for start, end in pairwise(layout.offsets):
        excess = float(np.linalg.norm(excess_P[start:end]))
        # The floor stands in for the norm of a tensor that is all rounding noise: such a tensor
        # is not compared alone, yet nothing larger can hide in it.
        own = max(float(np.linalg.norm(exact_P[start:end])), FLOOR * norm)
        worst = max(worst, _ratio(excess, own))
    return worst


def _exponents_fit(
    layout: Layout, payload: d8.Payload, replay_P: Float32, norm: float, boundary: float
) -> bool:
    """Allow an exponent to be one off where the chunk's largest value is near a power of two."""
    _, own_C = d8.quantize(layout, replay_P)
    largest_C = np.maximum.reduceat(np.abs(replay_P), layout.chunk_starts_C).astype(np.float64)
    squares_C = np.add.reduceat(replay_P.astype(np.float64) ** 2, layout.chunk_starts_C)
    is_noise_C = np.sqrt(squares_C) < FLOOR * norm
    lower_C = np.minimum(own_C, payload.exponents_C).astype(np.int32)
    edge_C = np.ldexp(float(d8.VALUE_MAX), lower_C)
    is_near_C = np.abs(largest_C - edge_C) <= boundary * edge_C
    apart_C = np.abs(own_C.astype(np.int16) - payload.exponents_C)
    return bool(((apart_C == 0) | is_noise_C | ((apart_C == 1) & is_near_C)).all())


def _ratio(part: float, whole: float) -> float:
    if whole > 0:
        return part / whole
    return 0.0 if part == 0 else float("inf")
