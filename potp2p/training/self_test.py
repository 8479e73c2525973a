"""
The known-answer check: exact arithmetic on hard inputs must give the bytes it always gave.

Run by every worker after torch is loaded, since a library may switch flush-to-zero on for the whole
process. A worker that fails it may not compute what others hash.
"""

from hashlib import sha256
from typing import Final

import numpy as np

from potp2p.foundation.errors import OperatingError
from potp2p.foundation.types import AccountId, Digest, MicroNats, Round, ShardIndex, TaskId
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
from potp2p.training.aggregation import aggregate
from potp2p.training.checkpoint import Checkpoint, encode_checkpoint
from potp2p.training.commands import Lease
from potp2p.training.compression import d8
from potp2p.training.layout import Layout
from potp2p.training.screening import products
from potp2p.training.step import ignore_progress
from potp2p.training.tensors import Float32

KNOWN_ANSWER: Final = "e87b1a3b6f1d63434c76b13df89d0d8ca7ca0e9095a5b10548e7b6d8ea034b20"
LAYOUT: Final = Layout(
    parameters=(("bias", (5,)), ("scale", ()), ("weight", (3, 1_500))),
    buffers=(("mean", (4,)),),
)


class UnfitError(OperatingError):
    """The machine computes other bits than the rule says."""


def verify_arithmetic(known: str = KNOWN_ANSWER) -> None:
    """Raise UnfitError when this machine computes other bits than the rule says."""
    answer = compute_answer().hex()
    if answer != known:
        raise UnfitError(
            f"exact arithmetic differs on this machine ({answer[:8]} for {known[:8]}): "
            "it would disagree with every other node"
        )


def compute_answer() -> Digest:
    """Encode, decode, compare and aggregate in every mode, with one, two and three payloads."""
    digest = sha256()
    count_chunks = LAYOUT.chunk_starts_C.size
    for mode, optimizer in (
        (Mode.LOCAL, Optimizer.ADAMW),
        (Mode.GRADIENT, Optimizer.SGD),
        (Mode.GRADIENT, Optimizer.ADAMW),
    ):
        rules = _rules(mode, optimizer)
        buffers_B = numbers("buffers", LAYOUT.buffer_count, 10)
        start = Checkpoint(LAYOUT, numbers("theta", LAYOUT.parameter_count, 3), buffers_B, None)
        checkpoint = start.with_moments(rules)
        for count in (1, 2, 3):
            encoded = [_payload(index, count) for index in range(count)]
            payloads = [d8.decode(payload, LAYOUT) for payload in encoded]
            checkpoint = aggregate(rules, Round(count), checkpoint, payloads)
            digest.update(b"".join(encoded))
            compared = products(LAYOUT, payloads, range(count_chunks), ignore_progress)
            digest.update(repr(compared).encode())
            digest.update(encode_checkpoint(checkpoint))
    return Digest(digest.digest())


def numbers(label: str, count: int, bits: int) -> Float32:
    """Return floats of many magnitudes, subnormals, zeros and ties among them, from SHA-256."""
    stream = b"".join(
        sha256(f"{label}/{index}".encode()).digest() for index in range(-(-count // 4))
    )
    words = np.frombuffer(stream, "<u8", count)
    mantissas = (words & 0xFFFFFF).astype(np.int64) - (1 << 23)
    exponents = (words >> 32).astype(np.int64) % (bits * 8) - bits * 7 - 23
    values = np.ldexp(mantissas.astype(np.float64), exponents).astype(np.float32)
    values[words % 17 == 0] = 0
    values[words % 19 == 0] = np.ldexp(np.float32(1), -140)
    values[words % 23 == 0] = np.float32(1.5)
    return values


def _payload(index: int, count: int) -> bytes:
    lease = Lease(AccountId(b"m" * 20), TaskId(Digest(b"t" * 32)), Round(count), ShardIndex(index))
    update_P = numbers(f"update/{index}", LAYOUT.parameter_count, (1, 3, 9)[index])
    buffers_B = numbers(f"buffer/{index}", LAYOUT.buffer_count, 1)
    return d8.encode(lease, LAYOUT, update_P, buffers_B)


def _rules(mode: Mode, optimizer: Optimizer) -> TaskRules:
    return TaskRules(
        mode=mode,
        seed=1,
        model=ModelRule("vit", Objective.CLASSIFY, 4_506, ToleranceClass.SMOOTH, 1, 0),
        batch=BatchRule(1, 8, 16),
        optimizer=OptimizerRule(
            optimizer, 2_000_000, 100_000, 10_000_000, 900_000, 999_000, 1_000_000, 150
        ),
        rounds=RoundRule(20, 3, 3, 40, 8, 40),
        finish=FinishRule(0, MicroNats(0), 0),
    )
