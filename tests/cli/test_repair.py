"""`potp2p chain repair`: says what it found, asks, and the documented exit codes."""

import json
from pathlib import Path

import pytest

from cli.main import run
from potp2p.benchmarks.consensus_network import Validator, bench_genesis, bench_key
from potp2p.settings.configuration import (
    Configuration,
    MinerSection,
    NetworkSection,
    NodeSection,
    RoleName,
    render_configuration,
)
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


def test_owner_of_a_restored_backup_may_give_its_whole_memory_up(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["chain", "repair", "--datadir", str(folder), "--anyway"]) == 2
    assert "give --yes" in capsys.readouterr().err
    assert run(["chain", "repair", "--datadir", str(folder), "--anyway", "--yes"]) == 0
    capsys.readouterr()

    assert run(["chain", "repair", "--datadir", str(folder), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["record"] == "whole: silent until the epoch after the network is met again"
    assert document["is_mended"] is False


def test_folder_of_no_node_is_a_configuration_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["chain", "repair", "--datadir", str(tmp_path)]) == 3
    assert "is not the data folder of a node" in capsys.readouterr().err


def test_start_refuses_damaged_memory_with_its_own_code_and_names_the_repair(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "node"
    validator = Validator(0, bench_key("alone"), folder)
    create_identity(folder, validator.keys.secret)
    (folder / "genesis.cbor").write_bytes(bench_genesis((validator,)))
    configuration = Configuration(
        node=NodeSection(name="alone", role=RoleName.VALIDATOR),
        network=NetworkSection(listen=("/ip4/127.0.0.1/tcp/0",), bootstrap=()),
        miner=MinerSection(devices=("cpu",)),
    )
    (folder / "config.toml").write_text(render_configuration(configuration))
    (folder / SAFETY_RECORD).write_bytes(b"garbage")

    assert run(["start", "--datadir", str(folder), "--ui", "none"]) == 6
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "what was signed last cannot be read; `potp2p chain repair` explains" in told
    assert run(["chain", "repair", "--datadir", str(folder), "--yes"]) == 0
