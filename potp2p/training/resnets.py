"""
Two orders for networks with ReLU and batch-norm: a small one, and the published test case.

The published case (arXiv 2508.12138) is a ResNet-50 in 100 segments, each processed at least ten
times. Its images are not stated; ours are generated, 32 x 32 with three channels, ten classes.
"""

from dataclasses import replace
from typing import Final

import numpy as np

from potp2p.foundation.types import POT, Amount, MicroNats
from potp2p.protocol.wire.tasks import (
    BatchRule,
    FinishRule,
    Mode,
    Optimizer,
    RoundRule,
    TaskRules,
    ToleranceClass,
)
from potp2p.training.configuration import Configuration
from potp2p.training.data import LABELS, PIXELS
from potp2p.training.examples import Data, Order, cut, digits
from potp2p.training.tensors import Float32, Int64

CLASSES: Final = 10
SIDE: Final = 32
CHANNELS: Final = 3
PATCHES: Final = 4
"""Along each side of a class's pattern: what changes from pixel to pixel, pooling averages away."""
IMAGES_SHARDS: Final = 100
IMAGES_PER_SHARD: Final = 64
IMAGES_RATE: Final = 10_000_000
"""0.01, in units of 1e-9: gradients of the first rounds have a norm near 2, and 0.05 diverged."""
IMAGES_DECAY: Final = 10_000_000
"""0.01, in units of 1e-9."""
IMAGES_HELD_OUT: Final = 100
IMAGES_PER_ROUND: Final = 10
"""Shards: ten payloads of 23.6 MB stay within what a devnet carries in a round."""
IMAGES_ROUNDS: Final = 100
"""Ten passes over 100 shards, ten of them at a time."""
IMAGES_PASSES: Final = 10
IMAGES_BUDGET: Final = Amount(200 * POT)
"""A fifth of a POT a lease: bonds of 20 POT cover so much, and at one two of three were audited."""


def digits_resnet(mode: Mode, seed: int) -> Order:
    """Return the handwritten digits for a ResNet of 78,000 parameters."""
    order = digits(mode, seed)
    batch = BatchRule(5, 2, 16) if mode is Mode.LOCAL else BatchRule(1, 8, 16)
    return replace(
        order,
        name="digits-resnet",
        configuration=_configuration(
            channels=1, embedding=16, widths=[16, 32, 64], depths=[1, 1, 1], layer="basic"
        ),
        rules=replace(_of_class_relu(order), batch=batch),
    )


def images_resnet(mode: Mode, seed: int) -> Order:
    """Return generated images for the ResNet-50 of the published test case."""
    order = digits(mode, seed)
    count = IMAGES_SHARDS * IMAGES_PER_SHARD
    pixels, labels = _images(seed, count + IMAGES_HELD_OUT)
    train: Data = {PIXELS: pixels[:count], LABELS: labels[:count]}
    evaluation: Data = {PIXELS: pixels[count:], LABELS: labels[count:]}
    is_local = mode is Mode.LOCAL
    each_round = IMAGES_PER_ROUND if is_local else IMAGES_SHARDS
    return replace(
        order,
        name="images-resnet50",
        configuration=_configuration(
            channels=CHANNELS,
            embedding=64,
            widths=[256, 512, 1024, 2048],
            depths=[3, 4, 6, 3],
            layer="bottleneck",
        ),
        shards=cut(train, IMAGES_SHARDS),
        evaluation=evaluation,
        rules=replace(
            _of_class_relu(order),
            # Two passes over a segment: a trace has eight entries at least, and batch-norm over
            # eight samples puts honest threads 1.7 % apart. One step also in local mode: after a
            # second they are 0.9 % apart, whatever the rate (142 ppm after the first): too near
            # the class, and calibration refuses it.
            batch=BatchRule(1, 8, 16),
            # The published formula. AdamW's first steps are nearly signs, which turn the kinks of
            # so deep a network into a distance of a quarter of its class between two threads.
            optimizer=replace(
                order.rules.optimizer,
                optimizer=Optimizer.SGD,
                learning_rate=IMAGES_RATE,
                learning_rate_final=IMAGES_RATE // 10,
                weight_decay=IMAGES_DECAY,
            ),
            rounds=RoundRule(
                IMAGES_ROUNDS,
                IMAGES_SHARDS,
                each_round,
                deadline=80,
                attest_window=30,
                result_deadline=40,
            ),
            finish=FinishRule(IMAGES_PASSES, MicroNats(0), 0),
        ),
        budget=IMAGES_BUDGET,
    )


def _of_class_relu(order: Order) -> TaskRules:
    rules = order.rules
    model = replace(
        rules.model,
        architecture="resnet",
        tolerance=ToleranceClass.RELU,
        memory_bytes=2 * rules.model.memory_bytes,
    )
    return replace(rules, model=model)


def _configuration(
    *, channels: int, embedding: int, widths: list[int], depths: list[int], layer: str
) -> Configuration:
    return {
        "architectures": ["ResNetForImageClassification"],
        "model_type": "resnet",
        "depths": depths,
        "downsample_in_first_stage": False,
        "embedding_size": embedding,
        "hidden_act": "relu",
        "hidden_sizes": widths,
        "id2label": {str(label): str(label) for label in range(CLASSES)},
        "label2id": {str(label): label for label in range(CLASSES)},
        "layer_type": layer,
        "num_channels": channels,
    }


def _images(seed: int, count: int) -> tuple[Float32, Int64]:
    """Return images of a class's own coarse patches in noise: learnable, and nobody's property."""
    generator = np.random.default_rng(seed)
    # In an order by chance: shards are cut by strides, and one of a single class teaches nothing.
    labels = generator.permutation(np.arange(count) % CLASSES).astype(np.int64)
    patches = generator.normal(size=(CLASSES, CHANNELS, PATCHES, PATCHES)).astype(np.float32)
    patterns = patches.repeat(SIDE // PATCHES, axis=2).repeat(SIDE // PATCHES, axis=3)
    noise = generator.normal(size=(count, CHANNELS, SIDE, SIDE)).astype(np.float32)
    pixels: Float32 = patterns[labels] + noise
    return pixels, labels
