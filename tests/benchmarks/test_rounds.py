"""Rounds with and without replays beside them: what is read, what is set against what."""

from pathlib import Path
from typing import cast

import pytest

from potp2p.benchmarks import rounds
from potp2p.benchmarks.rounds import (
    Effort,
    RoundsFlags,
    RoundsPlan,
    measure_rounds,
    rounds_lines,
)
from potp2p.benchmarks.rounds_figures import interval, parted, rounds_figures
from potp2p.benchmarks.rounds_log import Happenings, Span
from potp2p.benchmarks.rounds_processors import Processors, idle_seconds
from potp2p.foundation.errors import OperatingError
from tests.benchmarks.programs import PROGRAMS, running_in

FLAGS = RoundsFlags(rounds=16, validators=1, miners=1, block_milliseconds=1_000, seed=1)
SHARDS = 2
CORES = 2


@pytest.fixture
def plan(tmp_path: Path) -> RoundsPlan:
    return RoundsPlan(FLAGS, tmp_path / "bench", PROGRAMS)


@pytest.fixture
def seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the stand-in wait until its node was looked at."""
    path = tmp_path / "seen"
    look = Effort.look

    def look_and_tell(effort: Effort, root: int) -> None:
        look(effort, root)
        if effort.owners:
            path.touch()

    monkeypatch.setenv("SEEN", str(path))
    monkeypatch.setattr(Effort, "look", look_and_tell)
    monkeypatch.setattr(rounds, "WALK_SECONDS", 0.02)


@pytest.mark.usefixtures("seen")
async def test_a_run_sets_rounds_with_a_replay_beside_those_without(plan: RoundsPlan) -> None:
    told: list[str] = []

    document = await measure_rounds(plan, told.append)

    found = cast("dict[str, dict[str, object]]", document["rounds"])
    assert (found["with"]["number"], found["without"]["number"]) == (7, 7)
    assert (found["with"]["median"], found["without"]["median"]) == (3.0, 2.0)
    assert document["round_delay_ratio"] == 1.5
    assert document["gave_way"] == {"aggregate": 8}
    assert "miner-1" in cast("dict[str, object]", document["processor_seconds"])
    assert document["is_within_targets"] is False
    assert running_in(plan.folder) == []
    lines = "\n".join(rounds_lines(document))
    assert "1.500 of medians" in lines
    assert "NO SPARE CORE" in lines, "nobody looked at the machine in those years"


@pytest.mark.usefixtures("seen")
async def test_a_round_that_its_deadline_ended_is_counted(
    plan: RoundsPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE", "late")

    document = await measure_rounds(plan, lambda _text: None)

    assert cast("dict[str, object]", document["rounds"])["cut_off"] == 1


async def test_a_network_that_fails_is_no_figure(
    plan: RoundsPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE", "failing")

    with pytest.RaisesGroup(
        pytest.RaisesExc(OperatingError, match="devnet: potp2p: no block within 120 s"),
        flatten_subgroups=True,
    ):
        await measure_rounds(plan, lambda _text: None)


def test_lines_of_nodes_are_read_and_all_others_passed_over() -> None:
    happenings = Happenings()
    happenings.read(
        (
            "[2026-11-21 14:11:51.534] task     2b38a8ee round 0 done, loss 3.0343",
            "[2026-11-21 14:11:51.900] task     2b38a8ee round 0 done, loss 3.0343",
            "[2026-11-21 14:11:54.498] miner    trained 2b38a8ee round 1 shard 4 in 2375 ms",
            "[2026-11-21 14:11:57.306] verify   replayed 2b38a8ee round 0 shard 6: distance 0 ppm,"
            " 4189 ms",
            "[2026-11-21 14:11:58.306] verify   replayed 2b38a8ee round 0 shard 7: distance 0 ppm,"
            " drift 3 ppm, 1000 ms",
            "[2026-11-21 14:11:59.100] worker   worker cpu: a replay gives way to train",
            "[2026-11-21 14:12:03.534] task     2b38a8ee round 1 done, loss 2.9",
            "[2026-11-21 14:12:03.534] task     2b38a8ee round one done, loss 2.9",
            "no line of a node: trained 2b38a8ee round 1 shard 4 in 2375 ms",
            "",
        )
    )
    (only,) = happenings.rounds(1).values()
    assert only.seconds == pytest.approx(12.0)
    assert [each.seconds for each in happenings.leases] == pytest.approx([2.375])
    assert [each.seconds for each in happenings.replays] == pytest.approx([4.189, 1.0])
    assert happenings.gave_way == {"train": 1}
    assert not happenings.is_cut_off(1, 1)
    assert happenings.is_cut_off(1, 2)
    assert happenings.rounds(2) == {}


def test_spans_that_only_touch_have_nothing_in_common() -> None:
    assert Span(0, 2).overlap(Span(2, 4)) == 0
    assert Span(0, 3).overlap(Span(1, 9)) == 2
    assert Span(1, 9).overlap(Span(2, 3)) == 1


def test_what_a_replay_only_touches_is_neither_kind() -> None:
    spans = [Span(0, 10), Span(10, 20), Span(20, 30)]
    assert parted(spans, [Span(9.9, 12)], 0.02) == ([spans[1]], [spans[2]])
    # Two short ones count together.
    assert parted(spans, [Span(0, 0.15), Span(5, 5.15)], 0.02)[0] == [spans[0]]


def test_an_interval_holds_its_ratio_and_is_the_same_again() -> None:
    some, others = [2.0, 2.1, 2.2, 2.3, 2.4], [1.0, 1.1, 1.2, 1.3, 1.4]
    found = interval(some, others)
    assert found == interval(some, others)
    assert found is not None
    assert found[0] < 2.2 / 1.2 < found[1]
    assert interval([], others) is None


def test_idle_time_counts_our_cores_only() -> None:
    stat = "cpu  9 9 9 9000 9000 9\ncpu0 1 2 3 100 50 6\ncpu1 1 2 3 700 0 6\nintr 5\n"
    assert idle_seconds(stat, {0}) * 2 == idle_seconds(stat.replace(" 100 50 ", " 200 100 "), {0})
    assert idle_seconds(stat, {0, 1}) > idle_seconds(stat, {1}) > idle_seconds(stat, {0}) > 0
    assert idle_seconds(stat, {7}) == 0


def test_idle_cores_are_unknown_where_nobody_looked() -> None:
    processors = Processors([(0.0, 0.0), (10.0, 5.0), (20.0, 20.0)])
    assert processors.idle_cores(Span(0, 10)) == 0.5
    assert processors.idle_cores(Span(10, 20)) == 1.5
    assert processors.idle_cores(Span(11, 19)) is None


def of_rounds(with_replay: float, without: float, number: int = 12) -> Happenings:
    """Return rounds of two lengths in turns, the first kind with a replay of a second in each."""
    happenings, moment = Happenings(), 0.0
    for round_ in range(number + 2):
        is_audited = round_ % 2 == 0
        seconds = with_replay if is_audited else without
        if is_audited:
            happenings.replays.append(Span(moment + 1, moment + 2))
        happenings.leases += [Span(moment, moment + 2)] * SHARDS
        happenings.shards[round_] = set(range(SHARDS))
        moment += seconds
        happenings.done[round_] = moment
    return happenings


def idling(cores: float) -> Processors:
    return Processors([(float(each), each * cores) for each in range(300)])


def test_rounds_as_long_as_the_others_are_within_the_target() -> None:
    found = rounds_figures(of_rounds(10.4, 10), idling(1), CORES, SHARDS)
    assert found["round_delay_ratio"] == 1.04
    assert found["had_spare_cores"] is True
    assert found["is_within_targets"] is True


@pytest.mark.parametrize(
    ("happenings", "processors"),
    [
        (of_rounds(10.6, 10), idling(1)),
        (of_rounds(10, 10), idling(0)),
        (of_rounds(10, 10, number=8), idling(1)),
        (of_rounds(10, 10, number=0), idling(1)),
        (Happenings(), Processors()),
    ],
    ids=["longer", "no core to spare", "too few rounds", "no round", "nothing"],
)
def test_what_shows_no_absence_of_delay_misses_the_target(
    happenings: Happenings, processors: Processors
) -> None:
    found = rounds_figures(happenings, processors, CORES, SHARDS)
    assert found["is_within_targets"] is False
    assert rounds_lines(found)


def test_a_round_without_all_its_shards_misses_the_target() -> None:
    happenings = of_rounds(10, 10)
    happenings.shards[5].pop()
    found = rounds_figures(happenings, idling(1), CORES, SHARDS)
    assert cast("dict[str, object]", found["rounds"])["cut_off"] == 1
    assert found["is_within_targets"] is False
