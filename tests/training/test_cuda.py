"""A GPU and a CPU train and judge each other's leases; skipped where torch finds no CUDA device."""

from pathlib import Path

import pytest
import torch

from potp2p.protocol.verification.tolerance import tolerance_of
from potp2p.training.central import Package, open_package
from potp2p.training.compression import d8
from potp2p.training.devices import discover, open_device
from potp2p.training.replay import measure
from potp2p.training.step import Work, compute_lease, ignore_progress
from tests.training.orders import lease

pytestmark = [
    pytest.mark.devices,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device here"),
]


@pytest.fixture(params=["local_folder", "gradient_folder"])
def folder(request: pytest.FixtureRequest) -> Path:
    found: Path = request.getfixturevalue(request.param)
    return found


def work_on(folder: Path, device: str) -> tuple[Package, Work]:
    package = open_package(folder, torch.device(open_device(device).device))
    work = compute_lease(
        package.model,
        package.initial,
        package.rules,
        lease(),
        package.shards[0],
        ignore_progress,
    )
    return package, work


def test_cuda_device_is_found_and_named() -> None:
    assert any(device.device.startswith("cuda") for device in discover())


def test_the_same_gpu_gives_the_same_bytes_twice(folder: Path) -> None:
    first, second = (work_on(folder, "cuda:0")[1] for _ in range(2))
    assert first.update_P.tobytes() == second.update_P.tobytes()


@pytest.mark.parametrize(("trainer", "auditor"), [("cuda:0", "cpu"), ("cpu", "cuda:0")])
def test_one_kind_of_device_passes_the_audit_of_the_other(
    folder: Path, trainer: str, auditor: str
) -> None:
    package, claimed = work_on(folder, trainer)
    _, replay = work_on(folder, auditor)
    layout, rules = package.initial.layout, package.rules
    payload = d8.decode(d8.encode(lease(), layout, claimed.update_P, claimed.buffers_B), layout)

    limits = tolerance_of(rules.model.tolerance, rules.mode)
    distances = measure(layout, payload, replay, limits)

    assert distances.exponents_fit
    assert distances.overall <= limits.overall
    assert distances.tensor_max <= limits.tensor
