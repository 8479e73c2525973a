"""Small orders for tests: real architectures, a few thousand parameters, invented data."""

from dataclasses import replace

import numpy as np

from potp2p.foundation.types import AccountId, Amount, Digest, MicroNats, Round, ShardIndex, TaskId
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
from potp2p.training.commands import Lease
from potp2p.training.configuration import Configuration
from potp2p.training.examples import Data, Order, cut

SHARDS = 3
TASK = TaskId(Digest(b"t" * 32))

VIT: Configuration = {
    "model_type": "vit",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "hidden_act": "gelu",
    "image_size": 8,
    "patch_size": 4,
    "num_channels": 1,
    "initializer_range": 0.2,
    "layer_norm_eps": 1e-6,
    "id2label": {"0": "left", "1": "right", "2": "none"},
    "label2id": {"left": 0, "right": 1, "none": 2},
}
GPT2: Configuration = {
    "model_type": "gpt2",
    "vocab_size": 32,
    "n_positions": 16,
    "n_embd": 16,
    "n_layer": 1,
    "n_head": 2,
    "attn_pdrop": 0.0,
    "embd_pdrop": 0.0,
    "resid_pdrop": 0.0,
    "summary_first_dropout": 0.0,
    "bos_token_id": None,
    "eos_token_id": None,
}
RESNET: Configuration = {
    "model_type": "resnet",
    "num_channels": 1,
    "embedding_size": 8,
    "hidden_sizes": [8, 16],
    "depths": [1, 1],
    "layer_type": "basic",
    "hidden_act": "relu",
    "id2label": {"0": "left", "1": "right", "2": "none"},
    "label2id": {"left": 0, "right": 1, "none": 2},
}


def rules(mode: Mode = Mode.LOCAL, optimizer: Optimizer = Optimizer.ADAMW) -> TaskRules:
    return TaskRules(
        mode=mode,
        seed=7,
        model=ModelRule("vit", Objective.CLASSIFY, 3_000, ToleranceClass.SMOOTH, 1, 1 << 20),
        batch=BatchRule(8, 1, 16) if mode is Mode.LOCAL else BatchRule(1, 8, 8),
        optimizer=OptimizerRule(
            optimizer, 5_000_000, 1_000_000, 10_000_000, 900_000, 990_000, 1_000_000, 150
        ),
        rounds=RoundRule(4, SHARDS, SHARDS, 40, 8, 40),
        finish=FinishRule(0, MicroNats(0), 0),
    )


def images_order(mode: Mode = Mode.LOCAL, optimizer: Optimizer = Optimizer.ADAMW) -> Order:
    """Stripes on the left, on the right or nowhere, in noise."""
    generator = np.random.default_rng(5)
    labels = generator.integers(0, 3, 96)
    pixels = generator.normal(0, 0.3, (96, 1, 8, 8)).astype(np.float32)
    pixels[labels == 0, :, :, :3] += 1
    pixels[labels == 1, :, :, 5:] += 1
    data: Data = {"pixel_values": pixels[:84], "labels": labels[:84]}
    held_out: Data = {"pixel_values": pixels[84:], "labels": labels[84:]}
    return Order("stripes", VIT, cut(data, SHARDS), held_out, rules(mode, optimizer), Amount(1_000))


def resnet_order() -> Order:
    order = images_order()
    model = replace(order.rules.model, architecture="resnet", tolerance=ToleranceClass.RELU)
    return replace(
        order,
        configuration=RESNET,
        rules=replace(order.rules, model=model, batch=BatchRule(4, 2, 8)),
    )


def deep_resnet_order() -> Order:
    """Three stages shrink eight pixels to one: batch-norm then sees one value of each sample."""
    order = resnet_order()
    widths: Configuration = {"hidden_sizes": [8, 8, 16], "depths": [1, 1, 1]}
    return replace(order, configuration={**RESNET, **widths})


def low_precision_order() -> Order:
    order = images_order(Mode.GRADIENT)
    model = replace(order.rules.model, tolerance=ToleranceClass.BF16)
    return replace(order, rules=replace(order.rules, model=model))


def tokens_order() -> Order:
    tokens = (np.arange(60 * 16).reshape(60, 16) * 7 // 3 % 31).astype(np.uint16)
    data: Data = {"input_ids": tokens[:54]}
    order = images_order()
    model = replace(order.rules.model, architecture="gpt2", objective=Objective.NEXT_TOKEN)
    return replace(
        order,
        configuration=GPT2,
        shards=cut(data, SHARDS),
        evaluation={"input_ids": tokens[54:]},
        rules=replace(order.rules, model=model),
    )


def lease(shard: int = 0, round_: int = 0, miner: bytes = b"m" * 20) -> Lease:
    return Lease(AccountId(miner), TASK, Round(round_), ShardIndex(shard))
