"""From measured distances, traces and loss claims to a ruling, in integers (DESIGN 8.4)."""

from collections.abc import Sequence
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
from potp2p.protocol.wire.verification import Distances, Trace

PPM: Final = 1_000_000


@unique
class Verdict(IntEnum):
    """What stands about a contribution; the larger the worse."""

    PASS = 0
    VOID = 1
    """No ruling: unpaid, not slashed."""
    FAIL = 2


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
    assert claims.trace is not None
    worst = _judge_distances(finding.distances, tolerance)
    if claims.diverged:
        return worst
    return max(
        worst,
        _judge_traces(claims.trace, finding.trace, tolerance),
        _judge_relative(claims.loss_before, finding.loss_before, tolerance.trace, LOSS_FLOOR),
        _judge_relative(claims.loss_after, finding.loss_after, tolerance.trace, LOSS_FLOOR),
    )


def ruling(claims: Claims, findings: Sequence[Finding | None], tolerance: Tolerance) -> Verdict:
    """
    Return what stands once commits and reveals are over; None is an auditor that stayed away.

    A miner that does not open its trace fails whatever the auditors say: it was asked to show that
    it had trained. Auditors that disagree, or an absent one, leave no verdict (escalation to all
    validators is a later issue).
    """
    if claims.trace is None:
        return Verdict.FAIL
    verdicts = {
        Verdict.VOID if finding is None else verdict_of(claims, finding, tolerance)
        for finding in findings
    }
    return verdicts.pop() if len(verdicts) == 1 else Verdict.VOID


def _judge_distances(distances: Distances, tolerance: Tolerance) -> Verdict:
    if not distances.exponents_fit:
        # A coarser exponent would widen the allowed half step: it is never an honest result.
        return Verdict.FAIL
    return max(
        _judge(distances.overall, tolerance.overall),
        _judge(distances.tensor_max, tolerance.tensor),
    )


def _judge_traces(claimed: Trace, replayed: Trace, tolerance: Tolerance) -> Verdict:
    if len(claimed.entries) != len(replayed.entries):
        return Verdict.FAIL
    worst = Verdict.PASS
    for left, right in zip(claimed.entries, replayed.entries, strict=True):
        worst = max(
            worst,
            _judge_relative(left.loss, right.loss, tolerance.trace, LOSS_FLOOR),
            _judge_relative(left.gradient_norm, right.gradient_norm, tolerance.trace, NORM_FLOOR),
        )
    return worst


def _judge_relative(claimed: int, replayed: int, tolerance: int, floor: int) -> Verdict:
    return _judge(abs(claimed - replayed) * PPM // max(replayed, floor), tolerance)


def _judge(measured: int, tolerance: int) -> Verdict:
    if measured <= tolerance:
        return Verdict.PASS
    return Verdict.VOID if measured <= VOID_FACTOR * tolerance else Verdict.FAIL
