"""
How far a payload lies from a replay: what exceeds half a quantisation step (DESIGN 8.4).

Honest rounding to the payload's own step costs nothing; what is left is compared with the replay's
norm. Tensors and chunks whose gradient is below the class's floor, in fp32 1e-6 of the whole
gradient in the auditor's own run, are rounding noise, such as attention's key bias, which AdamW
then scales up by 1 / epsilon: they count in the whole but are not compared alone.
Floats here: distances are judged by tolerance, never hashed. Suffixes as in `layout.py`.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from potp2p.protocol.verification.tolerance import Tolerance
from potp2p.protocol.wire.verification import Distances
from potp2p.training.compression import d8
from potp2p.training.fixed_point import parts_per_million
from potp2p.training.layout import Layout
from potp2p.training.step import Work
from potp2p.training.tensors import Float64


def measure(layout: Layout, payload: d8.Payload, replay: Work, tolerance: Tolerance) -> Distances:
    """Compare a decoded payload with an auditor's own unrounded work."""
    # The codec saturates, and an honest payload with it.
    exact_P = np.clip(replay.update_P, -d8.MAGNITUDE_MAX, d8.MAGNITUDE_MAX).astype(np.float64)
    lengths_C = layout.chunk_lengths_C
    half_steps_C = np.ldexp(0.5, payload.exponents_C.astype(np.int32))
    decoded_P = d8.dequantize(layout, payload).astype(np.float64)
    excess_P = np.maximum(np.abs(decoded_P - exact_P) - np.repeat(half_steps_C, lengths_C), 0.0)
    starts_C = layout.chunk_starts_C
    norms = _Norms(
        excess_C=np.add.reduceat(excess_P**2, starts_C),
        exact_C=np.add.reduceat(exact_P**2, starts_C),
        gradient_C=replay.gradient_squares_C,
        floor=tolerance.floor / 1e6,
    )
    return Distances(
        overall=parts_per_million(_ratio(norms.excess_C.sum(), norms.exact_C.sum())),
        tensor_max=parts_per_million(_worst_tensor(layout, norms)),
        exponents_fit=_exponents_fit(layout, payload, replay, norms, tolerance.tensor / 1e6),
    )


@dataclass(frozen=True, slots=True)
class _Norms:
    """Sums of squares per chunk."""

    excess_C: Float64
    exact_C: Float64
    gradient_C: Float64
    floor: float
    """Share of a whole norm below which what is left is noise."""

    def is_noise(self, gradient: Float64, exact: Float64) -> NDArray[np.bool_]:
        """Tell which parts are rounding noise in their gradient or in their update."""
        return self._is_below(gradient) | self._is_below(exact)

    def _is_below(self, squares: Float64) -> NDArray[np.bool_]:
        return squares < self.floor**2 * squares.sum()


def _worst_tensor(layout: Layout, norms: _Norms) -> float:
    """Return the largest distance of a tensor that is not noise."""
    firsts = layout.tensor_first_chunks
    excess, exact, gradient = (
        np.array([values_C[a:b].sum() for a, b in zip(firsts, (*firsts[1:], None), strict=True)])
        for values_C in (norms.excess_C, norms.exact_C, norms.gradient_C)
    )
    is_noise = norms.is_noise(gradient, exact)
    return max(
        (_ratio(excess[i], exact[i]) for i in range(len(firsts)) if not is_noise[i]), default=0.0
    )


def _exponents_fit(
    layout: Layout, payload: d8.Payload, replay: Work, norms: _Norms, boundary: float
) -> bool:
    """
    Allow an exponent to be one off where the chunk's largest value is near a power of two.

    Near means within the tolerance of one tensor: two honest runs may fall on both sides.
    """
    _, own_C = d8.quantize(layout, replay.update_P)
    largest_C = np.maximum.reduceat(np.abs(replay.update_P), layout.chunk_starts_C)
    lower_C = np.minimum(own_C, payload.exponents_C).astype(np.int32)
    edge_C = np.ldexp(float(d8.VALUE_MAX), lower_C)
    is_near_C = np.abs(largest_C.astype(np.float64) - edge_C) <= boundary * edge_C
    apart_C = np.abs(own_C.astype(np.int16) - payload.exponents_C)
    is_noise_C = norms.is_noise(norms.gradient_C, norms.exact_C)
    return bool(((apart_C == 0) | is_noise_C | ((apart_C == 1) & is_near_C)).all())


def _ratio(part: float, whole: float) -> float:
    """Return the ratio of two norms given their squares."""
    if whole > 0:
        return math.sqrt(part / whole)
    return 0.0 if part == 0 else math.inf
