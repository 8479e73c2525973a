"""Floats to the integers that the protocol carries, and back; each rounds in one stated way."""

import math
from typing import Final

import numpy as np

from potp2p.foundation.types import MicroNats, PartsPerMillion, Round
from potp2p.protocol.wire.tasks import OptimizerRule, RoundRule

LOSS_MAX: Final = MicroNats((1 << 40) - 1)
"""What a loss that is not finite, or larger, is written as; a flag beside it says so."""
NORM_MAX: Final = (1 << 60) - 1
PPM_MAX: Final = (1 << 40) - 1


def micro_nats(loss: float) -> MicroNats:
    """Round a loss to integer micro-nats, saturating."""
    if not math.isfinite(loss) or loss * 1e6 >= LOSS_MAX:
        return LOSS_MAX
    return MicroNats(max(0, round(loss * 1e6)))


def nano_norm(norm: float) -> int:
    """Round a gradient norm to units of 1e-9, saturating."""
    if not math.isfinite(norm) or norm * 1e9 >= NORM_MAX:
        return NORM_MAX
    return round(norm * 1e9)


def parts_per_million(ratio: float) -> PartsPerMillion:
    """Round a distance up to integer ppm, so that only equality is zero."""
    if not math.isfinite(ratio) or ratio * 1e6 >= PPM_MAX:
        return PartsPerMillion(PPM_MAX)
    return PartsPerMillion(math.ceil(ratio * 1e6))


def learning_rate_units(optimizer: OptimizerRule, rounds: RoundRule, index: Round) -> int:
    """Return the rate of a round in units of 1e-9: linear from first to last, floored."""
    last = max(1, rounds.rounds - 1)
    span = optimizer.learning_rate_final - optimizer.learning_rate
    return optimizer.learning_rate + span * min(index, last) // last


def float32_of(units: int, per_one: int) -> float:
    """
    Return units / per_one rounded to float64, then to float32, as a Python float.

    A Python float that is exactly a float32 multiplies float32 arrays alike in numpy and torch.
    """
    return float(np.float32(units / per_one))
