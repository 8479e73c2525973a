"""`potp2p chain repair`: says what it found, asks, and the documented exit codes."""

import json
from pathlib import Path

import pytest

from cli.main import run
from potp2p.settings.keys import SAFETY_RECORD, create_identity


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "node"
    create_identity(data)
    (data / "genesis.cbor").write_bytes(b"genesis")
    return data


def test_whole_folder_has_nothing_to_repair(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["chain", "repair", "--datadir", str(folder)]) == 0

    assert "Nothing to repair." in capsys.readouterr().out


def test_damage_is_not_touched_unless_somebody_agrees(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / SAFETY_RECORD).write_bytes(b"garbage")

    assert run(["chain", "repair", "--datadir", str(folder)]) == 2
    told = capsys.readouterr()
    assert told.err.count("\n") == 1
    assert "give --yes" in told.err
    assert (folder / SAFETY_RECORD).read_bytes() == b"garbage"


def test_repair_prints_one_document_and_keeps_the_old_files(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / SAFETY_RECORD).write_bytes(b"garbage")

    assert run(["chain", "repair", "--datadir", str(folder), "--yes", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "potp2p.repair/1"
    assert document["is_mended"] is True
    assert (Path(document["kept_in"]) / "state").read_bytes() == b"garbage"
    assert run(["chain", "repair", "--datadir", str(folder)]) == 0


def test_folder_of_no_node_is_a_configuration_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["chain", "repair", "--datadir", str(tmp_path)]) == 3
    assert "is not the data folder of a node" in capsys.readouterr().err
