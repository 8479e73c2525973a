"""A campaign's outcome depends on its seeds alone, and a failure says how to see it again."""

from hashlib import sha256

import pytest
import trio

from potp2p.foundation.errors import ConfigurationError, OperatingError
from potp2p.simulation import campaign as module
from potp2p.simulation.campaign import (
    Campaign,
    CampaignPlan,
    hash_of,
    replay_command,
    run_campaign,
    verdict_of,
    verify_campaign,
)
from potp2p.simulation.core import campaign as core
from potp2p.simulation.core.campaign import CorePlan
from potp2p.simulation.plans import Choices, Fault, Level
from potp2p.simulation.reports import SeedReport

SHORT = Choices(heights=3, faults=(Fault.LOSS, Fault.CRASHES))


def report(seed: int, *violations: str, converge_seconds: float | None = 1.0) -> SeedReport:
    return SeedReport(seed, ("loss",), 20, 7, converge_seconds, violations, 10, f"{seed:064x}")


def ignore(_campaign: Campaign, _report: SeedReport) -> None:
    """Hear of a report and do nothing."""


def run(jobs: int) -> dict[str, object]:
    async def work() -> dict[str, object]:
        return (await run_campaign(CampaignPlan(3, 6, SHORT, jobs), ignore)).document()

    return trio.run(work)


def test_outcome_is_the_same_on_one_process_and_on_two() -> None:
    alone, shared = run(1), run(2)
    for key in ("jobs", "seconds", "seeds_per_second"):
        del alone[key], shared[key]
    assert alone == shared
    assert (alone["seeds"], alone["violations"], alone["unconverged"]) == (3, 0, 0)


def test_document_counts_what_is_wrong_and_says_how_to_see_it_again() -> None:
    plan = CampaignPlan(0, 4, Choices(faults=(Fault.LOSS,)), 2)
    found = Campaign(plan)
    for each in (report(2, "fork", "fork"), report(0), report(3, converge_seconds=None), report(1)):
        found.reports[each.seed] = each
    document = found.document()
    assert (document["seeds"], document["violations"], document["unconverged"]) == (4, 1, 1)
    assert document["converge_seconds_max"] == 1.0
    assert document["trace_hash"] == hash_of([report(seed) for seed in range(4)])
    failures = document["failures"]
    assert isinstance(failures, list)
    assert [(each["seed"], each["verdict"]) for each in failures] == [
        (2, "violation"),
        (3, "unconverged"),
    ]
    assert failures[0]["replay"] == (
        "potp2p simulate --seeds 2:3 --validators 4 --heights 20 --miners 2 --faults loss"
        " --trace seed-2.txt"
    )


def test_verdict_names_a_violation_before_a_stall() -> None:
    assert verdict_of(report(0)) == "sound"
    assert verdict_of(report(0, converge_seconds=None)) == "unconverged"
    assert verdict_of(report(0, "fork", converge_seconds=None)) == "violation"


def test_replay_names_faults_only_where_they_were_chosen() -> None:
    assert "--faults" not in replay_command(1, Choices())
    assert "--faults none" in replay_command(1, Choices(faults=()))
    assert replay_command(1, Choices(level=Level.TWINS)) == (
        "potp2p simulate --seeds 1:2 --validators 4 --heights 20 --level twins"
    )


@pytest.mark.parametrize("level", [Level.CORE, Level.TWINS])
def test_core_runs_behind_the_same_campaign(level: Level) -> None:
    async def work() -> dict[str, object]:
        plan = CampaignPlan(0, 5, Choices(heights=5, level=level), 1)
        return (await run_campaign(plan, ignore)).document()

    document = trio.run(work)
    assert document["level"] == level
    assert (document["seeds"], document["violations"], document["unconverged"]) == (5, 0, 0)
    reports = [core.run_seed(seed, CorePlan(4, 5, str(level))) for seed in range(5)]  # type: ignore[arg-type]
    hashes = "".join(each.trace for each in reports)
    assert document["trace_hash"] == sha256(hashes.encode()).hexdigest()


@pytest.fixture
def broken_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WORKER", ("sh", "-c", "read line"))


@pytest.mark.usefixtures("broken_worker")
def test_process_that_dies_ends_the_campaign_with_the_seed_it_ran() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        run(1)
    group = caught.value.subgroup(OperatingError)
    assert group is not None
    assert "seed 3" in repr(group)


@pytest.mark.parametrize(
    ("plan", "text"),
    [
        (CampaignPlan(0, 1, Choices(validators=3), 1), "--validators 3: choose 4 to 31"),
        (CampaignPlan(0, 1, Choices(miners=-1), 1), "--miners -1: choose 0 to 16"),
        (CampaignPlan(0, 1, Choices(heights=0), 1), "--heights 0: choose 1 to 10000"),
        (CampaignPlan(0, 1, Choices(), 0), "--jobs 0: choose 1 to 256"),
        (CampaignPlan(5, 5, Choices(), 1), "--seeds 5:5: an ascending range from 0"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_campaign_that_cannot_be_run_is_refused_by_its_flag(plan: CampaignPlan, text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        verify_campaign(plan)
    assert str(caught.value) == text
