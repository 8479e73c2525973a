"""Rulings in integers: one tolerance passes, three are void, more fails."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potp2p.foundation.types import MicroNats, PartsPerMillion
from potp2p.protocol.verification.commitments import Finding
from potp2p.protocol.verification.tolerance import Tolerance, tolerance_of
from potp2p.protocol.verification.verdict import (
    Claims,
    MeasureKind,
    Verdict,
    is_unstable,
    measures_of,
    tolerances_apart,
    verdict_of,
    worst_of,
)
from potp2p.protocol.wire.tasks import Mode, ToleranceClass
from potp2p.protocol.wire.verification import Distances, Instability, Trace, TraceEntry

TOLERANCE = Tolerance(1_000, 10_000, 10_000)
TRACE = Trace(tuple(TraceEntry(MicroNats(2_000_000 + each), 10**9) for each in range(8)))
CLAIMS = Claims(TRACE, 2_000_000, 1_900_000, diverged=False)


BOUND = TOLERANCE.unstable * TOLERANCE.overall // 1_000_000
"""What an auditor's own replays may be apart by, over all parameters."""


def found(
    overall: int = 0,
    tensor: int = 0,
    *,
    fit: bool = True,
    trace: Trace = TRACE,
    instability: Instability | None = None,
) -> Finding:
    distances = Distances(PartsPerMillion(overall), PartsPerMillion(tensor), fit)
    return Finding(trace, MicroNats(2_000_000), MicroNats(1_900_000), distances, instability)


def apart(overall: int = 0, tensor: int = 0, trace: int = 0, *, fit: bool = True) -> Instability:
    distances = Distances(PartsPerMillion(overall), PartsPerMillion(tensor), fit)
    return Instability(distances, PartsPerMillion(trace))


@pytest.mark.parametrize(
    ("finding", "verdict"),
    [
        (found(), Verdict.PASS),
        (found(1_000, 10_000), Verdict.PASS),
        (found(1_001), Verdict.VOID),
        (found(tensor=10_001), Verdict.VOID),
        (found(3_000, 30_000), Verdict.VOID),
        (found(3_001), Verdict.FAIL),
        (found(tensor=30_001), Verdict.FAIL),
        (found(fit=False), Verdict.FAIL),
        (found(2_000, 30_001), Verdict.FAIL),
    ],
)
def test_distances_are_judged_at_one_and_three_tolerances(
    finding: Finding, verdict: Verdict
) -> None:
    assert verdict_of(CLAIMS, finding, TOLERANCE) is verdict


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({"loss": MicroNats(2_020_000)}, Verdict.PASS),
        ({"loss": MicroNats(2_020_100)}, Verdict.VOID),
        ({"loss": MicroNats(2_060_500)}, Verdict.FAIL),
        ({"gradient_norm": 10**9 + 10**7}, Verdict.PASS),
        ({"gradient_norm": 10**9 + 10**7 + 10**4}, Verdict.VOID),
        ({"gradient_norm": 10**9 + 4 * 10**7}, Verdict.FAIL),
        ({"gradient_norm": 0}, Verdict.FAIL),
    ],
)
def test_every_entry_of_the_trace_is_judged(change: dict[str, int], verdict: Verdict) -> None:
    entries = list(TRACE.entries)
    for place in (0, 3, 7):
        entries = list(TRACE.entries)
        entries[place] = replace(entries[place], **change)
        claims = replace(CLAIMS, trace=Trace(tuple(entries)))
        assert verdict_of(claims, found(), TOLERANCE) is verdict


@pytest.mark.parametrize("field", ["loss_before", "loss_after"])
@pytest.mark.parametrize("sign", [1, -1])
def test_claimed_losses_are_judged_more_closely_than_traces(field: str, sign: int) -> None:
    honest = found()
    assert TOLERANCE.loss < TOLERANCE.trace
    for tolerances, verdict in ((1, Verdict.PASS), (3, Verdict.VOID), (4, Verdict.FAIL)):
        replayed = getattr(honest, field)
        lie = replayed * TOLERANCE.loss * tolerances // 1_000_000
        claims = replace(CLAIMS, loss_before=honest.loss_before, loss_after=honest.loss_after)
        claims = replace(claims, **{field: replayed + sign * lie})
        assert verdict_of(claims, honest, TOLERANCE) is verdict


def test_trace_of_another_length_fails() -> None:
    shorter = Trace(TRACE.entries[:-1])
    assert verdict_of(replace(CLAIMS, trace=shorter), found(), TOLERANCE) is Verdict.FAIL
    assert verdict_of(CLAIMS, found(trace=shorter), TOLERANCE) is Verdict.FAIL


def test_small_numbers_are_compared_at_their_floor() -> None:
    tiny = Trace(tuple(TraceEntry(MicroNats(10), 100) for _ in range(8)))
    zero = Trace(tuple(TraceEntry(MicroNats(0), 0) for _ in range(8)))
    assert verdict_of(replace(CLAIMS, trace=tiny), found(trace=zero), TOLERANCE) is Verdict.PASS


def test_diverged_claim_is_judged_by_distances_alone() -> None:
    wild = Claims(Trace(()), 1 << 39, 0, diverged=True)
    assert verdict_of(wild, found(), TOLERANCE) is Verdict.PASS
    assert verdict_of(wild, found(1 << 39), TOLERANCE) is Verdict.FAIL


@given(st.integers(0, 1 << 40), st.integers(0, 1 << 40))
def test_greater_distance_is_never_judged_milder(one: int, other: int) -> None:
    near, far = sorted((one, other))
    assert verdict_of(CLAIMS, found(near), TOLERANCE) <= verdict_of(CLAIMS, found(far), TOLERANCE)


def test_every_class_and_mode_has_a_tolerance_below_its_nearest_cheat() -> None:
    # Sign flipping shows a distance of 2, a skipped step of a five-step round one of a fifth.
    assert tolerance_of(ToleranceClass.SMOOTH, Mode.LOCAL).overall * 3 < 59_000
    # bfloat16 passed off as float32 lies 770 ppm off, TF32 half of that.
    assert tolerance_of(ToleranceClass.SMOOTH, Mode.GRADIENT).overall * 3 < 770
    for kind in ToleranceClass:
        for mode in Mode:
            if (kind, mode) != (ToleranceClass.BF16, Mode.LOCAL):
                assert 0 < tolerance_of(kind, mode).overall * 3 < 200_000


def test_local_steps_in_low_precision_have_no_tolerance() -> None:
    with pytest.raises(KeyError):
        tolerance_of(ToleranceClass.BF16, Mode.LOCAL)


@pytest.mark.parametrize(
    ("claims", "finding", "kind", "measured"),
    [
        (CLAIMS, found(2_500, 11_000), MeasureKind.OVERALL, 2_500),
        (CLAIMS, found(1_100, 25_000), MeasureKind.TENSOR, 25_000),
        (CLAIMS, found(9_999, fit=False), MeasureKind.OVERALL, 9_999),
        (CLAIMS, found(fit=False), MeasureKind.EXPONENTS, 1),
        (CLAIMS, found(trace=Trace(TRACE.entries[:5])), MeasureKind.TRACE_LENGTH, 3),
        (replace(CLAIMS, loss_before=2_100_000), found(), MeasureKind.LOSS_BEFORE, 50_000),
        (replace(CLAIMS, loss_after=1_995_000), found(), MeasureKind.LOSS_AFTER, 50_000),
    ],
)
def test_the_measure_that_decides_is_named(
    claims: Claims, finding: Finding, kind: MeasureKind, measured: int
) -> None:
    worst = worst_of(measures_of(claims, finding, TOLERANCE))
    assert (worst.kind, worst.measured) == (kind, measured)
    assert worst.verdict is verdict_of(claims, finding, TOLERANCE)


CHAOS = apart(80_000, 300_000, 380_000)


@pytest.mark.parametrize(
    ("instability", "unstable"),
    [
        (None, False),
        (apart(), False),
        (apart(BOUND, 10 * BOUND, 10 * BOUND), False),
        (apart(BOUND + 1), True),
        (apart(tensor=10 * BOUND + 1), True),
        (apart(trace=10 * BOUND + 1), True),
        (apart(fit=False), True),
        (apart((1 << 40) - 1, (1 << 40) - 1, (1 << 40) - 1), True),
    ],
)
def test_training_is_unstable_beyond_a_share_of_any_tolerance(
    instability: Instability | None, unstable: bool
) -> None:
    assert is_unstable(instability, TOLERANCE) is unstable
    far = found(900_000, 900_000, instability=instability)
    assert verdict_of(CLAIMS, far, TOLERANCE) is (Verdict.VOID if unstable else Verdict.FAIL)


def test_instability_excuses_what_drifts_and_nothing_else() -> None:
    honest = found(instability=CHAOS)
    drifted = Trace(tuple(replace(each, gradient_norm=2 * 10**9) for each in TRACE.entries))
    assert verdict_of(replace(CLAIMS, trace=drifted), honest, TOLERANCE) is Verdict.VOID
    assert verdict_of(CLAIMS, found(fit=False, instability=CHAOS), TOLERANCE) is Verdict.VOID
    for lie in (
        replace(CLAIMS, loss_before=2_100_000),
        replace(CLAIMS, loss_after=1),
        replace(CLAIMS, trace=Trace(TRACE.entries[:-1])),
    ):
        assert verdict_of(lie, honest, TOLERANCE) is Verdict.FAIL
        assert verdict_of(lie, found(900_000, instability=CHAOS), TOLERANCE) is Verdict.FAIL


@given(st.integers(0, (1 << 40) - 1), st.integers(0, (1 << 40) - 1), st.integers(0, (1 << 40) - 1))
def test_no_word_about_instability_makes_a_report_worse_or_a_failure_a_pass(
    distance: int, overall: int, trace: int
) -> None:
    stable = verdict_of(CLAIMS, found(distance), TOLERANCE)
    said = apart(overall, overall, trace)
    unstable = verdict_of(CLAIMS, found(distance, instability=said), TOLERANCE)
    assert unstable in (stable, Verdict.VOID)
    assert unstable <= stable
    assert (unstable is Verdict.PASS) is (stable is Verdict.PASS)
    assert 0 <= tolerances_apart(said, TOLERANCE) < 1 << 40


def test_what_is_excused_decides_before_what_is_void_anyway() -> None:
    finding = found(1_500, 900_000, instability=CHAOS)
    worst = worst_of(measures_of(CLAIMS, finding, TOLERANCE))
    assert (worst.kind, worst.verdict) == (MeasureKind.TENSOR, Verdict.VOID)
    assert worst.is_excused
    plain = worst_of(measures_of(CLAIMS, found(1_500, instability=CHAOS), TOLERANCE))
    assert plain.verdict is Verdict.VOID
    assert not plain.is_excused
