"""The integer part of what a task may ask: checked before any byte of its package is fetched."""

from typing import Final

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.limits import (
    EPSILON_MIN,
    LOCAL_STEPS_MAX,
    LOCAL_STEPS_RELU_MAX,
    PARAMETERS_MAX,
    TRACE_ENTRIES_MAX,
    TRACE_ENTRIES_MIN,
)
from potp2p.protocol.wire.tasks import (
    BatchRule,
    Mode,
    ModelRule,
    Objective,
    Optimizer,
    OptimizerRule,
    RoundRule,
    TaskRules,
    ToleranceClass,
)

ARCHITECTURES: Final = {
    "bert": (Objective.NEXT_TOKEN,),
    "gpt2": (Objective.NEXT_TOKEN,),
    "llama": (Objective.NEXT_TOKEN,),
    "resnet": (Objective.CLASSIFY,),
    "vit": (Objective.CLASSIFY,),
}
"""The allow-list, with what each learns to do."""
BATCH_NORM: Final = frozenset({"resnet"})
"""Architectures whose honest distance is that of class R whatever their activation."""
THREADS_MAX: Final = 64
CLIP_RATIO_MIN: Final = 50
CLIP_RATIO_MAX: Final = 299
"""In percent; from 300 on a quarter of sign flippers turns the mean around."""
RATE_MAX: Final = 10 * 10**9
"""Learning rate of 10, in units of 1e-9."""
MICRO_BATCH_MAX: Final = 4_096
"""One step can be neither cancelled nor seen to go on: it must stay short."""
LEASE_SAMPLES_MAX: Final = 1 << 20
"""Keeps the order of a lease's samples within 8 MiB of memory."""
LEASE_WORK_MAX: Final = 1 << 44
"""Parameters times samples: 1e14 operations at least, ten seconds of a 10 teraflop device."""
PARAMETER_BYTES: Final = 4 * 4
"""float32 of the parameter, its gradient and two moments: no device trains in less."""


def verify_rules(rules: TaskRules) -> None:
    """Raise PeerError (bad task) unless every number is one that can be trained and replayed."""
    _verify_model(rules.model)
    _verify_batch(rules.mode, rules.model.tolerance, rules.batch)
    _require(
        rules.mode is Mode.GRADIENT or rules.model.tolerance is not ToleranceClass.BF16,
        "low precision in local mode, where honest runs drift apart",
    )
    samples = rules.batch.steps * rules.batch.micro_batches * rules.batch.micro_batch
    _require(samples <= LEASE_SAMPLES_MAX, f"{samples} samples in a lease")
    _require(
        rules.model.parameters * samples <= LEASE_WORK_MAX,
        f"{rules.model.parameters} parameters and {samples} samples are too much for a lease",
    )
    _verify_optimizer(rules.optimizer)
    _verify_rounds(rules.mode, rules.rounds)


def _verify_model(model: ModelRule) -> None:
    objectives = ARCHITECTURES.get(model.architecture)
    _require(objectives is not None, f"architecture {model.architecture}")
    assert objectives is not None
    _require(
        model.objective in objectives,
        f"{model.architecture} does not learn to {model.objective.name.lower()}",
    )
    _require(0 < model.parameters <= PARAMETERS_MAX, f"{model.parameters} parameters")
    _require(
        model.memory_bytes >= PARAMETER_BYTES * model.parameters,
        f"{model.memory_bytes} bytes of memory for {model.parameters} parameters",
    )
    _require(1 <= model.threads <= THREADS_MAX, f"{model.threads} threads")
    _require(
        model.architecture not in BATCH_NORM or model.tolerance is ToleranceClass.RELU,
        "batch-norm needs tolerance class relu",
    )


def _verify_batch(mode: Mode, tolerance: ToleranceClass, batch: BatchRule) -> None:
    steps_max = LOCAL_STEPS_RELU_MAX if tolerance is ToleranceClass.RELU else LOCAL_STEPS_MAX
    if mode is Mode.GRADIENT:
        steps_max = 1
    _require(1 <= batch.steps <= steps_max, f"{batch.steps} steps, allowed are 1 to {steps_max}")
    entries = batch.steps * batch.micro_batches
    _require(
        TRACE_ENTRIES_MIN <= entries <= TRACE_ENTRIES_MAX,
        f"{entries} micro-batches in a lease, "
        f"allowed are {TRACE_ENTRIES_MIN} to {TRACE_ENTRIES_MAX}",
    )
    _require(
        1 <= batch.micro_batch <= MICRO_BATCH_MAX,
        f"{batch.micro_batch} samples in a micro-batch, allowed are 1 to {MICRO_BATCH_MAX}",
    )


def _verify_optimizer(optimizer: OptimizerRule) -> None:
    for rate in (optimizer.learning_rate, optimizer.learning_rate_final):
        _require(0 < rate <= RATE_MAX, f"learning rate of {rate} e-9")
    _require(optimizer.weight_decay <= RATE_MAX, f"weight decay of {optimizer.weight_decay} e-9")
    _require(
        CLIP_RATIO_MIN <= optimizer.clip_ratio <= CLIP_RATIO_MAX,
        f"clip ratio of {optimizer.clip_ratio} percent",
    )
    if optimizer.optimizer is Optimizer.ADAMW:
        _require(
            optimizer.epsilon >= EPSILON_MIN,
            f"epsilon of {optimizer.epsilon} e-12: below 1e-6 rounding noise becomes full steps",
        )


def _verify_rounds(mode: Mode, rounds: RoundRule) -> None:
    _require(rounds.rounds >= 1, "no rounds")
    _require(1 <= rounds.shards_per_round <= rounds.shards, "shards per round")
    _require(
        mode is not Mode.GRADIENT or rounds.shards_per_round == rounds.shards,
        "gradient mode leases every shard in every round",
    )
    for blocks in (rounds.deadline, rounds.attest_window, rounds.result_deadline):
        _require(blocks >= 1, "a deadline of no blocks")


def _require(condition: bool, detail: str) -> None:  # noqa: FBT001  # reads as a sentence
    if not condition:
        raise PeerError(RejectionReason.BAD_TASK, detail)
