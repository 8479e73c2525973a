"""A rounding added to the weights: the same everywhere, harmless where stable, seen in chaos."""

from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest

from potp2p.foundation.types import Digest, MicroNats, PartsPerMillion
from potp2p.protocol.verification.tolerance import Tolerance, tolerance_of
from potp2p.protocol.verification.verdict import is_unstable, tolerances_apart
from potp2p.protocol.wire.tasks import Mode, TaskRules
from potp2p.protocol.wire.verification import Distances, Trace, TraceEntry
from potp2p.training.central import Package
from potp2p.training.checkpoint import Checkpoint
from potp2p.training.nudging import apart, is_near, nudge, parts_apart
from potp2p.training.step import Work, compute_lease, ignore_progress
from tests.training.orders import lease

SEED = Digest(bytes(range(32)))


@pytest.fixture(params=[Mode.LOCAL, Mode.GRADIENT], ids=["local", "gradient"])
def package(request: pytest.FixtureRequest, local: Package, gradient: Package) -> Package:
    return local if request.param is Mode.LOCAL else gradient


def work_of(package: Package, checkpoint: Checkpoint, rules: TaskRules) -> Work:
    return compute_lease(
        package.model, checkpoint, rules, lease(), package.shards[0], ignore_progress
    )


def tolerance(package: Package) -> Tolerance:
    return tolerance_of(package.rules.model.tolerance, package.rules.mode)


def chaotic(rules: TaskRules) -> TaskRules:
    """Return rules whose steps overshoot so far that a rounding grows with each of them."""
    optimizer = replace(rules.optimizer, learning_rate=300_000_000, learning_rate_final=300_000_000)
    return replace(rules, optimizer=optimizer, batch=replace(rules.batch, steps=40))


def test_a_nudge_is_a_rounding_of_each_weight(package: Package) -> None:
    theta_P = package.initial.theta_P
    nudged_P = nudge(package.initial, SEED).theta_P
    changed = theta_P != nudged_P
    assert nudged_P.dtype == np.float32
    assert changed[theta_P != 0].all()
    assert not changed[theta_P == 0].any()
    relative = np.abs(nudged_P.astype(np.float64) - theta_P)[changed] / np.abs(theta_P[changed])
    assert relative.max() <= 2**-22
    up = np.count_nonzero(np.abs(nudged_P[changed]) > np.abs(theta_P[changed]))
    assert 0.45 < up / np.count_nonzero(changed) < 0.55


def test_a_nudge_follows_from_its_seed_bit_for_bit(local: Package) -> None:
    theta_P = np.linspace(-1, 1, local.initial.theta_P.size, dtype=np.float32)
    one = nudge(replace(local.initial, theta_P=theta_P), SEED).theta_P
    again = nudge(replace(local.initial, theta_P=theta_P), SEED).theta_P
    other = nudge(replace(local.initial, theta_P=theta_P), Digest(bytes(32))).theta_P
    assert one.tobytes() == again.tobytes()
    assert one.tobytes() != other.tobytes()
    # A known answer over numbers that need no rounding: signs times an exact power of two.
    ones_P = np.ones(1_000, np.float32)
    signs_P = nudge(replace(local.initial, theta_P=ones_P), SEED).theta_P > 1
    expected = bytes(np.packbits(signs_P)[:32])
    assert expected == sha256(SEED + bytes(8)).digest()


def test_a_stable_task_stays_far_below_what_would_excuse_anybody(package: Package) -> None:
    works = [
        work_of(package, checkpoint, package.rules)
        for checkpoint in (package.initial, nudge(package.initial, SEED))
    ]
    found = apart(package.initial.layout, lease(), (works[0], works[1]), tolerance(package))
    assert not is_unstable(found, tolerance(package))
    assert tolerances_apart(found, tolerance(package)) < tolerance(package).unstable // 2


def test_chaos_is_seen_from_weights_that_differ_by_a_rounding(local: Package) -> None:
    rules = chaotic(local.rules)
    works = [
        work_of(local, checkpoint, rules)
        for checkpoint in (local.initial, nudge(local.initial, SEED))
    ]
    found = apart(local.initial.layout, lease(), (works[0], works[1]), tolerance(local))
    assert is_unstable(found, tolerance(local))


def test_one_replay_that_diverges_and_one_that_does_not_are_as_far_apart_as_can_be(
    local: Package,
) -> None:
    work = work_of(local, local.initial, local.rules)
    nothing = replace(work, update_P=np.zeros_like(work.update_P), diverged=True)
    for pair in ((work, nothing), (nothing, work)):
        assert is_unstable(
            apart(local.initial.layout, lease(), pair, tolerance(local)), tolerance(local)
        )
    same = apart(local.initial.layout, lease(), (nothing, nothing), tolerance(local))
    assert not is_unstable(same, tolerance(local)), "both diverge at the same step"


@pytest.mark.parametrize(
    ("overall", "tensor", "fit", "near"),
    [
        (0, 0, True, True),
        (1_000, 10_000, True, True),
        (1_001, 0, True, False),
        (0, 10_001, True, False),
        (0, 0, False, False),
    ],
)
def test_only_what_lies_off_by_more_than_own_replays_may_is_replayed_again(
    overall: int, tensor: int, fit: bool, near: bool
) -> None:
    distances = Distances(PartsPerMillion(overall), PartsPerMillion(tensor), fit)
    assert is_near(distances, Tolerance(2_000, 20_000, 50_000)) is near


def test_traces_are_compared_entry_by_entry_and_saturate() -> None:
    entry = TraceEntry(MicroNats(2_000_000), 10**9)
    trace = Trace((entry,) * 4)
    assert parts_apart(trace, trace) == 0
    louder = Trace((*trace.entries[:3], replace(entry, gradient_norm=3 * 10**9)))
    assert parts_apart(louder, trace) == 2_000_000
    higher = Trace((replace(entry, loss=MicroNats(2_000_020)), *trace.entries[1:]))
    assert parts_apart(higher, trace) == 10
    endless = Trace((replace(entry, gradient_norm=(1 << 60) - 1), *trace.entries[1:]))
    quiet = Trace((replace(entry, gradient_norm=0), *trace.entries[1:]))
    assert parts_apart(endless, quiet) == (1 << 40) - 1
