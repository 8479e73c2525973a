"""`potp2p simulate` from the command line: documents, lines, exit codes and refusals."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli.exits import ExitCode
from cli.main import run
from potp2p.processes.usage import command_of, family_of
from potp2p.simulation.worker import WORKER

SECONDS = 120
QUICK = ("--heights", "3", "--faults", "loss,crashes", "--jobs", "1")
KEYS = {"seeds", "violations", "unconverged", "converge_seconds_max", "trace_hash"}


def test_json_is_one_document_with_both_counts(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", "--seeds", "0:2", *QUICK, "--json"]) == ExitCode.DONE
    told = capsys.readouterr()
    assert told.out.count("\n") == 1
    document = json.loads(told.out)
    assert set(document) >= KEYS
    assert (document["seeds"], document["violations"], document["unconverged"]) == (2, 0, 0)


def test_lines_tell_how_far_it_is_and_end_with_the_verdict(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["simulate", "--seeds", "1:3", *QUICK]) == ExitCode.DONE
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["2", "of", "2", "seeds,", "0", "bad"]
    assert [line.split()[0] for line in lines[2:]] == [
        "seeds",
        "violations",
        "unconverged",
        "trace",
    ]
    assert lines[3] == "violations  0"


def test_trace_writes_one_seed_down_and_changes_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    trace = tmp_path / "trace.txt"
    arguments = ["simulate", "--seeds", "2:3", *QUICK, "--json"]
    assert run([*arguments, "--trace", str(trace)]) == ExitCode.DONE
    written = json.loads(capsys.readouterr().out)
    assert run(arguments) == ExitCode.DONE
    assert json.loads(capsys.readouterr().out)["trace_hash"] == written["trace_hash"]
    assert "seed 2" in trace.read_text().splitlines()[0]


def test_interrupt_ends_it_with_130_and_leaves_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "cli.main", "simulate", "--seeds", "0:10", "--heights", "10000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        start_new_session=True,
    ) as process:
        try:
            wait_for_a_worker_of(process.pid)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=SECONDS)
        finally:
            process.kill()
    assert process.returncode == ExitCode.INTERRUPTED
    assert (out, err) == ("", "")
    assert list(tmp_path.iterdir()) == []


def wait_for_a_worker_of(pid: int) -> None:
    """
    Return once a process has started a worker, which it does when signals are its own.

    Any child will not do: trio asks `ldconfig` for a library while it is imported.
    """
    deadline = time.monotonic() + SECONDS
    while not any(WORKER[-1] in command_of(child) for child in family_of(pid)):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("--seeds", "7"), ExitCode.USAGE, "--seeds 7: write A:B"),
        (("--seeds", "9:3"), ExitCode.CONFIGURATION, "--seeds 9:3: an ascending range"),
        (("--validators", "3"), ExitCode.CONFIGURATION, "--validators 3: choose 4 to 31"),
        (("--jobs", "0"), ExitCode.CONFIGURATION, "--jobs 0: choose 1 to 256"),
        (("--faults", "rain"), ExitCode.USAGE, "--faults rain: choose of latency,"),
        (("--level", "core", "--faults", "loss"), ExitCode.USAGE, "--level nodes"),
        (("--level", "withholding", "--trace", "x"), ExitCode.USAGE, "--level nodes"),
        (("--level", "withholding", "--faults", "rain"), ExitCode.USAGE, "--level nodes"),
        (("--level", "withholding", "--jobs", "2"), ExitCode.USAGE, "--jobs: what withheld"),
        (("--level", "withholding", "--seeds", "0:99999999"), ExitCode.CONFIGURATION, "--seeds"),
        (("--trace", "x"), ExitCode.USAGE, "--trace: name one seed"),
        (("--seeds", "1:2", "--trace", "/nowhere/x"), ExitCode.CONFIGURATION, "/nowhere/x"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else "",
)
def test_simulation_that_cannot_be_run_is_one_line(
    arguments: tuple[str, ...],
    code: ExitCode,
    text: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["simulate", *arguments]) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("potp2p: ")
    assert text in told.err
    assert told.err.count("\n") == 1
