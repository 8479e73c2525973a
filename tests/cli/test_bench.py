"""The command line of the benchmarks: nothing starts that cannot be measured."""

from pathlib import Path

import pytest

from cli.exits import ExitCode
from cli.main import run
from potp2p.simulation.adversaries.kinds import Kind


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["footprint", "--seconds", "4"], "--seconds 4: from 5 to 3600"),
        (["footprint", "--validators", "0"], "--validators 0: from 1 to 16"),
        (["memory", "--miners", "17"], "--miners 17: from 1 to 16"),
        (["modes", "--rounds", "0"], "--rounds 0: from 1 to 1000000"),
        (["sync", "--blocks", "0"], "--blocks 0: from 1 to 100000"),
        (["sync", "--peers", "9"], "--peers 9: from 1 to 8"),
        (["replay", "--replays", "0"], "--replays 0: from 1 to 100000"),
        (["replay", "--seed", "-1"], "--seed -1: from 0 to 281474976710655"),
        (["resnet", "--rounds", "101"], "--rounds 101: from 1 to 100"),
        (["resnet", "--watts-per-core", "0"], "--watts-per-core 0.0: above 0"),
        (["rounds", "--rounds", "3"], "--rounds 3: from 4 to 400"),
        (["rounds", "--miners", "17"], "--miners 17: from 1 to 16"),
        (["rounds", "--block-milliseconds", "1"], "--block-milliseconds 1: from 200 to 60000"),
        (["published", "--seeds", "0"], "--seeds 0: from 1 to 1000"),
        (["published", "--mesh-degree", "1"], "--mesh-degree 1: from 2 to 49"),
        (["proof", "--quick", "--rounds", "3"], "--rounds 3: from 4 to 2000"),
        (["proof", "--kinds", "robber"], f"unknown adversary robber; there are: {', '.join(Kind)}"),
    ],
    ids=str,
)
def test_measurement_that_cannot_be_made_is_one_line_and_leaves_nothing(
    arguments: list[str],
    text: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    assert run(["bench", *arguments]) == ExitCode.CONFIGURATION

    assert capsys.readouterr().err == f"potp2p: {text}\n"
    assert list(tmp_path.iterdir()) == []


def test_word_that_is_no_figure_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "fun"]) == ExitCode.USAGE

    assert "Traceback" not in capsys.readouterr().err
