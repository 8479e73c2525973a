"""An honest payload passes its replay; every cheat we can think of does not."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from potp2p.protocol.verification.tolerance import Tolerance, tolerance_of
from potp2p.protocol.wire.tasks import BatchRule, Mode
from potp2p.training.central import Package
from potp2p.training.compression import d8
from potp2p.training.inspection import HONEST_SHARE, calibrate
from potp2p.training.replay import measure
from potp2p.training.step import Work, compute_lease, ignore_progress
from potp2p.training.tensors import Float32
from tests.training.orders import lease


@pytest.fixture(params=[Mode.LOCAL, Mode.GRADIENT], ids=["local", "gradient"])
def package(request: pytest.FixtureRequest, local: Package, gradient: Package) -> Package:
    return local if request.param is Mode.LOCAL else gradient


def work_of(package: Package, *, shard: int = 0, round_: int = 0, steps: int | None = None) -> Work:
    rules = package.rules
    if steps is not None:
        rules = replace(rules, batch=BatchRule(steps, rules.batch.micro_batches, 16))
    return compute_lease(
        package.model,
        package.initial,
        rules,
        lease(shard, round_),
        package.shards[shard],
        ignore_progress,
    )


def limits_of(package: Package) -> Tolerance:
    return tolerance_of(package.rules.model.tolerance, package.rules.mode)


def judged(package: Package, update_P: Float32, replay: Work) -> tuple[int, int, bool]:
    layout = package.initial.layout
    payload = d8.decode(d8.encode(lease(), layout, update_P, replay.buffers_B), layout)
    distances = measure(layout, payload, replay, limits_of(package))
    return distances.overall, distances.tensor_max, distances.exponents_fit


def passes(package: Package, update_P: Float32, replay: Work) -> bool:
    overall, tensor, fit = judged(package, update_P, replay)
    limits = limits_of(package)
    return overall <= limits.overall and tensor <= limits.tensor and fit


def test_an_honest_payload_has_no_distance(package: Package) -> None:
    work = work_of(package)
    assert judged(package, work.update_P, work_of(package)) == (0, 0, True)
    assert not work.diverged
    assert len(work.trace.entries) == 8
    assert all(entry.gradient_norm > 0 for entry in work.trace.entries)


def test_two_honest_machines_stay_far_inside_the_tolerance(package: Package) -> None:
    distances = calibrate(
        package.model, package.initial, package.rules, package.shards[0], ignore_progress
    )
    limits = limits_of(package)
    assert distances.overall <= limits.overall // HONEST_SHARE
    # The key bias has no gradient but rounding, which AdamW scales up: not compared alone.
    assert distances.tensor_max <= limits.tensor // HONEST_SHARE
    assert distances.exponents_fit


def noise(update_P: Float32, share: float) -> Float32:
    generator = np.random.default_rng(3)
    raw = generator.normal(size=update_P.size)
    return (update_P + share * raw * np.linalg.norm(update_P) / np.linalg.norm(raw)).astype(
        np.float32
    )


CHEATS: dict[str, Callable[[Float32], Float32]] = {
    "scaled by 1.05": lambda update_P: update_P * np.float32(1.05),
    "doubled": lambda update_P: update_P * np.float32(2),
    "sign flipped": lambda update_P: -update_P,
    "5 % noise": lambda update_P: noise(update_P, 0.05),
    "pure noise": lambda update_P: noise(update_P * 0, 1) + noise(update_P, 1) - update_P,
    "zero": lambda update_P: update_P * 0,
    "coarser steps": lambda update_P: np.where(
        np.arange(update_P.size) == np.argmax(np.abs(update_P)), 4 * update_P, update_P
    ).astype(np.float32),
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_a_changed_update_fails(package: Package, cheat: str) -> None:
    work = work_of(package)
    assert not passes(package, CHEATS[cheat](work.update_P), work)


def test_a_single_zeroed_tensor_fails_however_small(package: Package) -> None:
    work = work_of(package)
    layout = package.initial.layout
    zeroed = 0
    for start, end in zip(layout.offsets[:-1], layout.offsets[1:], strict=True):
        part = work.update_P[start:end]
        if np.linalg.norm(part) < 1e-3 * np.linalg.norm(work.update_P):
            continue
        update_P = work.update_P.copy()
        update_P[start:end] = 0
        assert not passes(package, update_P, work)
        zeroed += 1
    assert zeroed >= 10


def test_work_on_another_shard_or_round_fails(package: Package) -> None:
    replay = work_of(package)
    assert not passes(package, work_of(package, shard=1).update_P, replay)
    assert not passes(package, work_of(package, round_=1).update_P, replay)


def test_half_of_the_work_fails(local: Package) -> None:
    replay = work_of(local)
    assert not passes(local, work_of(local, steps=4).update_P, replay)
    assert not passes(local, work_of(local, steps=7).update_P, replay)


def test_what_saturates_in_an_honest_payload_is_no_distance(local: Package) -> None:
    work = work_of(local)
    large = replace(work, update_P=work.update_P * np.float32(10_000))
    assert judged(local, large.update_P, large) == (0, 0, True)


def test_an_exponent_one_off_passes_only_next_to_a_power_of_two(local: Package) -> None:
    layout = local.initial.layout
    work = work_of(local)
    update_P = np.full_like(work.update_P, 0.25)
    for largest, fits in ((127 / 128, True), (0.9, False)):
        update_P[layout.chunk_starts_C] = largest
        replay = replace(work, update_P=update_P)
        values_P, exponents_C = d8.quantize(layout, update_P)
        halved_P = np.rint(values_P / 2).astype(np.int8)
        coarse = d8.Payload(lease(), halved_P, exponents_C + 1, np.empty(0, np.int32))
        distances = measure(layout, coarse, replay, limits_of(local))
        assert distances.exponents_fit is fits


@pytest.mark.parametrize(("offset", "excess"), [(0.0, 0.0), (0.49, 0.0), (0.75, 0.25), (2.0, 1.5)])
def test_distance_is_what_exceeds_half_a_step(local: Package, offset: float, excess: float) -> None:
    layout = local.initial.layout
    values_P = np.full(layout.parameter_count, 100, np.int8)
    exponents_C = np.full(layout.chunk_starts_C.size, -10, np.int8)
    payload = d8.Payload(lease(), values_P, exponents_C, np.empty(0, np.int32))
    update_P = np.full(layout.parameter_count, (100 + offset) * 2.0**-10, np.float32)
    replay = replace(
        work_of(local), update_P=update_P, gradient_squares_C=np.ones(exponents_C.size)
    )
    distances = measure(layout, payload, replay, limits_of(local))
    expected = excess / (100 + offset) * 1e6
    assert distances.overall == pytest.approx(expected, abs=1)
    assert distances.tensor_max == pytest.approx(expected, abs=1)
