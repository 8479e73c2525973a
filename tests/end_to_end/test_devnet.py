"""
The main job through real processes: blocks, training, audits, pay and a fetched model.

One network is used for several claims, since starting it is what costs: a validator is killed in
the middle and restarted by hand, and a miner that was never in the plan joins and is paid.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest
from safetensors import safe_open

from potp2p.api.status_client import read_status
from potp2p.foundation.errors import OperatingError
from potp2p.observability.representation import decode_document

POTP2P = (sys.executable, "-m", "cli.main")
ROUNDS = 8
START_SECONDS = 150
RUN_SECONDS = 280
END_SECONDS = 60

Document = dict[str, object]


def wait_for(condition: Callable[[], bool], what: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.2)


@contextmanager
def started(*arguments: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command; end it at the end, whatever happens."""
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [*POTP2P, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        assert process.stdout is not None
        process.stdout.close()


def potp2p(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*POTP2P, *arguments], capture_output=True, text=True, check=False)


def status(folder: Path) -> Document | None:
    try:
        return decode_document(read_status(folder / "status.sock", 2))
    except OperatingError:
        return None


def part(document: Document | None, *names: str) -> object:
    value: object = document
    for name in names:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def height_of(folder: Path) -> int:
    height = part(status(folder), "sync", "height")
    return height if isinstance(height, int) else 0


def round_of(folder: Path) -> int:
    """Return the round of the first task, 0 before there is one."""
    rows = part(status(folder), "tasks")
    return cast("int", rows[0]["round"]) if isinstance(rows, list) and rows else 0


def is_in_step(late: Path, other: Path) -> bool:
    return 0 < height_of(other) <= height_of(late) + 2


def running_in(folder: Path) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if str(folder) in command:
                found.append(command.replace("\0", " "))
    return found


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Document:
    """Run the network once, with a kill, a restart and a newcomer, and return its report."""
    home = tmp_path_factory.mktemp("devnet")
    net, out, late = home / "net", home / "out", home / "late"
    validator = net / "validator-3"
    flags = ["--validators", "4", "--miners", "2", "--rounds", str(ROUNDS), "--seed", "5", "--json"]
    with started(
        "devnet", *flags, "--datadir", str(net), "--out", str(out), log=home / "devnet.log"
    ) as devnet:
        first = net / "validator-1"
        wait_for(lambda: height_of(first) > 0, "first block", START_SECONDS)
        bootstrap = json.loads((net / "logs" / "bootstrap.out").read_text())["listen"][0]
        init = ["init", "--no-input", "--role", "miner", "--bootstrap", bootstrap]
        init += ["--listen", "/ip4/127.0.0.1/tcp/0", "--devices", "cpu", "--name", "latecomer"]
        assert potp2p(*init, "--datadir", str(late)).returncode == 0
        with started("start", "--datadir", str(late), "--ui", "plain", log=home / "late.log"):
            wait_for(lambda: round_of(first) > 0, "first round", START_SECONDS)
            paid = pay_a_stranger(home, net / "client")
            listed = potp2p("validator", "list", "--json", "--datadir", str(net / "client"))
            second = potp2p("start", "--datadir", str(late), "--ui", "none")
            pid = part(status(validator), "node", "pid")
            assert isinstance(pid, int)
            os.kill(pid, signal.SIGKILL)
            before = height_of(first)
            wait_for(lambda: height_of(first) >= before + 4, "blocks of three", START_SECONDS)
            again = ("start", "--datadir", str(validator), "--ui", "plain")
            with started(*again, log=home / "again.log"):
                wait_for(
                    lambda: is_in_step(validator, first), "the restarted validator", START_SECONDS
                )
                assert devnet.stdout is not None
                told = devnet.stdout.read()
                code = devnet.wait(RUN_SECONDS)
                late_status = status(late)
    assert code == 0, (home / "devnet.log").read_text()[-4_000:]
    wait_for(lambda: not running_in(home), "end of every process", END_SECONDS)
    document = cast("Document", json.loads(told))
    return {
        **document,
        "late": late_status,
        "paid": paid,
        "validators": json.loads(listed.stdout),
        "second": (second.returncode, second.stdout, second.stderr),
    }


def pay_a_stranger(home: Path, client: Path) -> str:
    """Send money to a fresh wallet and return its address."""
    address = potp2p("wallet", "new", "--key", str(home / "wallet.key")).stdout.strip()
    sent = potp2p("wallet", "send", address, "12.5", "--yes", "--datadir", str(client))
    assert sent.returncode == 0, sent.stderr
    return address


def test_model_is_trained_and_fetched(report: Document) -> None:
    out = Path(str(report["out"]))
    losses = cast("list[float]", report["evaluation_loss"])

    assert report["rounds"] == ROUNDS
    assert len(losses) == ROUNDS
    assert cast("float", report["test_accuracy"]) >= 0.95
    assert json.loads((out / "config.json").read_text())["model_type"] == "vit"
    assert json.loads((out / "receipt.json").read_text())["checkpoint"] == report["checkpoint"]
    with safe_open(str(out / "model.safetensors"), framework="numpy") as tensors:
        assert len(tensors.keys()) > 10


def test_all_nodes_hold_one_state(report: Document) -> None:
    roots = cast("dict[str, str]", report["state_roots"])

    assert len(set(roots.values())) == 1
    assert {"validator-1", "validator-2", "validator-3", "validator-4", "miner-1"} <= set(roots)


def test_money_is_conserved_and_work_is_paid(report: Document) -> None:
    supply = cast("dict[str, str]", report["supply"])
    rewards = cast("dict[str, dict[str, str]]", report["rewards"])

    assert supply["expected"] == supply["actual"]
    assert all(float(rewards[f"miner-{index}"]["earned"]) > 0 for index in (1, 2))


def test_every_certificate_is_verified_offline(report: Document) -> None:
    rows = cast("list[Document]", report["certificates"])

    assert rows
    assert all(row["verified"] is True and row["winner"] for row in rows)


def test_newcomer_gets_shards_and_is_paid(report: Document) -> None:
    late = cast("Document", report["late"])
    address = cast("str", part(late, "node", "address"))
    rewards = cast("dict[str, dict[str, str]]", report["rewards"])

    assert cast("int", part(late, "miner", "units", "accepted")) > 0
    assert float(rewards[address]["earned"]) > 0


def test_transfer_arrives_and_is_counted(report: Document) -> None:
    rewards = cast("dict[str, dict[str, str]]", report["rewards"])

    assert rewards[cast("str", report["paid"])]["earned"] == "12.5"


def test_seats_are_listed_by_who_has_only_the_genesis(report: Document) -> None:
    listed = cast("Document", report["validators"])
    seats = cast("list[Document]", listed["seats"])

    assert [row["bond"] for row in seats] == ["1000"] * 4
    assert not any(row["leaving"] or row["convicted_at"] for row in seats)


def test_second_instance_on_one_folder_is_refused(report: Document) -> None:
    code, output, errors = cast("tuple[int, str, str]", report["second"])

    assert (code, output) == (8, "")
    assert "in use by process" in errors
    assert errors.count("\n") == 1


def test_interrupt_ends_every_process(tmp_path: Path) -> None:
    net = tmp_path / "net"
    flags = ["--validators", "1", "--miners", "1", "--datadir", str(net)]
    with started(
        "devnet", *flags, "--out", str(tmp_path / "out"), log=tmp_path / "devnet.log"
    ) as devnet:
        wait_for((net / "miner-1" / "status.sock").exists, "a node that runs", START_SECONDS)
        devnet.send_signal(signal.SIGINT)

        assert devnet.wait(END_SECONDS) == 130

    wait_for(lambda: not running_in(tmp_path), "end of every process", END_SECONDS)
