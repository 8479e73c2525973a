"""Two orders anyone can place: handwritten digits for a small ViT, text for a small GPT-2."""

import os
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, cast

import numpy as np

from potp2p.foundation.errors import ConfigurationError
from potp2p.foundation.types import POT, Amount, MicroNats
from potp2p.protocol.wire.tasks import (
    BatchRule,
    FinishRule,
    Mode,
    ModelRule,
    Objective,
    Optimizer,
    OptimizerRule,
    RoundRule,
    TaskRules,
    ToleranceClass,
)
from potp2p.training.configuration import Configuration
from potp2p.training.data import LABELS, PIXELS, TOKENS
from potp2p.training.tensors import Float32, Int64, Tensor, Uint16

Data = dict[str, Tensor]

DIGITS_HELD_OUT_STRIDE: Final = 9
"""Images whose index is a multiple of 9 are the test set: 200 of 1,797."""
DIGITS_SHARDS: Final = 6
TEXT_SHARDS: Final = 8
TEXT_CONTEXT: Final = 64
TEXT_BYTES_MAX: Final = 4 << 20
"""Enough for a demonstration; a shard stays under 1 MiB of tokens."""
TEXT_SUFFIXES: Final = frozenset({".md", ".py", ".txt"})
TEXT_HELD_OUT: Final = 64
"""Rows of the evaluation set, spread evenly over the text."""
VOCABULARY_BYTES: Final = 256
BUDGET: Final = Amount(100 * POT)
MEMORY_BYTES: Final = 1 << 30
"""What a device needs free: torch itself is most of it for models of this size."""


@dataclass(frozen=True, slots=True)
class Order:
    """A package before it has weights: model, data and rules."""

    name: str
    configuration: Configuration
    shards: tuple[Data, ...]
    evaluation: Data
    rules: TaskRules
    """`model.parameters` is filled in when the model is built."""
    budget: Amount


def digits(mode: Mode, seed: int) -> Order:
    """Return scikit-learn's handwritten digits cut into shards, and a ViT that learns them."""
    pixels, labels = _load_digits()
    is_held_out = np.arange(len(labels)) % DIGITS_HELD_OUT_STRIDE == 0
    order = {PIXELS: pixels, LABELS: labels}
    train: Data = {name: values[~is_held_out] for name, values in order.items()}
    configuration: Configuration = {
        "architectures": ["ViTForImageClassification"],
        "model_type": "vit",
        "attention_probs_dropout_prob": 0.0,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.0,
        "hidden_size": 64,
        "id2label": {str(digit): str(digit) for digit in range(10)},
        "image_size": 8,
        "initializer_range": 0.1,
        "intermediate_size": 128,
        "label2id": {str(digit): digit for digit in range(10)},
        "layer_norm_eps": 1e-6,
        "num_attention_heads": 4,
        "num_channels": 1,
        "num_hidden_layers": 2,
        "patch_size": 4,
        "qkv_bias": True,
    }
    is_local = mode is Mode.LOCAL
    rules = TaskRules(
        mode=mode,
        seed=seed,
        model=_model_rule("vit", Objective.CLASSIFY),
        batch=BatchRule(20, 1, 64) if is_local else BatchRule(1, 8, 32),
        optimizer=_optimizer_rule(mode, 2_000_000, 200_000),
        rounds=_round_rule(12 if is_local else 40, DIGITS_SHARDS),
        finish=FinishRule(0, MicroNats(0), 0),
    )
    evaluation: Data = {name: values[is_held_out] for name, values in order.items()}
    return Order(
        "digits", configuration, cut(train, DIGITS_SHARDS), evaluation, rules, Amount(100 * POT)
    )


def text(mode: Mode, seed: int, folder: Path | None) -> Order:
    """Return a folder of UTF-8 text as byte tokens, and a GPT-2 of about 1M parameters."""
    tokens = read_text(folder or Path(sysconfig.get_path("stdlib")))
    stride = max(2, len(tokens) // TEXT_HELD_OUT)
    is_held_out = np.arange(len(tokens)) % stride == 0
    configuration: Configuration = {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "activation_function": "gelu_new",
        "attn_pdrop": 0.0,
        "bos_token_id": None,
        "embd_pdrop": 0.0,
        "eos_token_id": None,
        "n_embd": 144,
        "n_head": 4,
        "n_layer": 4,
        "n_positions": TEXT_CONTEXT,
        "resid_pdrop": 0.0,
        "summary_first_dropout": 0.0,
        "vocab_size": VOCABULARY_BYTES,
    }
    is_local = mode is Mode.LOCAL
    rules = TaskRules(
        mode=mode,
        seed=seed,
        model=_model_rule("gpt2", Objective.NEXT_TOKEN),
        batch=BatchRule(20, 1, 8) if is_local else BatchRule(1, 8, 4),
        optimizer=_text_optimizer_rule(mode),
        rounds=_round_rule(20 if is_local else 60, TEXT_SHARDS),
        finish=FinishRule(0, MicroNats(0), 0),
    )
    train: Data = {TOKENS: tokens[~is_held_out]}
    evaluation: Data = {TOKENS: tokens[is_held_out]}
    return Order(
        "text", configuration, cut(train, TEXT_SHARDS), evaluation, rules, Amount(100 * POT)
    )


def cut(data: Data, shards: int) -> tuple[Data, ...]:
    """Deal samples out in turn, so that every shard sees all of a sorted dataset."""
    count = min(len(values) for values in data.values())
    if count < shards:
        raise ConfigurationError(f"{count} samples do not fill {shards} shards")
    return tuple(
        {name: np.ascontiguousarray(values[index::shards]) for name, values in data.items()}
        for index in range(shards)
    )


def read_text(folder: Path) -> Uint16:
    """Return a folder's UTF-8 files in the order of their names as rows of byte tokens."""
    if not folder.is_dir():
        raise ConfigurationError(f"{folder} is not a folder")
    parts: list[bytes] = []
    size = 0
    for path in _text_files(folder):
        try:
            content = path.read_bytes()
            content.decode()
        except (OSError, UnicodeDecodeError):
            # A folder may hold what is not ours to read; the rest of it is still text.
            continue
        parts.append(content)
        size += len(content)
        if size >= TEXT_BYTES_MAX:
            break
    rows = min(size, TEXT_BYTES_MAX) // TEXT_CONTEXT
    if rows <= 2 * TEXT_HELD_OUT:
        raise ConfigurationError(f"{folder} holds {size} bytes of text: too few to train on")
    flat = np.frombuffer(b"".join(parts)[: rows * TEXT_CONTEXT], np.uint8)
    return flat.astype(np.uint16).reshape(rows, TEXT_CONTEXT)


def _text_files(folder: Path) -> Iterator[Path]:
    """Yield text files in the order of their names, without what was installed beside them."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - {"site-packages", "__pycache__"})
        for name in sorted(names):
            path = Path(parent, name)
            if path.suffix in TEXT_SUFFIXES and path.is_file():
                yield path


def _load_digits() -> tuple[Float32, Int64]:
    # Only whoever prepares this example needs scikit-learn.
    from sklearn.datasets import load_digits  # noqa: PLC0415

    bunch = cast("dict[str, np.typing.NDArray[np.float64]]", load_digits())
    images = bunch["images"].astype(np.float32) / np.float32(16)
    pixels: Float32 = (images - np.float32(0.5)) / np.float32(0.5)
    return pixels.reshape(-1, 1, 8, 8), bunch["target"].astype(np.int64)


def _model_rule(architecture: str, objective: Objective) -> ModelRule:
    return ModelRule(architecture, objective, 0, ToleranceClass.SMOOTH, 1, MEMORY_BYTES)


def _optimizer_rule(mode: Mode, rate: int, rate_final: int) -> OptimizerRule:
    return OptimizerRule(
        optimizer=Optimizer.ADAMW,
        learning_rate=rate,
        learning_rate_final=rate_final,
        weight_decay=100_000_000,
        beta1=900_000,
        beta2=990_000,
        epsilon=1_000_000,
        clip_ratio=100 if mode is Mode.LOCAL else 200,
    )


def _text_optimizer_rule(mode: Mode) -> OptimizerRule:
    """
    Return a rule under which honest machines stay together to the last round.

    Twenty local steps at twice the rate and a tenth of epsilon put the replays of 27 in 336 honest
    leases beyond their tolerance, late in training and by up to 8 %; these keep them within 2 ppm.
    """
    if mode is not Mode.LOCAL:
        return _optimizer_rule(mode, 2_000_000, 400_000)
    return replace(_optimizer_rule(mode, 1_000_000, 400_000), epsilon=10_000_000)


def _round_rule(rounds: int, shards: int) -> RoundRule:
    return RoundRule(rounds, shards, shards, deadline=40, attest_window=8, result_deadline=40)
