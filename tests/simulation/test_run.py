"""Whole nodes go through faults unharmed; one seed is one history, wherever it runs."""

import json
import os
import subprocess

import pytest
import trio

from potp2p.simulation.campaign import Campaign, CampaignPlan, cores, run_campaign
from potp2p.simulation.plans import Choices, Fault, draw_plan
from potp2p.simulation.reports import SeedReport
from potp2p.simulation.run import run_plan, run_seed
from potp2p.simulation.worker import WORKER, request_of

FEW = Choices(heights=8)


@pytest.mark.parametrize("seed", range(14))
def test_seed_breaks_no_rule_and_goes_on_after_the_calm(seed: int) -> None:
    report = run_seed(seed, FEW)
    assert report.violations == ()
    assert report.converge_seconds is not None
    assert report.height >= FEW.heights


def test_larger_committee_goes_through_every_fault_at_once() -> None:
    report = run_plan(draw_plan(1, Choices(validators=7, heights=8), always=tuple(Fault)))
    assert report.is_sound, report


def test_one_seed_is_one_history_whatever_the_hash_seed() -> None:
    here = [run_seed(seed, FEW).trace_hash for seed in (3, 9)]
    assert hashes_elsewhere("1") == here
    assert hashes_elsewhere("2") == here


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
    async def work() -> dict[str, object]:
        return (await run_campaign(CampaignPlan(0, 2_000, Choices(), cores()), ignore)).document()

    document = trio.run(work)
    assert document["failures"] == []
    assert document["seeds"] == 2_000


def ignore(_campaign: Campaign, _report: SeedReport) -> None:
    """Hear of a report and do nothing."""


def hashes_elsewhere(hash_seed: str) -> list[object]:
    """Run two seeds in a process of their own, under another seed of Python's hashes."""
    done = subprocess.run(
        WORKER,
        input=request_of(3, FEW) + request_of(9, FEW),
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    return [json.loads(line)["trace_hash"] for line in done.stdout.splitlines()]
