"""
Writes a package of handwritten digits that is quick to train, cut into as many shards as asked.

`python -m potp2p.benchmarks.proof_package SHARDS ROUNDS SEED DIR`, in a process of its own: the one
that runs a network loads no torch.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from potp2p.protocol.wire.tasks import BatchRule, Mode, TaskRules
from potp2p.training.examples import Data, Order, cut, digits
from potp2p.training.prepare import write_package

BATCH: Final = BatchRule(steps=8, micro_batches=1, micro_batch=16)
"""Eight entries of a trace, the least that the rules take."""


def whole_of(order: Order) -> Data:
    """Return the training data of an order in one piece."""
    names = list(order.shards[0])
    return {name: np.concatenate([shard[name] for shard in order.shards]) for name in names}


def order_of(shards: int, rounds: int, seed: int) -> Order:
    """Return the example with shorter leases and other shards."""
    example = digits(Mode.LOCAL, seed)
    return replace(
        example,
        shards=cut(whole_of(example), shards),
        rules=shortened(example.rules, shards, rounds),
    )


def shortened(rules: TaskRules, shards: int, rounds: int) -> TaskRules:
    """Return rules for many short rounds, in each of which every shard is leased."""
    return replace(
        rules,
        batch=BATCH,
        rounds=replace(rules.rounds, rounds=rounds, shards=shards, shards_per_round=shards),
    )


if __name__ == "__main__":
    counts = [int(each) for each in sys.argv[1:4]]
    write_package(order_of(*counts), Path(sys.argv[4]))
