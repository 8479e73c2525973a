"""A replay campaign: real workers on a tiny task, and what its figures say of a machine."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from potp2p.benchmarks.replay import (
    ReplayPlan,
    measure_replays,
    rounds_measured,
    verify_replay_plan,
)
from potp2p.benchmarks.replay_bench import Bench
from potp2p.benchmarks.replay_figures import Findings, quantile
from potp2p.benchmarks.replay_lines import replay_lines
from potp2p.benchmarks.replay_recipes import RECIPES, UNSTABLE, recipes_named
from potp2p.benchmarks.replay_rigs import CPU_RIGS
from potp2p.foundation.errors import ConfigurationError
from potp2p.processes.documents import Document
from potp2p.protocol.verification.tolerance import tolerance_of
from potp2p.protocol.verification.verdict import Measure, MeasureKind, Verdict
from potp2p.protocol.wire.tasks import Mode, ToleranceClass
from potp2p.training.prepare import write_package
from tests.benchmarks.programs import running_in
from tests.training.orders import images_order, rules

PAIR = ("cpu", "cpu-aten-avx2")
TOLERANCE = tolerance_of(ToleranceClass.SMOOTH, Mode.LOCAL)


def plan(folder: Path, *tasks: str, replays: int = 1, cheats: bool = False) -> ReplayPlan:
    return ReplayPlan(tasks, replays, cheats, 1, folder, CPU_RIGS[:1])


def measures(overall: int, tensor: int = 0, unfit: int = 0) -> list[Measure]:
    return [
        Measure(MeasureKind.OVERALL, overall, 1_000),
        Measure(MeasureKind.TENSOR, tensor, 10_000),
        Measure(MeasureKind.EXPONENTS, unfit, 0),
    ]


async def test_honest_replays_pass_and_cheats_do_not(tmp_path: Path) -> None:
    package = tmp_path / "package"
    write_package(images_order(), package)
    document = await measure_replays(plan(tmp_path / "bench", str(package), replays=6, cheats=True))

    assert document["honest"] == {"audited": 6, "rejected": 0}
    assert document["is_within_targets"] is True
    task = cast("list[Document]", document["tasks"])[0]
    assert (task["class"], task["mode"], task["is_safe"]) == ("smooth", "local", True)
    cheats = {str(each["kind"]): each for each in cast("list[Document]", task["cheats"])}
    # Local mode: no stale weights in round 0, but in round 1; one micro-batch a step, none to drop.
    assert "micro-batch-dropped" not in cheats
    certain = ("half-work", "last-step-skipped", "stale-weights", "wrong-shard", "copy", "zero")
    for kind in (*certain, "sign-flip-x10", "scaled-x2", "noise-only", "perturbed-copy"):
        assert cheats[kind]["catch_rate"] == 1.0, kind
        assert cast("float", cheats[kind]["share_min"]) > 3
    # Every cheat has both replays; honest ones, of one lease in a round.
    own = cast("Document", cast("Document", task["honest"])["instability"])
    assert cast("int", own["replays"]) >= 2
    for found in (own, *(cast("Document", each["instability"]) for each in cheats.values())):
        assert cast("float", found["max"]) < 0.25
    assert all(each["excused"] == 0 for each in cheats.values())
    text = "\n".join(replay_lines(document))
    assert "rejected 0 of 6 honest contributions" in text
    assert "class smooth  can be mined safely" in text
    assert "UNSTABLE" not in text
    cast("Document", cast("Document", task["honest"])["instability"])["max"] = 0.7
    assert "UNSTABLE, an auditor's own replays lie up to 0.7" in "\n".join(replay_lines(document))
    assert running_in(tmp_path) == []


def test_a_replay_counts_by_its_worst_measure() -> None:
    found = Findings()
    found.add(measures(100, 9_000), PAIR)
    found.add(measures(2_000), PAIR)
    found.add(measures(10, 10, unfit=1), PAIR)

    assert found.replays == 3
    assert [found.verdicts[each] for each in Verdict] == [1, 1, 1]
    assert (found.share_max, found.pairs[PAIR]) == (4.0, 4.0)
    assert found.cheat_document()["exponents_alone"] == 1
    document = cast("dict[str, Document]", found.document()["measures"])
    assert document["overall"] == {"p50": 100, "p99": 2_000, "max": 2_000, "tolerance": 1_000}


@pytest.mark.parametrize(
    ("overall", "is_safe"), [(0, True), (500, True), (501, False), (1_000, False), (1_001, False)]
)
def test_a_class_is_safe_with_half_of_its_tolerance_left(overall: int, is_safe: bool) -> None:
    found = Findings()
    found.add(measures(1), PAIR)
    found.add(measures(overall), PAIR)
    assert found.is_safe(TOLERANCE) is is_safe


def test_a_task_is_unsafe_whose_auditors_drift_apart_by_themselves() -> None:
    found = Findings()
    found.add(measures(1), PAIR)
    found.instabilities.append(TOLERANCE.unstable)
    assert found.is_safe(TOLERANCE)
    found.instabilities.append(TOLERANCE.unstable + 1)
    assert not found.is_safe(TOLERANCE)


def test_what_instability_excuses_is_void_and_counted() -> None:
    found = Findings()
    found.add([replace(each, unstable=True) for each in measures(900_000)], PAIR)
    found.add([replace(each, unstable=True) for each in measures(2_000)], PAIR)
    assert found.verdicts[Verdict.VOID] == 2
    assert found.excused == 1
    assert found.document()["failed"] == 0


def test_quantiles_are_values_that_were_measured() -> None:
    assert quantile([], 99) == 0
    assert quantile([7], 50) == 7
    assert quantile(list(range(1, 101)), 99) == 99
    assert quantile([4, 1, 3, 2], 50) == 2


@pytest.mark.parametrize(
    ("replays", "rounds"), [(1, (0,)), (6, (0,)), (7, (0, 4)), (24, (0, 4, 8, 11))]
)
def test_rounds_are_spread_over_the_task(
    tmp_path: Path, replays: int, rounds: tuple[int, ...]
) -> None:
    ruled = rules()
    ruled = replace(ruled, rounds=replace(ruled.rounds, rounds=12))
    bench = Bench(tmp_path, ruled, tmp_path, CPU_RIGS[:3])
    measured = rounds_measured(plan(tmp_path, replays=replays), bench)
    assert measured[0] == 0
    assert len(measured) == len(rounds)
    assert measured[-1] == rounds[-1]


def test_every_class_and_mode_has_a_recipe() -> None:
    assert recipes_named(()) == RECIPES
    assert [each.name for each in recipes_named(("text-bf16", "digits-local"))] == [
        "text-bf16",
        "digits-local",
    ]
    assert recipes_named(tuple(each.name for each in UNSTABLE)) == UNSTABLE
    assert not set(UNSTABLE) & set(RECIPES)


def test_a_package_is_named_by_its_folder_or_its_task_file(tmp_path: Path) -> None:
    package = tmp_path / "mine"
    package.mkdir()
    (package / "task.toml").touch()
    for name in (str(package), str(package / "task.toml")):
        assert [(each.name, each.folder) for each in recipes_named((name,))] == [("mine", package)]


@pytest.mark.parametrize(
    ("tasks", "replays", "text"),
    [
        (("absent",), 1, "--task absent: no package there, and none of digits-local"),
        ((), 0, "--replays 0: from 1 to 100000"),
    ],
)
def test_a_campaign_that_cannot_be_run_is_refused(
    tmp_path: Path, tasks: tuple[str, ...], replays: int, text: str
) -> None:
    with pytest.raises(ConfigurationError, match=text):
        verify_replay_plan(plan(tmp_path, *tasks, replays=replays))
