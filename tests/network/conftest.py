"""A victim process that all hostile tests of the run share: it must survive every one of them."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.network.nodes import DEADLINE_SECONDS


@pytest.fixture(scope="session")
def victim() -> Iterator[str]:
    """The address of a real node in another process, checked alive at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.network.victim"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    yield address
    still_alive = process.poll() is None
    process.stdin.close()
    process.stdout.close()
    assert process.wait(timeout=DEADLINE_SECONDS) == 0
    assert still_alive
