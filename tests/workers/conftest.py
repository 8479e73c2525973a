"""A package folder for the one test that runs a real worker."""

from pathlib import Path

import pytest

from potp2p.training.prepare import write_package
from tests.training.orders import images_order


@pytest.fixture(scope="session")
def local_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("local")
    write_package(images_order(), folder)
    return folder
