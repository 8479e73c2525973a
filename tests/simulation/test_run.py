"""Whole nodes go through faults unharmed; one seed is one history, wherever it runs."""

import json
import os
import subprocess

import pytest

from potp2p.simulation.plans import Choices, Fault, draw_plan
from potp2p.simulation.run import run_plan, run_seed
from potp2p.simulation.worker import WORKER, request_of

FEW = Choices(heights=12)


@pytest.mark.parametrize("seed", range(16))
def test_seed_breaks_no_rule_and_goes_on_after_the_calm(seed: int) -> None:
    report = run_seed(seed, FEW)
    assert report.violations == ()
    assert report.converge_seconds is not None
    assert report.height >= FEW.heights


def test_larger_committee_goes_through_every_fault_at_once() -> None:
    report = run_plan(draw_plan(1, Choices(validators=7, heights=8), always=tuple(Fault)))
    assert report.is_sound, report


def test_one_seed_is_one_history_whatever_the_hash_seed() -> None:
    hashes = set()
    for hash_seed in ("1", "2"):
        for seed in (3, 9):
            hashes.add((seed, trace_hash_elsewhere(seed, hash_seed)))
    assert hashes == {(seed, run_seed(seed, FEW).trace_hash) for seed in (3, 9)}


def test_trace_tells_every_start_message_decision_and_fault() -> None:
    lines: list[str] = []
    report = run_seed(4, FEW, lines.append)
    kinds = {line.split()[1] for line in lines}
    assert {"plan", "start", "sent", "arrived", "decided", "fault", "calm", "converged"} <= kinds
    assert report.trace_hash == run_seed(4, FEW).trace_hash, "writing it down changes nothing"
    times = [int(line.split()[0]) for line in lines]
    assert times == sorted(times)


@pytest.mark.long
def test_two_thousand_seeds_break_no_rule_and_all_go_on() -> None:
    bad = [report for seed in range(2_000) if not (report := run_seed(seed, Choices())).is_sound]
    assert bad == []


def trace_hash_elsewhere(seed: int, hash_seed: str) -> str:
    done = subprocess.run(
        WORKER,
        input=request_of(seed, FEW),
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    trace_hash = json.loads(done.stdout)["trace_hash"]
    assert isinstance(trace_hash, str)
    return trace_hash
