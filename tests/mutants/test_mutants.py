"""The planted bugs still fit the sources, and planting one is noticed."""

from pathlib import Path

import pytest

from tests.mutants.__main__ import main
from tests.mutants.catalogue import MUTANTS
from tests.mutants.planting import ROOT, Edit, MismatchError, Mutant, copied, examine, replaced


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_replacement_matches_the_sources_exactly_once(mutant: Mutant) -> None:
    for edit in mutant.edits:
        assert replaced(edit) != (ROOT / "potp2p" / edit.path).read_text()


def test_there_are_bugs_for_every_layer_and_no_name_twice() -> None:
    assert len(MUTANTS) >= 20
    assert len({each.name for each in MUTANTS}) == len(MUTANTS)
    assert {each.layer for each in MUTANTS} == {
        "rules",
        "state machine",
        "campaign",
        "twins",
        "service",
        "ledger",
        "client",
    }


def test_test_files_that_layers_name_exist() -> None:
    for each in MUTANTS:
        if each.layer not in ("campaign", "twins"):
            names = [part for part in each.target.split() if not part.startswith("--")]
            assert all((ROOT / name).exists() for name in names), each.target


def test_replacement_that_matches_twice_or_never_is_refused(tmp_path: Path) -> None:
    (tmp_path / "potp2p").mkdir()
    (tmp_path / "potp2p" / "sample.py").write_text("same same\n")

    for old in ("same", "other"):
        with pytest.raises(MismatchError):
            replaced(Edit("sample.py", old, "new"), tmp_path)


def test_planted_bug_is_caught_and_gone_afterwards() -> None:
    forked = next(each for each in MUTANTS if each.name == "quorum of f + 1")
    with copied() as root:
        path = root / "potp2p" / forked.edits[0].path
        before = path.read_text()

        verdict = examine(root, forked)

        assert verdict.killed
        assert "seed" in verdict.caught_by
        assert path.read_text() == before


def test_bug_that_changes_nothing_survives(capsys: pytest.CaptureFixture[str]) -> None:
    harmless = Mutant(
        "harmless",
        "twins",
        "twins:4:2",
        (
            Edit(
                "foundation/committee.py",
                "return 2 * validators // 3 + 1",
                "return validators * 2 // 3 + 1",
            ),
        ),
    )
    with copied() as root:
        assert not examine(root, harmless).killed
    assert main(["no bug of this name"]) == 0
    assert "0 of 0" in capsys.readouterr().out
