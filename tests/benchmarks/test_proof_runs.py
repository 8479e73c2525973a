"""Runs of `bench proof`: kept while code and question are the same, and never lost with others."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from potp2p.benchmarks import proof_runs
from potp2p.benchmarks.proof_runs import Run, Runner, Shelf
from potp2p.foundation.errors import ConfigurationError

ECHO = "import json, sys; q = json.load(sys.stdin); print(json.dumps({'said': q['word']}))"
FAIL = "import sys; sys.exit('no such world')"


def run_of(name: str, word: str, program: str = ECHO) -> Run:
    return Run(name, (sys.executable, "-c", program), {"word": word}, "nobody")


async def carried_out(folder: Path | None, *runs: Run, jobs: int = 2) -> tuple[Runner, list[str]]:
    told: list[str] = []
    runner = Runner(Shelf(folder), jobs, told.append)
    await runner.carry_out(runs)
    return runner, told


def words(runner: Runner) -> Mapping[str, object]:
    return {name: answer["said"] for name, answer in runner.answers.items()}


async def test_runs_begin_in_the_order_given_and_each_end_is_told() -> None:
    runs = [run_of(f"run-{index}", str(index)) for index in range(3)]
    runner, told = await carried_out(None, *runs, jobs=1)
    assert words(runner) == {"run-0": "0", "run-1": "1", "run-2": "2"}
    begun = [line for line in told if line.endswith("begins")]
    assert begun == [f"{index + 1}/3 run-{index}: nobody, begins" for index in range(3)]
    assert len(told) == 6


async def test_a_run_that_fails_is_named_and_costs_no_other() -> None:
    runner, told = await carried_out(None, run_of("bad", "x", FAIL), run_of("good", "y"), jobs=1)
    assert words(runner) == {"good": "y"}
    (failure,) = runner.failures
    assert failure.name == "bad"
    assert "no such world" in failure.words
    assert any("FAILED" in line for line in told)


async def test_a_finished_run_is_found_again_and_one_that_failed_is_tried_again(
    tmp_path: Path,
) -> None:
    await carried_out(tmp_path, run_of("one", "y"), run_of("two", "x", FAIL))
    runner, told = await carried_out(tmp_path, run_of("one", "y", FAIL), run_of("two", "x"))
    assert words(runner) == {"one": "y", "two": "x"}
    assert "1/2 one: nobody, kept" in told


async def test_another_question_or_another_code_is_asked_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await carried_out(tmp_path, run_of("one", "y"))
    runner, _ = await carried_out(tmp_path, run_of("one", "z"))
    assert words(runner) == {"one": "z"}
    monkeypatch.setattr(proof_runs, "code_digest", lambda: "other code")
    runner, _ = await carried_out(tmp_path, run_of("one", "y", FAIL))
    assert words(runner) == {}


def only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"asked": {}, "answer": {"said": "lies"}}'])
async def test_a_damaged_or_foreign_file_is_no_answer(tmp_path: Path, damage: str) -> None:
    await carried_out(tmp_path, run_of("one", "y"))
    path = only_file(tmp_path)
    path.write_text(damage)
    runner, _ = await carried_out(tmp_path, run_of("one", "y"))
    assert words(runner) == {"one": "y"}
    assert json.loads(path.read_text())["answer"] == {"said": "y"}


async def test_what_cannot_be_read_is_made_again(tmp_path: Path) -> None:
    await carried_out(tmp_path, run_of("one", "y"))
    path = only_file(tmp_path)
    path.unlink()
    path.mkdir()
    runner, _ = await carried_out(tmp_path, run_of("one", "y"))
    assert words(runner) == {"one": "y"}


def test_a_folder_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="--resume"):
        Shelf(Path(__file__))


async def test_an_answer_that_cannot_be_kept_is_told_and_not_lost(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    shelf = Shelf(folder)
    folder.rmdir()
    told: list[str] = []
    runner = Runner(shelf, 1, told.append)
    await runner.carry_out([run_of("one", "y")])
    assert words(runner) == {"one": "y"}
    assert runner.failures == []
    assert any("not kept" in line for line in told)
