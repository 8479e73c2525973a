"""From measured distances, traces and loss claims to a verdict, in integers (DESIGN 8.4)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Final

from potp2p.protocol.verification.commitments import Finding
from potp2p.protocol.verification.tolerance import (
    LOSS_FLOOR,
    NORM_FLOOR,
    VOID_FACTOR,
    Tolerance,
)
from potp2p.protocol.wire.verification import Trace

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


@dataclass(frozen=True, slots=True)
class Measure:
    """One comparison: what was measured and how much of it is tolerated, in ppm but for counts."""

    kind: MeasureKind
    measured: int
    tolerance: int

    @property
    def verdict(self) -> Verdict:
        """Return what it says alone."""
        return _judge(self.measured, self.tolerance)


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
    for left, right in zip(claimed, replayed, strict=False):
        loss = _relative(left.loss, right.loss, LOSS_FLOOR)
        yield Measure(MeasureKind.TRACE_LOSS, loss, limit)
        norm = _relative(left.gradient_norm, right.gradient_norm, NORM_FLOOR)
        yield Measure(MeasureKind.TRACE_NORM, norm, limit)
    before = _relative(claims.loss_before, finding.loss_before, LOSS_FLOOR)
    yield Measure(MeasureKind.LOSS_BEFORE, before, tolerance.loss)
    after = _relative(claims.loss_after, finding.loss_after, LOSS_FLOOR)
    yield Measure(MeasureKind.LOSS_AFTER, after, tolerance.loss)


def _relative(claimed: int, replayed: int, floor: int) -> int:
    """Return a difference in ppm of what the replay found."""
    return abs(claimed - replayed) * PPM // max(replayed, floor)


def _judge(measured: int, tolerance: int) -> Verdict:
    if measured <= tolerance:
        return Verdict.PASS
    return Verdict.VOID if measured <= VOID_FACTOR * tolerance else Verdict.FAIL
