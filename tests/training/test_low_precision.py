"""bfloat16: other numbers than float32, the same from run to run, judged by a class of its own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from potp2p.protocol.verification.tolerance import Tolerance, tolerance_of
from potp2p.protocol.wire.tasks import Mode, ToleranceClass
from potp2p.training.central import Package, open_package
from potp2p.training.compression import d8
from potp2p.training.devices import CPU, make_deterministic
from potp2p.training.model import build_model
from potp2p.training.prepare import write_package
from potp2p.training.replay import measure
from potp2p.training.step import Work, compute_lease, ignore_progress
from tests.training.orders import lease, low_precision_order

LIMITS = tolerance_of(ToleranceClass.BF16, Mode.GRADIENT)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bf16")
    write_package(low_precision_order(), folder)
    return folder


@pytest.fixture(scope="module")
def package(folder: Path) -> Package:
    make_deterministic()
    return open_package(folder, torch.device(CPU))


def work_of(package: Package, shard: int = 0) -> Work:
    return compute_lease(
        package.model,
        package.initial,
        package.rules,
        lease(shard),
        package.shards[shard],
        ignore_progress,
    )


def in_float32(folder: Path, package: Package) -> Package:
    model = replace(package.rules.model, tolerance=ToleranceClass.SMOOTH)
    rules = replace(package.rules, model=model)
    built = build_model(folder / "config.json", model, torch.device(CPU))
    return replace(package, rules=rules, model=built)


def payload_of(package: Package, work: Work) -> d8.Payload:
    layout = package.initial.layout
    return d8.decode(d8.encode(lease(), layout, work.update_P, work.buffers_B), layout)


def relative(left: Work, right: Work) -> float:
    return float(np.linalg.norm(left.update_P - right.update_P) / np.linalg.norm(right.update_P))


def test_matrix_products_are_bfloat16_and_what_is_summed_is_not(
    folder: Path, package: Package
) -> None:
    low, full = work_of(package), work_of(in_float32(folder, package))
    assert 1e-4 < relative(low, full) < 0.1
    assert low.update_P.dtype == np.float32
    assert package.model.gradient_P.dtype == torch.float32
    # Sums in bfloat16 would leave eight bits of a gradient.
    assert len(np.unique(low.update_P.view(np.uint32) & 0xFFFF)) > 100


def test_a_replay_in_bfloat16_has_no_distance(package: Package) -> None:
    distances = measure(
        package.initial.layout, payload_of(package, work_of(package)), work_of(package), LIMITS
    )
    assert (distances.overall, distances.tensor_max, distances.exponents_fit) == (0, 0, True)


def test_full_precision_where_bfloat16_is_asked_is_within_its_class(
    folder: Path, package: Package
) -> None:
    # Stands in for another device's bfloat16, which rounds elsewhere: no miner is failed for it.
    payload = payload_of(package, work_of(in_float32(folder, package)))
    distances = measure(package.initial.layout, payload, work_of(package), LIMITS)
    assert distances.exponents_fit
    assert distances.overall <= LIMITS.overall // 4
    assert distances.tensor_max <= LIMITS.tensor // 4


def test_without_the_class_floor_noise_would_fail_the_honest(
    folder: Path, package: Package
) -> None:
    # A key bias has no gradient but rounding, 2^15 times larger here than in float32.
    payload = payload_of(package, work_of(in_float32(folder, package)))
    strict = Tolerance(LIMITS.overall, LIMITS.tensor, LIMITS.trace)
    assert measure(package.initial.layout, payload, work_of(package), strict).tensor_max > 300_000


def test_another_shard_fails_its_class(package: Package) -> None:
    payload = payload_of(package, work_of(package, shard=1))
    distances = measure(package.initial.layout, payload, work_of(package), LIMITS)
    assert distances.overall > 3 * LIMITS.overall
