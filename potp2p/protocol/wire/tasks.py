"""The rules of a task as they stand on chain: integers only, everything a replay depends on."""

from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Annotated

from potp2p.foundation.limits import ROUNDS_MAX, SHARDS_MAX, SHARDS_PER_ROUND_MAX
from potp2p.protocol.wire.fields import CountField, LossField
from potp2p.protocol.wire.schema import Text, Uint


@unique
class Mode(IntEnum):
    """How a round turns theta(t) into theta(t+1)."""

    GRADIENT = 0
    """One step per round on the averaged gradient; every shard in every round."""
    LOCAL = 1
    """H local AdamW steps per lease, the differences averaged."""


@unique
class Optimizer(IntEnum):
    """Which exact operations turn a gradient into a step."""

    SGD = 0
    """theta - eta * gradient: the published formula."""
    ADAMW = 1


@unique
class ToleranceClass(IntEnum):
    """Which honest distance a replay may show; `verification/tolerance.py` has the numbers."""

    SMOOTH = 0
    """fp32, smooth activations (class S)."""
    RELU = 1
    """fp32 with ReLU (class R)."""
    BF16 = 2
    """bfloat16 matrix products, smooth activations, gradient mode only (class B)."""


@unique
class Objective(IntEnum):
    """What the loss is."""

    CLASSIFY = 0
    """Cross-entropy of `labels` given `pixel_values`."""
    NEXT_TOKEN = 1
    """Cross-entropy of the next token of `input_ids`."""


@dataclass(frozen=True, slots=True)
class ModelRule:
    """What is trained: named so that limits can be checked before any download."""

    architecture: Annotated[str, Text(64)]
    """`model_type` of the transformers configuration, from the allow-list."""
    objective: Objective
    parameters: Annotated[int, Uint(1 << 40)]
    tolerance: ToleranceClass
    threads: Annotated[int, Uint(65)]
    """CPU threads of torch in every training and replay of this task."""
    memory_bytes: CountField
    """What a device needs free to compute a lease."""


@dataclass(frozen=True, slots=True)
class BatchRule:
    """How much a lease computes; samples = steps x micro_batches x micro_batch."""

    steps: Annotated[int, Uint(21)]
    """Local optimizer steps; 1 in gradient mode."""
    micro_batches: Annotated[int, Uint(513)]
    """Micro-batches whose mean is one step's gradient."""
    micro_batch: Annotated[int, Uint(1 << 16)]
    """Samples in a micro-batch."""


@dataclass(frozen=True, slots=True)
class OptimizerRule:
    """The numbers of the update rule in fixed point."""

    optimizer: Optimizer
    learning_rate: Annotated[int, Uint(1 << 40)]
    """In units of 1e-9, at round 0."""
    learning_rate_final: Annotated[int, Uint(1 << 40)]
    """In units of 1e-9, at the last round; linear between, in integers."""
    weight_decay: Annotated[int, Uint(1 << 40)]
    """In units of 1e-9, decoupled."""
    beta1: Annotated[int, Uint(1_000_000)]
    """In ppm."""
    beta2: Annotated[int, Uint(1_000_000)]
    """In ppm."""
    epsilon: Annotated[int, Uint(1 << 40)]
    """In units of 1e-12; at least 1e-6, DESIGN section 7."""
    clip_ratio: Annotated[int, Uint(301)]
    """Norm clip in percent of the lower median norm of the round."""


@dataclass(frozen=True, slots=True)
class RoundRule:
    """How rounds are cut and timed, in blocks."""

    rounds: Annotated[int, Uint(ROUNDS_MAX)]
    shards: Annotated[int, Uint(SHARDS_MAX + 1)]
    shards_per_round: Annotated[int, Uint(SHARDS_PER_ROUND_MAX + 1)]
    deadline: Annotated[int, Uint(1 << 20)]
    attest_window: Annotated[int, Uint(1 << 20)]
    result_deadline: Annotated[int, Uint(1 << 20)]


@dataclass(frozen=True, slots=True)
class FinishRule:
    """When a task ends before its last round; zero switches a condition off."""

    min_passes: Annotated[int, Uint(1 << 20)]
    """Accepted leases that every shard needs before an early end."""
    target_loss: LossField
    patience: Annotated[int, Uint(1 << 20)]
    """Rounds without a better evaluation loss."""


@dataclass(frozen=True, slots=True)
class TaskRules:
    """Everything that fixes the result of a lease, with the package."""

    mode: Mode
    seed: CountField
    model: ModelRule
    batch: BatchRule
    optimizer: OptimizerRule
    rounds: RoundRule
    finish: FinishRule
