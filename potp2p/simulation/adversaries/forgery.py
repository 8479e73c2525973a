"""Payloads and traces put together without training: numpy alone, in the spelling of the codec."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from potp2p.foundation.types import MicroNats
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.wire.schema import encode
from potp2p.protocol.wire.tasks import TaskRules
from potp2p.protocol.wire.verification import Trace, TraceEntry
from potp2p.training.checkpoint import read_checkpoint
from potp2p.training.commands import Lease
from potp2p.training.compression import d8
from potp2p.training.layout import Layout
from potp2p.training.reports import Trained
from potp2p.training.tensors import Float32, write_file

Change = Callable[[Float32], Float32]

NORM_GUESSED = 1_000_000_000
"""A gradient norm of one, in units of 1e-9."""


def dice(lease: Lease, word: str) -> np.random.Generator:
    """Return chance that is the same in every run of a lease."""
    seed = sha256(word.encode() + encode(lease))
    return np.random.default_rng(int.from_bytes(seed[:8], "big"))


def layout_of(theta: Path, rules: TaskRules) -> Layout:
    """Return where the tensors of a checkpoint lie."""
    return read_checkpoint(theta, rules).layout


def read_update(payload: Path, layout: Layout) -> tuple[Float32, Float32]:
    """Return what a payload stands for: the update and the float buffers."""
    decoded = d8.decode(payload.read_bytes(), layout)
    buffers_B = np.ldexp(decoded.buffers_B.astype(np.float32), -d8.BUFFER_BITS)
    return d8.dequantize(layout, decoded), buffers_B


def write_update(
    payload: Path, lease: Lease, layout: Layout, update_P: Float32, buffers_B: Float32
) -> None:
    """Write an update as a payload of a lease, whoever computed it."""
    fitting_P = np.clip(update_P, -d8.MAGNITUDE_MAX, d8.MAGNITUDE_MAX).astype(np.float32)
    write_file(payload, d8.encode(lease, layout, fitting_P, buffers_B))


def alter(payload: Path, lease: Lease, layout: Layout, change: Change) -> None:
    """Change the update inside a payload."""
    update_P, buffers_B = read_update(payload, layout)
    write_update(payload, lease, layout, change(update_P), buffers_B)


def noise_like(update_P: Float32, share: float, random: np.random.Generator) -> Float32:
    """Return noise whose norm is a share of an update's."""
    raw_P = random.standard_normal(update_P.size).astype(np.float32)
    scale = share * float(np.linalg.norm(update_P)) / max(float(np.linalg.norm(raw_P)), 1e-30)
    return (raw_P * np.float32(scale)).astype(np.float32)


def invented(rules: TaskRules, before: int, after: int) -> Trained:
    """Return a report of training that never took place: losses that fall, norms of one."""
    entries = rules.batch.steps * rules.batch.micro_batches
    fall = (before - after) // max(1, entries)
    trace = Trace(
        tuple(
            TraceEntry(MicroNats(max(1, before - place * fall)), NORM_GUESSED)
            for place in range(entries)
        )
    )
    return Trained(
        samples=entries * rules.batch.micro_batch,
        loss_before=MicroNats(before),
        loss_after=MicroNats(after),
        diverged=False,
        trace=trace,
        milliseconds=0,
    )
