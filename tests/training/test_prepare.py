"""A package folder: complete, repeatable, and bad input is one line."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from potp2p.foundation.errors import ConfigurationError
from potp2p.protocol.wire.tasks import Mode
from potp2p.training import prepare
from potp2p.training.central import read_rules
from potp2p.training.examples import cut, digits, read_text, text
from potp2p.training.prepare import write_package
from potp2p.training.tensors import decode_tensors
from tests.training.orders import VIT, images_order


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["prepare", *arguments])
    return prepare.main()


def test_equal_orders_give_equal_bytes_and_seeds_change_the_weights(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_package(images_order(), tmp_path / name)
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")
    assert sorted(files_of(tmp_path / "a")) == [
        "config.json",
        "evaluation.safetensors",
        "initial.safetensors",
        "shards/0000.safetensors",
        "shards/0001.safetensors",
        "shards/0002.safetensors",
        "task.toml",
    ]


def test_digits_hold_out_every_ninth_image(tmp_path: Path) -> None:
    order = digits(Mode.LOCAL, seed=1)
    write_package(order, tmp_path)
    held_out = decode_tensors((tmp_path / "evaluation.safetensors").read_bytes())
    assert held_out["pixel_values"].shape == (200, 1, 8, 8)
    assert held_out["pixel_values"].min() == -1
    assert held_out["pixel_values"].max() == 1
    assert sum(len(shard["labels"]) for shard in order.shards) == 1_597
    assert read_rules(tmp_path).rounds.shards == len(order.shards)


def test_text_is_a_gpt2_of_about_a_million_parameters(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.txt").write_text("the quick brown fox\n" * 2_000)
    (source / "b.bin").write_bytes(b"\xff" * 1000)
    (source / "c.py").write_bytes(b"\xff\xfe")
    write_package(text(Mode.LOCAL, 0, source), tmp_path / "out")
    assert 900_000 < read_rules(tmp_path / "out").model.parameters < 1_200_000
    rows = read_text(source)
    assert rows[0][:9].tobytes().decode("utf-16") == "the quick"


def test_too_little_data_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("short")
    with pytest.raises(ConfigurationError, match="too few"):
        read_text(tmp_path)
    with pytest.raises(ConfigurationError, match="do not fill"):
        cut({"labels": np.zeros(2, np.int64)}, 3)


def test_own_model_and_data_become_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, data, out = tmp_path / "vit.json", tmp_path / "data.npz", tmp_path / "out"
    config.write_text(json.dumps(VIT))
    np.savez(data, x=np.random.default_rng(0).normal(size=(90, 1, 8, 8)), y=np.arange(90) % 3)
    own = ("--config", str(config), "--data", str(data), "--mode", "gradient")
    assert run(monkeypatch, *own, "--out", str(out)) == 0
    assert read_rules(out).mode is Mode.GRADIENT


def test_bad_arguments_are_one_line_and_exit_code_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config, pickled = tmp_path / "vit.json", tmp_path / "pickled.npz"
    config.write_text(json.dumps(VIT))
    np.savez(pickled, x=np.array([{"a": 1}], dtype=object), y=np.zeros(1))
    for arguments in (
        ["--out", str(tmp_path / "out")],
        ["--example", "digits", "--seed", "-1", "--out", str(tmp_path / "out")],
        ["--example", "text", "--text-dir", "/absent", "--out", str(tmp_path / "out")],
        ["--config", str(config), "--out", str(tmp_path / "out")],
        ["--config", "/absent", "--data", str(pickled), "--out", str(tmp_path / "out")],
        ["--config", str(config), "--data", str(pickled), "--out", str(tmp_path / "out")],
        ["--example", "digits", "--out", str(config / "under a file")],
    ):
        assert run(monkeypatch, *arguments) == 3, arguments
        assert capsys.readouterr().err.count("\n") == 1
