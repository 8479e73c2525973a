"""Commands by files: what a worker answers, and what it refuses."""

import json
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import torch

from potp2p.foundation.errors import OperatingError, PeerError
from potp2p.foundation.types import Digest, Height, Round
from potp2p.protocol.verification.commitments import Finding
from potp2p.protocol.verification.tolerance import tolerance_of
from potp2p.protocol.verification.verdict import Claims, Verdict, is_unstable, verdict_of
from potp2p.protocol.wire import schema
from potp2p.protocol.wire.tasks import Mode, TaskRules
from potp2p.training.central import read_rules
from potp2p.training.checkpoint import read_checkpoint, write_checkpoint
from potp2p.training.commands import (
    Aggregate,
    CheckPayload,
    Command,
    Evaluate,
    Inspect,
    Replay,
    Train,
)
from potp2p.training.compression import d8
from potp2p.training.examples import Order
from potp2p.training.execution import Executor
from potp2p.training.nudging import nudge
from potp2p.training.prepare import write_package
from potp2p.training.reports import (
    Aggregated,
    Checked,
    Evaluated,
    Inspected,
    Replayed,
    Report,
    ReportFrame,
    Trained,
)
from potp2p.training.step import ignore_progress
from potp2p.training.tensors import encode_tensors
from tests.training.orders import (
    SHARDS,
    TASK,
    VIT,
    deep_resnet_order,
    lease,
    resnet_order,
    tokens_order,
)

NUDGE = Digest(bytes(range(32)))


class Bench:
    """A package folder and an executor on it."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self.rules = read_rules(folder)
        self.folder, self.scratch = folder, scratch
        self.model, self.theta = str(folder / "config.json"), str(folder / "initial.safetensors")
        self.evaluation = str(folder / "evaluation.safetensors")
        self.executor = Executor(torch.device("cpu"))

    def do(self, command: Command) -> Report:
        return self.executor.execute(command, ignore_progress)

    def shard(self, index: int) -> str:
        return str(self.folder / "shards" / f"{index:04}.safetensors")

    def payload(self, index: int) -> str:
        return str(self.scratch / f"{index}.payload")

    def train(
        self, index: int, theta: str | None = None, rules: TaskRules | None = None
    ) -> Trained:
        report = self.do(
            Train(
                lease(index),
                rules or self.rules,
                self.model,
                theta or self.theta,
                self.shard(index),
                self.payload(index),
            )
        )
        assert isinstance(report, Trained)
        return report

    def check(
        self, index: int, *, claimed: int | None = None, diverged: bool = False
    ) -> str | None:
        whose = lease(index if claimed is None else claimed)
        command = CheckPayload(whose, self.rules, self.theta, self.payload(index), diverged)
        report = self.do(command)
        assert isinstance(report, Checked)
        return report.fault

    def aggregate(
        self, order: tuple[int, ...], name: str = "next", heights: tuple[int, ...] = ()
    ) -> Aggregated:
        payloads = tuple(self.payload(index) for index in order)
        result = str(self.scratch / name)
        report = self.do(
            Aggregate(
                self.rules,
                TASK,
                Round(0),
                self.model,
                self.theta,
                payloads,
                result,
                self.evaluation,
                tuple(Height(height) for height in heights),
            )
        )
        assert isinstance(report, Aggregated)
        return report

    def copy(self, source: int, target: int, scale: float = 1) -> None:
        """Give one lease another's update, as a copier would."""
        layout = read_checkpoint(Path(self.theta), self.rules).layout
        payload = d8.decode(Path(self.payload(source)).read_bytes(), layout)
        update_P = d8.dequantize(layout, payload) * np.float32(scale)
        copied = d8.encode(lease(target), layout, update_P, np.empty(0, np.float32))
        Path(self.payload(target)).write_bytes(copied)

    def replay(self, index: int, shard: int | None = None) -> Replayed:
        data = self.shard(index if shard is None else shard)
        report = self.do(
            Replay(
                lease(index),
                self.rules,
                self.model,
                self.theta,
                data,
                self.payload(index),
                NUDGE,
            )
        )
        assert isinstance(report, Replayed)
        return report

    def inspect(self, *, calibrate: bool = False, rules: TaskRules | None = None) -> Inspected:
        shards = tuple(self.shard(index) for index in range(SHARDS))
        report = self.do(
            Inspect(rules or self.rules, self.model, self.theta, shards, self.evaluation, calibrate)
        )
        assert isinstance(report, Inspected)
        return report


@pytest.fixture
def bench(local_folder: Path, tmp_path: Path) -> Bench:
    return Bench(local_folder, tmp_path)


def test_a_lease_is_trained_checked_replayed_and_aggregated(bench: Bench) -> None:
    trained = [bench.train(index) for index in range(SHARDS)]
    for index, report in enumerate(trained):
        assert report.samples == 128
        assert not report.diverged
        assert bench.check(index) is None
        replayed = bench.replay(index)
        assert replayed.trace == report.trace
        assert (replayed.loss_before, replayed.loss_after) == (
            report.loss_before,
            report.loss_after,
        )
        assert (replayed.distances.overall, replayed.distances.tensor_max) == (0, 0)
        assert replayed.instability is None, "near: no second replay is paid for"
    before = bench.do(Evaluate(bench.rules, bench.model, bench.theta, bench.evaluation))
    assert isinstance(before, Evaluated)
    after = bench.aggregate((0, 1, 2))
    assert after.evaluation_loss < before.loss
    assert read_checkpoint(bench.scratch / "next", bench.rules)


def test_training_twice_gives_the_same_bytes(bench: Bench) -> None:
    bench.train(0)
    first = Path(bench.payload(0)).read_bytes()
    bench.train(1)
    bench.train(0)
    assert Path(bench.payload(0)).read_bytes() == first


def test_payloads_of_another_lease_round_or_order_are_refused(bench: Bench) -> None:
    for index in range(2):
        bench.train(index)
    assert bench.check(0, claimed=1) == "bad_payload: made for another lease"
    with pytest.raises(PeerError, match="order of shards"):
        bench.aggregate((1, 0))
    with pytest.raises(PeerError, match="order of shards"):
        bench.aggregate((0, 0))
    with pytest.raises(PeerError, match="another round"):
        bench.do(
            Aggregate(
                bench.rules,
                TASK,
                Round(1),
                bench.model,
                bench.theta,
                (bench.payload(0),),
                str(bench.scratch / "next"),
                bench.evaluation,
            )
        )


def test_a_repeated_payload_has_no_part_in_the_next_weights(bench: Bench) -> None:
    for index in range(2):
        bench.train(index)
    alone = bench.aggregate((0, 1), "alone")
    bench.copy(0, 2)
    assert (alone.flagged, alone.dropped) == ((), ())
    for heights, first, again in (((), 0, 2), ((7, 9, 8), 0, 2), ((8, 9, 7), 2, 0)):
        report = bench.aggregate((0, 1, 2), heights=heights)
        assert (report.flagged, report.dropped) == ((first,), (again,))
        written = (bench.scratch / "next").read_bytes()
        assert written == (bench.scratch / "alone").read_bytes()
    with pytest.raises(PeerError, match="heights of other payloads"):
        bench.aggregate((0, 1, 2), heights=(1, 2))


def test_a_rescaled_payload_is_flagged_with_its_model_and_counts(bench: Bench) -> None:
    for index in range(2):
        bench.train(index)
    bench.aggregate((0, 1), "alone")
    bench.copy(0, 2, scale=1.01)
    report = bench.aggregate((0, 1, 2))
    assert (report.flagged, report.dropped) == ((0, 2), ())
    assert (bench.scratch / "next").read_bytes() != (bench.scratch / "alone").read_bytes()


def test_replaying_with_another_shard_shows(bench: Bench) -> None:
    bench.train(0)
    replayed = bench.replay(0, shard=1)
    assert replayed.distances.overall > 100_000
    tolerance = tolerance_of(bench.rules.model.tolerance, bench.rules.mode)
    assert replayed.instability is not None
    assert not is_unstable(replayed.instability, tolerance), "a cheat in a stable task"


def test_honest_work_in_chaos_is_found_to_be_unstable_by_its_replay(bench: Bench) -> None:
    optimizer = replace(
        bench.rules.optimizer, learning_rate=300_000_000, learning_rate_final=300_000_000
    )
    batch = replace(bench.rules.batch, steps=40)
    bench.rules = replace(bench.rules, optimizer=optimizer, batch=batch)
    theta = read_checkpoint(Path(bench.theta), bench.rules)
    rounded = bench.scratch / "rounded"
    # Another machine that rounds differently, as far as one machine can show it.
    write_checkpoint(rounded, nudge(theta, Digest(bytes(32))))
    trained = bench.train(0, theta=str(rounded))
    found = bench.replay(0)
    claims = Claims(trained.trace, found.loss_before, found.loss_after, diverged=False)
    finding = Finding(
        found.trace, found.loss_before, found.loss_after, found.distances, found.instability
    )
    tolerance = tolerance_of(bench.rules.model.tolerance, bench.rules.mode)
    assert verdict_of(claims, finding, tolerance) is Verdict.VOID
    assert verdict_of(claims, replace(finding, instability=None), tolerance) is Verdict.FAIL


def test_a_payload_that_is_all_zero_belongs_to_a_diverged_lease_alone(bench: Bench) -> None:
    layout = read_checkpoint(Path(bench.theta), bench.rules).layout
    zero = d8.encode(
        lease(), layout, np.zeros(layout.parameter_count, np.float32), np.empty(0, np.float32)
    )
    Path(bench.payload(0)).write_bytes(zero)
    assert bench.check(0) == "bad_payload: all zero"
    assert bench.check(0, diverged=True) is None
    bench.train(1)
    assert bench.check(1, diverged=True) == "bad_payload: not zero although it diverged"


def test_a_truncated_or_oversized_payload_is_a_fault_and_no_crash(bench: Bench) -> None:
    bench.train(0)
    path = Path(bench.payload(0))
    whole = path.read_bytes()
    for content in (b"", whole[:-1], whole + b"\0", whole * 50):
        path.write_bytes(content)
        assert bench.check(0) is not None


def test_a_lease_that_diverges_says_so_and_its_replay_agrees(bench: Bench) -> None:
    checkpoint = read_checkpoint(Path(bench.theta), bench.rules)
    wild = replace(checkpoint, theta_P=checkpoint.theta_P * np.float32(1e30))
    bench.theta = str(bench.scratch / "wild")
    write_checkpoint(Path(bench.theta), wild)
    trained = bench.train(0)
    assert trained.diverged
    assert len(trained.trace.entries) == 8
    assert bench.check(0, diverged=True) is None
    replayed = bench.replay(0)
    assert replayed.diverged
    assert replayed.trace == trained.trace
    assert replayed.distances.overall == 0


def test_the_weights_of_another_model_are_refused(
    bench: Bench, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    write_package(tokens_order(), other)
    with pytest.raises(PeerError, match="another model"):
        bench.train(0, theta=str(other / "initial.safetensors"))


def test_a_missing_file_is_an_operating_error(bench: Bench) -> None:
    with pytest.raises(OperatingError, match="cannot read"):
        bench.train(0, theta="/absent")


def test_an_honest_package_passes_inspection(gradient_folder: Path, tmp_path: Path) -> None:
    bench = Bench(gradient_folder, tmp_path)
    quick, thorough = bench.inspect(), bench.inspect(calibrate=True)
    assert quick.fault is None
    assert quick.distance_all is None
    assert thorough.fault is None
    assert thorough.distance_all is not None
    assert thorough.parameters == bench.rules.model.parameters


def test_a_package_against_its_rules_is_a_fault(bench: Bench) -> None:
    model = bench.rules.model
    more = replace(bench.rules, model=replace(model, parameters=model.parameters + 1))
    fewer = replace(bench.rules, rounds=replace(bench.rules.rounds, shards=2, shards_per_round=2))
    steps = replace(bench.rules, batch=replace(bench.rules.batch, steps=21))
    gradient = replace(
        bench.rules, mode=Mode.GRADIENT, batch=replace(bench.rules.batch, steps=1, micro_batches=8)
    )
    for rules, words in (
        (more, "parameters"),
        (fewer, "shards"),
        (steps, "steps"),
        (gradient, "optimizer state"),
    ):
        fault = bench.inspect(rules=rules).fault
        assert fault is not None
        assert words in fault


def test_samples_that_do_not_fit_the_model_are_a_fault(bench: Bench, tmp_path: Path) -> None:
    wide = tmp_path / "wide.safetensors"
    pixels = np.zeros((4, 1, 8, 12), np.float32)
    wide.write_bytes(encode_tensors({"pixel_values": pixels, "labels": np.zeros(4, np.int64)}))
    bench.evaluation = str(wide)
    fault = bench.inspect(calibrate=True).fault
    assert fault is not None
    assert "samples of different shapes" in fault
    command = Inspect(
        bench.rules, bench.model, bench.theta, (str(wide),), str(wide), calibrate=True
    )
    report = bench.do(command)
    assert isinstance(report, Inspected)
    assert report.fault is not None
    assert "samples do not fit the model" in report.fault


def test_a_package_with_a_shard_twice_is_refused(bench: Bench) -> None:
    # Its honest miners would be taken for copiers of each other.
    shards = (bench.shard(0), bench.shard(1), bench.shard(0))
    report = bench.do(
        Inspect(bench.rules, bench.model, bench.theta, shards, bench.evaluation, calibrate=False)
    )
    assert isinstance(report, Inspected)
    assert report.fault is not None
    assert "shards 0 and 2 are equal" in report.fault


@pytest.mark.parametrize(
    "change",
    [
        {"hidden_act": []},
        {"hidden_act": {}},
        {"return_dict": False},
        {"num_attention_heads": 3},
        {"num_channels": 3},
        {"encoder_stride": None},
        {"id2label": {"\U0001f600" * 200: "x"}},
        {"problem_type": "\U0001f600" * 250},
        {"dtype": "\U0001f600" * 250},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_hostile_configuration_is_a_verdict_that_fits_its_frame(
    change: dict[str, object], bench: Bench, tmp_path: Path
) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**VIT, **change}))
    bench.model = str(path)
    report = bench.inspect(calibrate=True)
    assert schema.decode(ReportFrame, schema.encode(ReportFrame(1, report))).report == report
    if change.keys().isdisjoint({"problem_type", "encoder_stride", "dtype"}):
        assert report.fault is not None


@pytest.mark.parametrize("file", ["theta", "evaluation"])
@pytest.mark.parametrize("dtype", [[], {}, None, 7, ["F32"]])
def test_a_tensor_file_whose_types_are_no_names_is_a_verdict(
    file: str, dtype: object, bench: Bench, tmp_path: Path
) -> None:
    table = {"a": {"dtype": dtype, "shape": [], "data_offsets": [0, 0]}}
    header = json.dumps(table, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    path = tmp_path / "hostile"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    setattr(bench, file, str(path))
    fault = bench.inspect().fault
    assert fault is not None
    assert "not canonical" in fault


@pytest.mark.parametrize(
    "error",
    [
        ArithmeticError,
        AssertionError,
        AttributeError,
        ImportError,
        IndexError,
        KeyError,
        MemoryError,
        RecursionError,
        RuntimeError,
        TypeError,
        ValueError,
    ],
)
def test_whatever_a_model_raises_while_it_runs_is_a_verdict(
    error: type[Exception], bench: Bench
) -> None:
    bench.inspect()
    executor = bench.executor

    def raise_it(*_arguments: object) -> NoReturn:
        raise error("\ud800\n" + "\U0001f600" * 500)

    assert executor.model is not None
    executor.model.module.register_forward_pre_hook(raise_it)
    report = bench.inspect(calibrate=True)
    assert report.fault is not None
    assert schema.decode(ReportFrame, schema.encode(ReportFrame(1, report))).report == report
    # What was refused is gone: the next inspection builds the model anew.
    assert bench.inspect().fault is None


def test_cancelling_an_inspection_is_no_verdict_and_is_seen_in_the_probe(bench: Bench) -> None:
    command = Inspect(
        bench.rules, bench.model, bench.theta, (bench.shard(0),), bench.evaluation, calibrate=True
    )
    heard: list[tuple[int, int]] = []

    def cancel_in_probe(step: int, steps: int, _loss: object) -> None:
        heard.append((step, steps))
        if step == 0:
            raise OperatingError("cancelled")

    with pytest.raises(OperatingError, match="cancelled"):
        bench.executor.execute(command, cancel_in_probe)
    assert heard[-1] == (0, bench.rules.batch.steps * bench.rules.batch.micro_batches)


def test_a_checkpoint_larger_than_its_model_is_refused_unread(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(1 << 33)
    bench.theta = str(path)
    fault = bench.inspect().fault
    assert fault is not None
    assert "huge has 8589934592 bytes" in fault


def test_a_configuration_larger_than_memory_is_refused_unread(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    bench.model = str(path)
    fault = bench.inspect().fault
    assert fault is not None
    assert "larger than a configuration may be" in fault


def test_labels_beyond_the_classes_are_a_fault(bench: Bench, tmp_path: Path) -> None:
    configuration = Path(bench.model).read_text().replace('"2": "none"', '"1": "none"')
    path = tmp_path / "config.json"
    path.write_text(configuration)
    bench.model = str(path)
    fault = bench.inspect().fault
    assert fault is not None


@pytest.mark.parametrize(
    "order",
    [tokens_order(), resnet_order(), deep_resnet_order()],
    ids=["gpt2", "resnet", "resnet-of-one-pixel"],
)
def test_other_architectures_train_and_replay(
    order: Order, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("package")
    write_package(order, folder)
    bench = Bench(folder, tmp_path_factory.mktemp("scratch"))
    assert bench.inspect().fault is None
    for index in range(SHARDS):
        bench.train(index)
        assert bench.check(index) is None
    replayed = bench.replay(0)
    assert replayed.distances.overall == 0
    assert replayed.distances.exponents_fit
    bench.aggregate((0, 1, 2))
    start, end = (
        read_checkpoint(path, bench.rules) for path in (Path(bench.theta), bench.scratch / "next")
    )
    assert not np.array_equal(start.theta_P, end.theta_P)
    if bench.rules.model.architecture == "resnet":
        assert not np.array_equal(start.buffers_B, end.buffers_B)
