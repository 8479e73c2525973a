"""One process with the network's formula: the same bytes as the files of a round give."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageClassification

from potp2p.foundation.types import Round
from potp2p.protocol.wire.tasks import Mode, Optimizer
from potp2p.training.central import Package, leases_of_round, open_package, run_task
from potp2p.training.checkpoint import (
    BUFFER,
    PARAMETER,
    checkpoint_from_tensors,
    encode_checkpoint,
    write_checkpoint,
)
from potp2p.training.commands import Aggregate, Train
from potp2p.training.examples import Order
from potp2p.training.execution import Executor
from potp2p.training.prepare import write_package
from potp2p.training.step import ignore_progress
from potp2p.training.tensors import decode_tensors, encode_tensors
from tests.training.orders import TASK, images_order, resnet_order

ROUNDS = 3


@pytest.mark.parametrize("optimizer", [Optimizer.SGD, Optimizer.ADAMW])
def test_rounds_by_files_end_with_the_bytes_of_the_central_run(
    optimizer: Optimizer, tmp_path: Path
) -> None:
    write_package(images_order(Mode.GRADIENT, optimizer), tmp_path)
    package = open_package(tmp_path, torch.device("cpu"))
    *_, last = run_task(package, TASK, ROUNDS, plain=False)

    executor = Executor(torch.device("cpu"))
    theta, model = tmp_path / "initial.safetensors", str(tmp_path / "config.json")
    evaluation = str(tmp_path / "evaluation.safetensors")
    for index in range(ROUNDS):
        paths: list[str] = []
        for each in leases_of_round(package.rules, TASK, Round(index)):
            shard = str(tmp_path / "shards" / f"{each.shard:04}.safetensors")
            paths.append(str(tmp_path / f"{index}-{each.shard}"))
            train = Train(each, package.rules, model, str(theta), shard, paths[-1])
            executor.execute(train, ignore_progress)
        result = tmp_path / f"theta-{index}"
        executor.execute(
            Aggregate(
                package.rules,
                TASK,
                Round(index),
                model,
                str(theta),
                tuple(paths),
                str(result),
                evaluation,
            ),
            ignore_progress,
        )
        theta = result
    assert theta.read_bytes() == encode_checkpoint(last.checkpoint)


def test_the_codec_costs_less_than_one_percent_of_loss(gradient: Package) -> None:
    with_codec, plain = (
        [done.evaluated.loss for done in run_task(gradient, TASK, 10, plain=plain)]
        for plain in (False, True)
    )
    assert with_codec[-1] < with_codec[0]
    assert with_codec[-1] == pytest.approx(plain[-1], rel=0.01)


def test_local_rounds_learn(local: Package) -> None:
    losses = [done.evaluated.loss for done in run_task(local, TASK, 4, plain=False)]
    assert losses[-1] < losses[0] / 2


def test_another_task_id_is_another_order_and_another_result(local: Package) -> None:
    first, second = (
        encode_checkpoint(next(iter(run_task(local, task, 1, plain=False))).checkpoint)
        for task in (TASK, b"u" * 32)
    )
    assert first != second


@pytest.mark.parametrize("order", [images_order(), resnet_order()], ids=["vit", "resnet"])
def test_a_checkpoint_without_its_prefixes_loads_with_from_pretrained(
    order: Order, tmp_path: Path
) -> None:
    write_package(order, tmp_path)
    package = open_package(tmp_path, torch.device("cpu"))
    done = next(iter(run_task(package, TASK, 1, plain=False)))
    checkpoint = tmp_path / "checkpoint"
    write_checkpoint(checkpoint, done.checkpoint)

    tensors = decode_tensors(checkpoint.read_bytes())
    state = {
        name.removeprefix(PARAMETER).removeprefix(BUFFER): tensor
        for name, tensor in tensors.items()
        if name.startswith((PARAMETER, BUFFER))
    }
    (tmp_path / "model.safetensors").write_bytes(encode_tensors(state))
    loaded = AutoModelForImageClassification.from_pretrained(
        tmp_path, local_files_only=True, attn_implementation="eager"
    ).eval()

    ours = package.model
    ours.load(checkpoint_from_tensors(tensors))
    ours.module.eval()
    images = torch.from_numpy(np.array(package.evaluation.inputs[:4]))
    with torch.no_grad():
        assert torch.equal(loaded(pixel_values=images).logits, ours.logits(images))
