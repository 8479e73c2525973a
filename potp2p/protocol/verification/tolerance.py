"""How far an honest replay may lie off, by class and mode (verification.md section 6, DESIGN 8)."""

from dataclasses import dataclass
from typing import Final

from potp2p.protocol.wire.tasks import Mode, ToleranceClass


@dataclass(frozen=True, slots=True)
class Tolerance:
    """One tolerance in ppm; up to 1 passes, up to VOID_FACTOR is void, beyond fails."""

    overall: int
    """Distance over all parameters."""
    tensor: int
    """Largest distance of a single tensor."""
    trace: int
    """Relative difference of a loss or gradient norm."""
    loss: int = 1_000
    """
    Relative difference of a claimed loss: one forward pass over public data, which drifts by
    rounding alone (at most 4 ppm in float32). As wide as a trace's it would be worth lying within:
    a twentieth of the loss is more than a late round gains.
    """
    floor: int = 1
    """Share of the whole norm below which a tensor is rounding noise and not compared alone."""
    unstable: int = 500_000
    """
    Share of these tolerances, in ppm, beyond which one auditor's own two replays show that honest
    machines drift apart: then no distance convicts. A sixth of what an honest miner would have to
    be off by to be convicted; stable tasks with smooth activations stay below a tenth, and what is
    left there is noise such as attention's key biases.
    """


VOID_FACTOR: Final = 3
"""Honest tails are heavy and no false-positive rate is known: unpaid up to here, never slashed."""
LOSS_FLOOR: Final = 100_000
"""Losses below 0.1 nat are compared as if they were that large: rounding dominates there."""
NORM_FLOOR: Final = 1_000_000
"""Gradient norms below 1e-3 likewise; in units of 1e-9."""

_TOLERANCES: Final = {
    # Honest beyond half a step: 1 ppm between the instruction sets of a CPU. bfloat16 passed off as
    # float32 reaches 770 and is caught; TF32, which is switched off, would be void.
    (ToleranceClass.SMOOTH, Mode.GRADIENT): Tolerance(200, 10_000, 10_000),
    # Honest beyond half a step, 20 AdamW steps of a GPT-2: 77 / 295 ppm, norms of the trace
    # 6,900. A skipped last step lies 25,000 off, bfloat16 24,000, one percent of noise 4,000.
    (ToleranceClass.SMOOTH, Mode.LOCAL): Tolerance(2_000, 20_000, 50_000),
    # Honest: 13,000 / 32,000 ppm, where a rounding flips a kink; thin margin. Noise of five percent
    # and a scale of 1.05 lie at 1.1 to 1.6 tolerances: void, and a percent of noise passes. What
    # may flip a kink may do so in an auditor's own two replays.
    (ToleranceClass.RELU, Mode.GRADIENT): Tolerance(30_000, 100_000, 100_000, unstable=1_000_000),
    (ToleranceClass.RELU, Mode.LOCAL): Tolerance(30_000, 100_000, 100_000, unstable=1_000_000),
    # Honest beyond half a step: 970 / 4,000 ppm between instruction sets, and 2,400 / 4,500 from
    # float32 itself, beyond which no device's bfloat16 lies. Local steps in it drift beyond any
    # use: refused. Its noise is 2^15 times that of float32: attention's key biases, whose gradient
    # is nothing else, reach 3e-5 of the whole norm and differ by all of it.
    (ToleranceClass.BF16, Mode.GRADIENT): Tolerance(10_000, 30_000, 20_000, loss=20_000, floor=300),
}


def tolerance_of(kind: ToleranceClass, mode: Mode) -> Tolerance:
    """Return the tolerance of a task."""
    return _TOLERANCES[kind, mode]
