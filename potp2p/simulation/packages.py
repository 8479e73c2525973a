"""A task that is cheap to train: rules that the network takes, and files that fit them."""

from pathlib import Path

from potp2p.foundation.types import MicroNats
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.wire.manifests import (
    EVALUATION_FILE,
    INITIAL_FILE,
    MODEL_FILE,
    RULES_FILE,
    TASK_FILE,
    shard_file,
)
from potp2p.protocol.wire.schema import encode
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
from potp2p.simulation.workers import write_checkpoint


def make_rules(*, rounds: int = 2, shards: int = 4, shards_per_round: int = 3) -> TaskRules:
    """Return rules that the network takes."""
    return TaskRules(
        mode=Mode.LOCAL,
        seed=7,
        model=ModelRule("vit", Objective.CLASSIFY, 1_000, ToleranceClass.SMOOTH, 1, 1 << 20),
        batch=BatchRule(steps=2, micro_batches=4, micro_batch=2),
        optimizer=OptimizerRule(Optimizer.ADAMW, 10**6, 10**6, 0, 900_000, 999_000, 10**6, 100),
        rounds=RoundRule(
            rounds=rounds,
            shards=shards,
            shards_per_round=shards_per_round,
            deadline=16,
            attest_window=8,
            result_deadline=16,
        ),
        finish=FinishRule(0, MicroNats(0), 0),
    )


def write_files(folder: Path, rules: TaskRules) -> None:
    """Write a package folder that fits its rules."""
    (folder / "shards").mkdir(parents=True)
    for index in range(rules.rounds.shards):
        (folder / shard_file(index)).write_bytes(b"shard %d" % index)
    (folder / RULES_FILE).write_bytes(encode(rules))
    (folder / TASK_FILE).write_bytes(b"# a task\n")
    (folder / MODEL_FILE).write_bytes(b"{}\n")
    (folder / EVALUATION_FILE).write_bytes(b"held out")
    write_checkpoint(folder / INITIAL_FILE, sha256(b"theta 0"))
