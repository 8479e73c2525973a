"""Package folders that several tests read; built once, since torch is slow to wake."""

from pathlib import Path

import pytest
import torch

from potp2p.protocol.wire.tasks import Mode
from potp2p.training.central import Package, open_package
from potp2p.training.devices import CPU, make_deterministic
from potp2p.training.prepare import write_package
from tests.training.orders import images_order


@pytest.fixture(scope="session")
def local_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("local")
    write_package(images_order(), folder)
    return folder


@pytest.fixture(scope="session")
def gradient_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gradient")
    write_package(images_order(Mode.GRADIENT), folder)
    return folder


@pytest.fixture(scope="session")
def local(local_folder: Path) -> Package:
    make_deterministic()
    return open_package(local_folder, torch.device(CPU))


@pytest.fixture(scope="session")
def gradient(gradient_folder: Path) -> Package:
    make_deterministic()
    return open_package(gradient_folder, torch.device(CPU))
