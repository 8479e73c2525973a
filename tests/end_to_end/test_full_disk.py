"""A node whose disk fills up: one line, exit code 1, and the same chain once there is room."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from potp2p.api.status_client import read_status
from potp2p.benchmarks.consensus_network import Validator, bench_genesis, bench_key
from potp2p.foundation.errors import OperatingError
from potp2p.observability.representation import decode_document
from potp2p.settings.configuration import (
    Configuration,
    NetworkSection,
    NodeSection,
    RoleName,
    render_configuration,
)
from potp2p.settings.keys import create_identity
from tests.doubles.small_disk import SmallDisk, small_disk

SECONDS = 120


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", mebibytes=16) as mounted:
        yield mounted


def set_up(folder: Path) -> None:
    """Write the folder of a chain's only validator, which decides alone."""
    validator = Validator(0, bench_key("alone"), folder)
    folder.mkdir()
    create_identity(folder, validator.keys.secret)
    (folder / "genesis.cbor").write_bytes(bench_genesis((validator,), 200))
    configuration = Configuration(
        node=NodeSection(name="alone", role=RoleName.VALIDATOR),
        network=NetworkSection(listen=("/ip4/127.0.0.1/tcp/0",), bootstrap=()),
    )
    (folder / "config.toml").write_text(render_configuration(configuration))


def start(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "cli.main", "start", "--datadir", str(folder), "--ui", "none"]
    return subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def height_of(folder: Path) -> int:
    try:
        document = decode_document(read_status(folder / "status.sock", 2))
    except OperatingError:
        return 0
    sync = document["sync"]
    assert isinstance(sync, dict)
    return sync["height"] if isinstance(sync["height"], int) else 0


def wait_for_height(folder: Path, height: int, process: subprocess.Popen[str]) -> int:
    deadline = time.monotonic() + SECONDS
    while (found := height_of(folder)) < height:
        assert process.poll() is None, "the node has ended"
        assert time.monotonic() < deadline, f"no height {height} within {SECONDS} s"
        time.sleep(0.1)
    return found


@pytest.mark.long
def test_node_on_a_full_disk_stops_with_one_line_and_goes_on_when_there_is_room(
    disk: SmallDisk,
) -> None:
    folder = disk.folder / "node"
    set_up(folder)
    node = start(folder)
    try:
        before = wait_for_height(folder, 3, node)
        disk.fill()
        _, told = node.communicate(timeout=SECONDS)
    finally:
        node.kill()
    assert node.returncode == 1
    assert told.count("\n") == 1, told
    assert told.startswith("potp2p: ")
    assert "No space left on device" in told

    disk.clear()
    node = start(folder)
    try:
        wait_for_height(folder, before + 3, node)
        node.send_signal(signal.SIGTERM)
        _, told = node.communicate(timeout=SECONDS)
    finally:
        node.kill()
    assert (node.returncode, told) == (0, "")
