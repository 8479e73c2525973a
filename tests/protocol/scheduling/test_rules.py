"""Rules that cannot be trained, replayed or paid for are refused before anything is fetched."""

from dataclasses import replace

import pytest

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.types import MicroNats
from potp2p.protocol.scheduling.rules import verify_rules
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

LOCAL = TaskRules(
    mode=Mode.LOCAL,
    seed=7,
    model=ModelRule("vit", Objective.CLASSIFY, 3_000, ToleranceClass.SMOOTH, 1, 1 << 20),
    batch=BatchRule(20, 1, 16),
    optimizer=OptimizerRule(
        Optimizer.ADAMW, 5_000_000, 1_000_000, 0, 900_000, 990_000, 1_000_000, 100
    ),
    rounds=RoundRule(4, 8, 4, 40, 8, 40),
    finish=FinishRule(0, MicroNats(0), 0),
)
GRADIENT = replace(
    LOCAL,
    mode=Mode.GRADIENT,
    batch=BatchRule(1, 8, 16),
    rounds=replace(LOCAL.rounds, shards_per_round=8),
)
LOW = replace(LOCAL, model=replace(LOCAL.model, tolerance=ToleranceClass.BF16))
LOW_GRADIENT = replace(GRADIENT, model=LOW.model)


@pytest.mark.parametrize("rules", [LOCAL, GRADIENT, LOW_GRADIENT])
def test_sensible_rules_pass(rules: TaskRules) -> None:
    verify_rules(rules)


def model(**changes: object) -> TaskRules:
    return replace(LOCAL, model=replace(LOCAL.model, **changes))  # type: ignore[arg-type]


def batch(*numbers: int) -> TaskRules:
    return replace(LOCAL, batch=BatchRule(*numbers))


def optimizer(**changes: object) -> TaskRules:
    return replace(LOCAL, optimizer=replace(LOCAL.optimizer, **changes))  # type: ignore[arg-type]


def rounds(rules: TaskRules = LOCAL, **changes: object) -> TaskRules:
    return replace(rules, rounds=replace(rules.rounds, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rules", "detail"),
    [
        (model(architecture="t5"), "architecture t5"),
        (model(architecture="gpt2"), "gpt2 does not learn to classify"),
        (model(objective=Objective.NEXT_TOKEN), "vit does not learn to next_token"),
        (model(architecture="resnet"), "batch-norm needs tolerance class relu"),
        (LOW, "low precision in local mode, where honest runs drift apart"),
        (
            replace(LOW, mode=Mode.GRADIENT, model=replace(LOW.model, architecture="resnet")),
            "batch-norm needs tolerance class relu",
        ),
        (model(parameters=0), "0 parameters"),
        (model(parameters=1 << 39), "549755813888 parameters"),
        (model(threads=0), "0 threads"),
        (batch(0, 8, 16), "0 steps, allowed are 1 to 20"),
        (batch(21, 1, 16), "21 steps, allowed are 1 to 20"),
        (batch(7, 1, 16), "7 micro-batches in a lease, allowed are 8 to 512"),
        (batch(20, 26, 16), "520 micro-batches in a lease, allowed are 8 to 512"),
        (batch(20, 1, 0), "0 samples in a micro-batch, allowed are 1 to 4096"),
        (batch(8, 1, 4_097), "4097 samples in a micro-batch, allowed are 1 to 4096"),
        (batch(20, 25, 4_096), "2048000 samples in a lease"),
        (model(memory_bytes=0), "0 bytes of memory for 3000 parameters"),
        (model(memory_bytes=47_999), "47999 bytes of memory for 3000 parameters"),
        (
            replace(model(parameters=1 << 34, memory_bytes=1 << 38), batch=BatchRule(9, 8, 16)),
            "17179869184 parameters and 1152 samples are too much for a lease",
        ),
        (
            replace(model(tolerance=ToleranceClass.RELU), batch=BatchRule(6, 2, 16)),
            "6 steps, allowed are 1 to 5",
        ),
        (replace(GRADIENT, batch=BatchRule(2, 8, 16)), "2 steps, allowed are 1 to 1"),
        (
            optimizer(epsilon=999_999),
            "epsilon of 999999 e-12: below 1e-6 rounding noise becomes full steps",
        ),
        (optimizer(learning_rate=0), "learning rate of 0 e-9"),
        (optimizer(learning_rate_final=1 << 39), "learning rate of 549755813888 e-9"),
        (optimizer(weight_decay=1 << 39), "weight decay of 549755813888 e-9"),
        (optimizer(clip_ratio=300), "clip ratio of 300 percent"),
        (optimizer(clip_ratio=0), "clip ratio of 0 percent"),
        (rounds(rounds=0), "no rounds"),
        (rounds(shards_per_round=0), "shards per round"),
        (rounds(shards_per_round=9), "shards per round"),
        (rounds(GRADIENT, shards_per_round=7), "gradient mode leases every shard in every round"),
        (rounds(deadline=0), "a deadline of no blocks"),
        (rounds(attest_window=0), "a deadline of no blocks"),
        (rounds(result_deadline=0), "a deadline of no blocks"),
    ],
)
def test_rules_out_of_bounds_are_refused(rules: TaskRules, detail: str) -> None:
    with pytest.raises(PeerError) as caught:
        verify_rules(rules)
    assert caught.value.reason is RejectionReason.BAD_TASK
    assert caught.value.detail == detail


def test_the_largest_model_may_learn_from_few_samples_and_a_small_one_from_many() -> None:
    verify_rules(
        replace(model(parameters=1 << 34, memory_bytes=1 << 38), batch=BatchRule(8, 8, 16))
    )
    verify_rules(batch(16, 16, 4_096))


def test_sgd_has_no_epsilon() -> None:
    verify_rules(optimizer(optimizer=Optimizer.SGD, epsilon=0))
