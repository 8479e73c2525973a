"""Campaigns over many seeds: what they find, that they repeat, and what they report."""

import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from potp2p.simulation.core.campaign import (
    CorePlan,
    Level,
    SeedReport,
    cluster_of,
    run_campaign,
    run_seed,
    summarise,
)
from potp2p.simulation.core.faults import draw_faults
from potp2p.simulation.core.liars import LIARS

ROOT = Path(__file__).parents[3]
SEEDS = {4: range(50), 5: range(12), 7: range(8), 10: range(3)}
TWINS = {4: range(100), 5: range(40), 7: range(20)}
LONG = {4: (1_400, 3_000), 5: (300, 1_200), 7: (200, 800), 10: (100, 0)}
"""Seeds and Twins scenarios of a long campaign: 2,000 and 5,000."""
PROGRAM = """
from potp2p.simulation.core.campaign import CorePlan, run_campaign
for level in ("core", "twins"):
    print(run_campaign(range(6), CorePlan(4, level=level)).trace_hash)
"""


def assert_clean(seeds: range, plan: CorePlan) -> None:
    report = run_campaign(seeds, plan)

    assert (report.seeds, report.violations, report.unconverged) == (len(seeds), 0, 0), (
        report.failures
    )


@pytest.mark.parametrize("size", SEEDS)
def test_committee_with_any_faults_agrees_and_goes_on(size: int) -> None:
    assert_clean(SEEDS[size], CorePlan(size))


@pytest.mark.parametrize("size", TWINS)
def test_twins_of_a_third_neither_fork_nor_stop_the_rest(size: int) -> None:
    assert_clean(TWINS[size], CorePlan(size, level="twins"))


@pytest.mark.long
@pytest.mark.parametrize("size", LONG)
def test_2000_seeds_agree_and_go_on(size: int) -> None:
    assert_clean(range(10_000, 10_000 + LONG[size][0]), CorePlan(size))


@pytest.mark.long
@pytest.mark.parametrize("size", TWINS)
def test_5000_twins_scenarios_neither_fork_nor_stop_the_rest(size: int) -> None:
    assert_clean(range(10_000, 10_000 + LONG[size][1]), CorePlan(size, level="twins"))


@pytest.mark.parametrize("seed", range(6))
def test_only_twins_are_accused_in_their_scenarios(seed: int) -> None:
    cluster = cluster_of(seed, CorePlan(7, level="twins"))
    assert cluster.run(12, until=400_000)

    assert cluster.accused <= cluster.faults.twins


@pytest.mark.parametrize("level", ["core", "twins"])
def test_every_seed_decides_ten_heights_after_it_healed(level: Level) -> None:
    for seed in range(10):
        plan = CorePlan(4, heights=13, level=level)
        cluster = cluster_of(seed, plan)
        cluster.run(2, until=cluster.faults.calm_at)
        top = max(member.height for member in cluster.members) - 1

        assert run_seed(seed, plan).heights >= top + 10


def test_same_seeds_run_the_same_way_whatever_the_hash_seed() -> None:
    outputs = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "77")
    }
    core = run_campaign(range(6), CorePlan(4)).trace_hash
    twins = run_campaign(range(6), CorePlan(4, level="twins")).trace_hash

    assert outputs == {f"{core}\n{twins}\n"}


def test_different_seeds_leave_different_traces() -> None:
    assert len({run_seed(seed, CorePlan(4)).trace for seed in range(8)}) == 8


def test_faults_stay_within_what_must_be_survived() -> None:
    for seed in range(300):
        for size in (4, 5, 7, 10):
            faults = draw_faults(size, Random(seed), tuple(LIARS))
            third = (size - 1) // 3
            assert len(faults.silent | faults.twins | faults.liars) <= third
            assert not faults.liar or faults.untrusted


def test_every_kind_of_fault_is_drawn_by_some_seed() -> None:
    drawn = [draw_faults(4, Random(seed), tuple(LIARS)) for seed in range(400)]

    for name in ("partitions", "clogs", "crashes", "pauses", "skew", "silent", "twins", "authors"):
        assert any(getattr(each, name) for each in drawn), name
    assert {each.liar for each in drawn} == {"", *LIARS}


def report_of(seed: int, *, violations: tuple[str, ...] = (), converged: bool = True) -> SeedReport:
    return SeedReport(seed, violations, converged, 1_500 * seed, 20, 1, 7, "ab" * 32)


def test_summary_counts_failures_and_does_not_depend_on_order() -> None:
    reports = [report_of(2), report_of(0, violations=("a", "b")), report_of(1, converged=False)]
    first, second = summarise(reports, 2.0), summarise(reversed(reports), 2.0)

    assert first == second
    assert (first.seeds, first.violations, first.unconverged) == (3, 1, 1)
    assert first.converge_seconds_max == 3.0
    assert first.seeds_per_second == 1.5
    assert [each.seed for each in first.failures] == [0, 1]


def test_committee_that_cannot_heal_is_unconverged() -> None:
    cluster = cluster_of(0, CorePlan(4))
    for member in cluster.members[:2]:
        member.is_up = False

    assert not cluster.run(3, until=60_000)
    assert cluster.oracle.violations == []
