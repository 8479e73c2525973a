"""
From measured distances, traces and loss claims to a verdict, in integers (DESIGN 8.4).

Where training is so unstable that a rounding grows beyond what may be tolerated, a distance proves
nothing: an auditor whose own two replays drift apart finds void where it would have found a
failure. What needs no training to be compared, the claimed losses, convicts all the same.

What a lie about it is worth: void instead of fail, to save a cheater, is outvoted by all judges,
which replay whatever drawn auditors call unstable, and leaves the liar unpaid and out of the
tables; pass would have served it better. Fail instead of void, to convict an honest miner, takes a
quorum of judges, as without any of this. The nudge is given by the contribution and the auditor,
and what is measured with it by training alone, so that no miner can make itself look unstable.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import IntEnum, unique
from typing import Final

from potp2p.protocol.verification.commitments import Finding
from potp2p.protocol.verification.tolerance import (
    LOSS_FLOOR,
    NORM_FLOOR,
    VOID_FACTOR,
    Tolerance,
)
from potp2p.protocol.wire.fields import PPM_BOUND
from potp2p.protocol.wire.verification import Instability, Trace

PPM: Final = 1_000_000


@unique
class Verdict(IntEnum):
    """What stands about a contribution; the larger the worse."""

    PASS = 0
    VOID = 1
    """No ruling: unpaid, not slashed."""
    FAIL = 2


@unique
class MeasureKind(IntEnum):
    """What is compared between a contribution and a replay."""

    OVERALL = 0
    """Distance over all parameters."""
    TENSOR = 1
    """Largest distance of a single tensor."""
    EXPONENTS = 2
    """1 where a chunk's exponent is not that of the encoded replay; nothing is tolerated."""
    TRACE_LENGTH = 3
    """Entries too many or too few; nothing is tolerated."""
    TRACE_LOSS = 4
    """Of one micro-batch."""
    TRACE_NORM = 5
    LOSS_BEFORE = 6
    LOSS_AFTER = 7


DRIFTING: Final = frozenset(
    {
        MeasureKind.OVERALL,
        MeasureKind.TENSOR,
        MeasureKind.EXPONENTS,
        MeasureKind.TRACE_LOSS,
        MeasureKind.TRACE_NORM,
    }
)
"""What honest machines differ by where training is unstable; losses are of given weights."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One comparison: what was measured and how much of it is tolerated, in ppm but for counts."""

    kind: MeasureKind
    measured: int
    tolerance: int
    unstable: bool = False
    """The auditor's own replays drift apart in what is compared."""

    @property
    def verdict(self) -> Verdict:
        """Return what it says alone."""
        return Verdict.VOID if self.is_excused else _judge(self.measured, self.tolerance)

    @property
    def is_excused(self) -> bool:
        """Tell whether it would have failed, were training not unstable."""
        return self.unstable and _judge(self.measured, self.tolerance) is Verdict.FAIL


@dataclass(frozen=True, slots=True)
class Claims:
    """What the miner said: its trace is None while it has not opened it."""

    trace: Trace | None
    loss_before: int
    loss_after: int
    diverged: bool


def verdict_of(claims: Claims, finding: Finding, tolerance: Tolerance) -> Verdict:
    """
    Return what one auditor's finding says about a contribution.

    A diverged claim has no comparable numbers: only the distances speak, which the auditor sets to
    their bound when its own replay did not diverge.
    """
    return worst_of(measures_of(claims, finding, tolerance)).verdict


def worst_of(measures: Iterable[Measure]) -> Measure:
    """Return the measure that decides: the worst verdict, then the most tolerances off."""
    return max(
        measures, key=lambda each: (each.verdict, each.measured * PPM // max(each.tolerance, 1))
    )


def measures_of(claims: Claims, finding: Finding, tolerance: Tolerance) -> Iterator[Measure]:
    """Yield everything that is compared, at least the distances."""
    unstable = is_unstable(finding.instability, tolerance)
    for each in _compared(claims, finding, tolerance):
        yield replace(each, unstable=unstable and each.kind in DRIFTING)


def is_unstable(instability: Instability | None, tolerance: Tolerance) -> bool:
    """Tell whether an auditor's own replays lie too far apart for a distance to prove anything."""
    return instability is not None and tolerances_apart(instability, tolerance) > tolerance.unstable


def tolerances_apart(instability: Instability, tolerance: Tolerance) -> int:
    """Return how far an auditor's own replays lie apart, in millionths of a tolerance."""
    distances = instability.distances
    if not distances.exponents_fit:
        return PPM_BOUND - 1
    shares = (
        distances.overall * PPM // tolerance.overall,
        distances.tensor_max * PPM // tolerance.tensor,
        instability.trace * PPM // tolerance.trace,
    )
    return min(max(shares), PPM_BOUND - 1)


def _compared(claims: Claims, finding: Finding, tolerance: Tolerance) -> Iterator[Measure]:
    assert claims.trace is not None
    distances = finding.distances
    yield Measure(MeasureKind.OVERALL, distances.overall, tolerance.overall)
    yield Measure(MeasureKind.TENSOR, distances.tensor_max, tolerance.tensor)
    # A coarser exponent would widen the allowed half step: it is never an honest result.
    yield Measure(MeasureKind.EXPONENTS, 0 if distances.exponents_fit else 1, 0)
    if claims.diverged:
        return
    claimed, replayed = claims.trace.entries, finding.trace.entries
    yield Measure(MeasureKind.TRACE_LENGTH, abs(len(claimed) - len(replayed)), 0)
    limit = tolerance.trace
    # Of hundreds of entries the worst decides: a judge's ruling must not take a block's time.
    losses = zip((each.loss for each in claimed), (each.loss for each in replayed), strict=False)
    worst = max((relative(left, right, LOSS_FLOOR) for left, right in losses), default=0)
    yield Measure(MeasureKind.TRACE_LOSS, worst, limit)
    pairs = zip(claimed, replayed, strict=False)
    norms = ((left.gradient_norm, right.gradient_norm) for left, right in pairs)
    worst = max((relative(left, right, NORM_FLOOR) for left, right in norms), default=0)
    yield Measure(MeasureKind.TRACE_NORM, worst, limit)
    before = relative(claims.loss_before, finding.loss_before, LOSS_FLOOR)
    yield Measure(MeasureKind.LOSS_BEFORE, before, tolerance.loss)
    after = relative(claims.loss_after, finding.loss_after, LOSS_FLOOR)
    yield Measure(MeasureKind.LOSS_AFTER, after, tolerance.loss)


def relative(claimed: int, replayed: int, floor: int) -> int:
    """Return a difference in ppm of what the replay found."""
    return abs(claimed - replayed) * PPM // max(replayed, floor)


def _judge(measured: int, tolerance: int) -> Verdict:
    if measured <= tolerance:
        return Verdict.PASS
    return Verdict.VOID if measured <= VOID_FACTOR * tolerance else Verdict.FAIL
