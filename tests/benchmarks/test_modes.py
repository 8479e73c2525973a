"""The comparison of the network with one process, on stand-ins that agree or do not."""

from pathlib import Path

import pytest

from potp2p.benchmarks.modes import (
    ModesPlan,
    central_of,
    compare_modes,
    modes_lines,
    verify_modes_plan,
)
from potp2p.foundation.errors import ConfigurationError, OperatingError
from tests.benchmarks.programs import PROGRAMS, running_in


@pytest.fixture
def plan(tmp_path: Path) -> ModesPlan:
    return ModesPlan(2, 1, tmp_path / "bench", programs=PROGRAMS)


async def test_equal_weights_and_near_losses_are_within_targets(plan: ModesPlan) -> None:
    document = await compare_modes(plan)

    assert document["checkpoints"] == {
        "3 miners": "c0ffee",
        "2 miners": "c0ffee",
        "central": "c0ffee",
    }
    assert document["checkpoints_equal"] is True
    assert (document["loss"], document["plain_loss"]) == (0.501, 0.5)
    assert document["loss_ratio"] == 1.002
    assert document["is_within_targets"] is True
    assert running_in(plan.folder) == []
    assert "equal" in modes_lines(document)


async def test_other_weights_with_fewer_miners_miss_the_target(
    plan: ModesPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE", "other-weights")

    document = await compare_modes(plan)

    assert document["checkpoints_equal"] is False
    assert document["is_within_targets"] is False
    assert "DIFFERENT" in modes_lines(document)


async def test_loss_more_than_a_hundredth_away_misses_the_target(
    plan: ModesPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE", "far")

    document = await compare_modes(plan)

    assert document["checkpoints_equal"] is True
    assert document["is_within_targets"] is False


async def test_central_process_that_says_nothing_is_no_figure(
    plan: ModesPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE", "dull")

    with pytest.raises(OperatingError, match=r"^central printed 0 lines$"):
        await compare_modes(plan)


def test_result_without_a_checkpoint_is_refused() -> None:
    with pytest.raises(OperatingError, match="neither checkpoint nor loss"):
        central_of(b'{"evaluation_loss": 0.5}\n{"sha256": "5b"}\n', "central")


@pytest.mark.parametrize(("rounds", "seed"), [(0, 1), (1_000_001, 1), (20, -1), (20, 1 << 48)])
def test_comparison_that_cannot_be_made_is_refused(rounds: int, seed: int, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^--(rounds|seed) "):
        verify_modes_plan(ModesPlan(rounds, seed, tmp_path))
