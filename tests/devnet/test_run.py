"""A local network of stand-in processes: the report, faults, and that nothing stays behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from potp2p.devnet.plan import Plan, parse_adversaries
from potp2p.devnet.progress import Progress
from potp2p.devnet.run import run_devnet
from potp2p.foundation.errors import OperatingError
from potp2p.processes.programs import Programs

STAND_IN = (sys.executable, "-m", "tests.doubles.devnet_programs")
PROGRAMS = Programs(
    potp2p=(*STAND_IN, "potp2p"),
    bootstrap=(*STAND_IN, "bootstrap"),
    evaluate=(*STAND_IN, "evaluate"),
    cheat=(*STAND_IN, "cheat"),
    cheating_client=(*STAND_IN, "cheating-client"),
)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(
        example="digits",
        mode="local",
        validators=2,
        miners=1,
        rounds=3,
        seed=7,
        out=tmp_path / "out",
        folder=tmp_path / "net",
        programs=PROGRAMS,
    )


async def no_face(_progress: Progress) -> None:
    await trio.sleep_forever()


def running_in(folder: Path) -> list[int]:
    """Return the processes whose command line names a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in command and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return found


async def test_report_has_what_was_asked_for(plan: Plan) -> None:
    report = await run_devnet(plan, no_face)

    assert report["rounds"] == 3
    assert report["test_accuracy"] == 0.97
    assert report["evaluation_loss"] == [2.0, 1.0, 0.5]
    assert report["supply"] == {"expected": "10", "actual": "10"}
    assert report["checkpoint"] == "c0ffee"
    roots, height = report["state_roots"], report["height"]
    assert isinstance(height, int)
    assert roots == dict.fromkeys(("validator-1", "validator-2", "miner-1"), f"{height:064x}")
    rewards = report["rewards"]
    assert isinstance(rewards, dict)
    assert rewards["pot1late"] == {"address": "pot1late", "earned": "1.5"}
    assert running_in(plan.folder) == []


async def test_adversaries_run_their_own_program_and_are_told_from_the_honest(plan: Plan) -> None:
    kinds = ("free-rider", "lazy-auditor", "data-withholding-client", "self-dealing-client")
    crowd = replace(plan, validators=4, adversaries=parse_adversaries(kinds))

    report = await run_devnet(crowd, no_face)

    nodes = report["nodes"]
    assert isinstance(nodes, list)
    assert {each["name"]: each["adversary"] for each in nodes if each["adversary"]} == {
        "validator-4": "lazy-auditor",
        "free-rider-1": "free-rider",
        "self-dealing-client-1": "self-dealing-client",
    }
    logs = {path.name for path in (plan.folder / "logs").iterdir()}
    assert any(name.startswith("cheating-client") for name in logs)
    assert any(name.startswith("purse-1") for name in logs), "it ordered nothing from itself"
    assert running_in(plan.folder) == []


async def test_node_that_dies_is_said_and_left_out(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE", "validator-2-dies")
    told: list[str] = []

    async def listen(progress: Progress) -> None:
        try:
            await trio.sleep_forever()
        finally:
            told.extend(text for _, text in progress.lines)

    report = await run_devnet(plan, listen)

    assert "validator-2 ended with code 1: potp2p: the disk is on fire" in told
    roots = report["state_roots"]
    assert isinstance(roots, dict)
    assert sorted(roots) == ["miner-1", "validator-1"]


async def test_command_that_fails_ends_the_run_with_its_own_words(plan: Plan) -> None:
    broken = replace(PROGRAMS, evaluate=(sys.executable, "-c", "raise SystemExit('no torch here')"))

    with pytest.RaisesGroup(
        pytest.RaisesExc(OperatingError, match="evaluation: no torch here"), flatten_subgroups=True
    ):
        await run_devnet(replace(plan, programs=broken), no_face)

    assert running_in(plan.folder) == []


async def test_deaf_processes_are_ended(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE", "deaf,stuck")

    async with trio.open_nursery() as nursery:

        async def run() -> None:
            await run_devnet(plan, no_face)

        nursery.start_soon(run)
        # Only once a node serves its status does it ignore SIGTERM.
        await until((plan.folder / "miner-1" / "status.sock").exists)
        assert len(running_in(plan.folder)) >= 4
        nursery.cancel_scope.cancel()

    assert running_in(plan.folder) == []


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(120):
        while not condition():  # noqa: ASYNC110  # another process changes it
            await trio.sleep(0.05)


PROGRAM = """
import sys, trio
from pathlib import Path
from potp2p.devnet.plan import Plan
from potp2p.devnet.run import run_devnet
from tests.devnet.test_run import PROGRAMS, no_face
folder = Path(sys.argv[1])
trio.run(run_devnet, Plan("digits", "local", 2, 1, 3, 7, folder / "out", folder / "net",
                          programs=PROGRAMS), no_face)
"""


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_killed_devnet_leaves_no_process(tmp_path: Path) -> None:
    environment = {**os.environ, "FAKE": "deaf,stuck"}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    socket_path = tmp_path / "net" / "miner-1" / "status.sock"
    wait_for(socket_path.exists)
    assert running_in(tmp_path / "net")

    process.send_signal(signal.SIGKILL)
    process.wait()

    wait_for(lambda: not running_in(tmp_path / "net"))
