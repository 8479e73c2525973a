"""
Builds a package folder: everything a task consists of, in the files that a client announces.

    task.toml                rules and budget, see `protocol/scheduling/task_text.py`
    config.json              transformers configuration
    initial.safetensors      theta(0), a checkpoint file
    shards/0000.safetensors  one data file per shard, numbered from 0
    evaluation.safetensors   the held-out data file

`python -m potp2p.training.prepare --example digits --out DIR` builds an example; with
`--tolerance bf16` its rules ask for bfloat16; `--learning-rate` (in 1e-9) and `--epsilon` (in
1e-12) replace its optimizer's.
`--config FILE --data FILE.npz` (arrays x and y) or `--config FILE --text-dir DIR` one's own.
Equal arguments give equal bytes.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final, cast

import numpy as np
import torch

from potp2p.foundation.errors import ConfigurationError, Potp2pError
from potp2p.protocol.scheduling.rules import PARAMETER_BYTES, verify_rules
from potp2p.protocol.scheduling.task_text import TaskText, render
from potp2p.protocol.wire.tasks import Mode, Objective, ToleranceClass
from potp2p.training.checkpoint import Checkpoint, encode_checkpoint
from potp2p.training.configuration import read_configuration
from potp2p.training.examples import Data, Order, cut, digits, read_text, text
from potp2p.training.model import layout_of, model_builder
from potp2p.training.resnets import digits_resnet, images_resnet
from potp2p.training.tensors import encode_tensors, write_file

RESNETS: Final = {"digits-resnet": digits_resnet, "images-resnet50": images_resnet}
"""Examples with ReLU and batch-norm, by name."""


def write_package(order: Order, folder: Path) -> None:
    """Write the folder; the weights follow from configuration and seed."""
    parameters, initial = initial_checkpoint(order)
    memory_bytes = max(order.rules.model.memory_bytes, 2 * PARAMETER_BYTES * parameters)
    model = replace(order.rules.model, parameters=parameters, memory_bytes=memory_bytes)
    rules = replace(order.rules, model=model)
    try:
        (folder / "shards").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"cannot make {folder}: {error.strerror}") from error
    for index, shard in enumerate(order.shards):
        write_file(folder / "shards" / f"{index:04}.safetensors", encode_tensors(shard))
    configuration = json.dumps(order.configuration, indent=2, sort_keys=True)
    write_file(folder / "config.json", configuration.encode() + b"\n")
    write_file(folder / "evaluation.safetensors", encode_tensors(order.evaluation))
    write_file(folder / "initial.safetensors", initial)
    task = render(TaskText(order.name, order.budget, rules))
    write_file(folder / "task.toml", task.encode())


def initial_checkpoint(order: Order) -> tuple[int, bytes]:
    """Return the number of parameters and the first checkpoint's bytes."""
    torch.manual_seed(order.rules.seed)
    build = model_builder(order.configuration, order.rules.model)
    module = build()
    layout = layout_of(module)
    named = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    flat = [
        [named[name].detach().numpy().reshape(-1) for name, _ in table]
        for table in (layout.parameters, layout.buffers)
    ]
    theta_P, buffers_B = (
        np.concatenate(parts) if parts else np.empty(0, np.float32) for parts in flat
    )
    checkpoint = Checkpoint(layout, theta_P, buffers_B, None).with_moments(order.rules)
    return layout.parameter_count, encode_checkpoint(checkpoint)


def own_order(arguments: argparse.Namespace, mode: Mode) -> Order:
    """Return an order for the caller's own model and data, with an example's rules."""
    seed = cast("int", arguments.seed)
    configuration = read_configuration(cast("Path", arguments.config))
    data_path, text_path = (
        cast("Path | None", arguments.data),
        cast("Path | None", arguments.text_dir),
    )
    if data_path is not None:
        example, objective = digits(mode, seed), Objective.CLASSIFY
        data = _read_arrays(data_path)
    elif text_path is not None:
        example, objective = text(mode, seed, text_path), Objective.NEXT_TOKEN
        data = {"input_ids": read_text(text_path)}
    else:
        raise ConfigurationError("--config needs --data or --text-dir")
    shards = example.rules.rounds.shards
    count = min(len(values) for values in data.values())
    is_held_out = np.arange(count) % 9 == 0
    architecture = configuration.get("model_type")
    if not isinstance(architecture, str):
        raise ConfigurationError(f"{arguments.config}: model_type is missing")
    model = replace(example.rules.model, architecture=architecture, objective=objective)
    return replace(
        example,
        name=cast("Path", arguments.config).stem,
        configuration=configuration,
        shards=cut({name: values[~is_held_out] for name, values in data.items()}, shards),
        evaluation={name: values[is_held_out] for name, values in data.items()},
        rules=replace(example.rules, model=model),
    )


def _read_arrays(path: Path) -> Data:
    """Read x (images N x C x H x W) and y (classes) from an .npz file; never a pickle."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            pixels, labels = arrays["x"], arrays["y"]
    except (OSError, ValueError, KeyError) as error:
        raise ConfigurationError(f"{path}: expected arrays x and y in .npz: {error}") from error
    if pixels.ndim != 4 or labels.shape != (len(pixels),):  # noqa: PLR2004  # N, C, H, W
        raise ConfigurationError(f"{path}: x must be N x C x H x W and y one class for each")
    if not np.isfinite(pixels).all():
        raise ConfigurationError(f"{path}: x must be finite")
    return {"pixel_values": pixels.astype(np.float32), "labels": labels.astype(np.int64)}


def _in_class(order: Order, name: str | None) -> Order:
    """Put another tolerance class into the rules, where one is named."""
    if name is None:
        return order
    model = replace(order.rules.model, tolerance=ToleranceClass[name.upper()])
    return replace(order, rules=replace(order.rules, model=model))


def _with_numbers(order: Order, rate: int | None, epsilon: int | None) -> Order:
    """Put another first learning rate or epsilon into the rules, where they are given."""
    if rate is None and epsilon is None:
        return order
    old = order.rules.optimizer
    optimizer = replace(
        old,
        learning_rate=old.learning_rate if rate is None else rate,
        epsilon=old.epsilon if epsilon is None else epsilon,
    )
    rules = replace(order.rules, optimizer=optimizer)
    verify_rules(replace(rules, model=replace(rules.model, parameters=1)))
    return replace(order, rules=rules)


def main() -> int:
    """Parse the command line, write the folder, return the exit code."""
    parser = argparse.ArgumentParser(prog="potp2p.training.prepare")
    parser.add_argument("--example", choices=("digits", "text", *RESNETS))
    parser.add_argument("--tolerance", choices=[each.name.lower() for each in ToleranceClass])
    parser.add_argument("--mode", choices=("gradient", "local"), default="local")
    parser.add_argument("--learning-rate", type=int)
    parser.add_argument("--epsilon", type=int)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--text-dir", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    mode = Mode[cast("str", arguments.mode).upper()]
    seed = cast("int", arguments.seed)
    try:
        if not 0 <= seed < 1 << 48:
            raise ConfigurationError("--seed must be from 0 to 2^48 - 1")
        if arguments.config is not None:
            order = own_order(arguments, mode)
        elif arguments.example == "digits":
            order = digits(mode, seed)
        elif arguments.example == "text":
            order = text(mode, seed, cast("Path | None", arguments.text_dir))
        elif arguments.example in RESNETS:
            order = RESNETS[cast("str", arguments.example)](mode, seed)
        else:
            raise ConfigurationError("say --example or --config")
        order = _in_class(order, cast("str | None", arguments.tolerance))
        numbers = cast("int | None", arguments.learning_rate), cast("int | None", arguments.epsilon)
        order = _with_numbers(order, *numbers)
        write_package(order, cast("Path", arguments.out))
    except Potp2pError as error:
        sys.stderr.write(f"prepare: {error}\n")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
