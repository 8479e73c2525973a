"""
A checkpoint: parameters, float buffers and optimizer state of one round, as one tensor file.

Names in the file: `parameter/NAME`, `buffer/NAME`, and in gradient mode with AdamW
`optimizer/first/NAME`, `optimizer/second/NAME` and `optimizer/steps`. The content hash of the file
is the root that validators vote on, so equal state has equal bytes: -0.0 is written as +0.0.
Suffixes as in `layout.py`.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, cast

import numpy as np

from potp2p.foundation.errors import OperatingError, PeerError, RejectionReason
from potp2p.foundation.limits import BLOB_BYTES_MAX, ROUNDS_MAX, TENSOR_HEADER_BYTES_MAX
from potp2p.protocol.wire.tasks import Mode, Optimizer, TaskRules
from potp2p.training.layout import Layout
from potp2p.training.tensors import Float32, Tensor, encode_tensors, read_tensors, write_file

PARAMETER: Final = "parameter/"
BUFFER: Final = "buffer/"
FIRST: Final = "optimizer/first/"
SECOND: Final = "optimizer/second/"
STEPS: Final = "optimizer/steps"
VALUES_PER_PARAMETER_MAX: Final = 4
"""The parameter, two moments, and buffers: batch-norm keeps as many as it has parameters."""
FLOAT_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Moments:
    """AdamW's memory between rounds; only gradient mode has one."""

    first_P: Float32
    second_P: Float32
    steps: int
    """Updates applied so far: fewer than rounds when some were void."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """State of a model at the start of a round."""

    layout: Layout
    theta_P: Float32
    buffers_B: Float32
    moments: Moments | None

    def with_moments(self, rules: TaskRules) -> "Checkpoint":
        """Return the first checkpoint of a task: moments at zero where the rules keep any."""
        if not keeps_moments(rules):
            return replace(self, moments=None)
        zeros_P = np.zeros_like(self.theta_P)
        return replace(self, moments=Moments(zeros_P, zeros_P, 0))


def keeps_moments(rules: TaskRules) -> bool:
    """Tell whether optimizer state outlives a round; local mode starts afresh each time."""
    return rules.mode is Mode.GRADIENT and rules.optimizer.optimizer is Optimizer.ADAMW


def encode_checkpoint(checkpoint: Checkpoint) -> bytes:
    """Return the canonical bytes; a value that is not finite is no checkpoint."""
    layout = checkpoint.layout
    tensors: dict[str, Tensor] = {}
    tensors |= _split(PARAMETER, layout.parameters, checkpoint.theta_P)
    tensors |= _split(BUFFER, layout.buffers, checkpoint.buffers_B)
    if checkpoint.moments is not None:
        tensors |= _split(FIRST, layout.parameters, checkpoint.moments.first_P)
        tensors |= _split(SECOND, layout.parameters, checkpoint.moments.second_P)
        tensors[STEPS] = np.array([checkpoint.moments.steps], np.int64)
    return encode_tensors(tensors)


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write the file atomically and synced."""
    write_file(path, encode_checkpoint(checkpoint))


def read_checkpoint(path: Path, rules: TaskRules) -> Checkpoint:
    """Read an untrusted checkpoint; whatever the rules do not call for is refused."""
    values_bytes = VALUES_PER_PARAMETER_MAX * FLOAT_BYTES * rules.model.parameters
    bytes_max = min(BLOB_BYTES_MAX, 2 * TENSOR_HEADER_BYTES_MAX + values_bytes)
    checkpoint = checkpoint_from_tensors(read_tensors(path, bytes_max=bytes_max))
    if (checkpoint.moments is not None) is not keeps_moments(rules):
        raise _refused("optimizer state present or absent against the rules")
    return checkpoint


def checkpoint_from_tensors(tensors: dict[str, Tensor]) -> Checkpoint:
    """Check names, types and values of a tensor file and join them into flat vectors."""
    groups: dict[str, dict[str, Float32]] = {PARAMETER: {}, BUFFER: {}, FIRST: {}, SECOND: {}}
    steps: int | None = None
    for name, tensor in tensors.items():
        prefix = next((prefix for prefix in groups if name.startswith(prefix)), None)
        if prefix is not None and tensor.dtype == np.float32:
            groups[prefix][name.removeprefix(prefix)] = cast("Float32", tensor)
        elif name == STEPS and tensor.dtype == np.int64 and tensor.shape == (1,):
            steps = int(tensor[0])
        else:
            raise _refused(f"unexpected tensor {name!r:.80}")
    layout = Layout(_table(groups[PARAMETER]), _table(groups[BUFFER]))
    if not layout.parameter_count:
        raise _refused("no parameters")
    return Checkpoint(
        layout,
        _join(groups[PARAMETER]),
        _join(groups[BUFFER]),
        _moments(layout, groups[FIRST], groups[SECOND], steps),
    )


def _moments(
    layout: Layout, first: dict[str, Float32], second: dict[str, Float32], steps: int | None
) -> Moments | None:
    if not first and not second and steps is None:
        return None
    if layout.parameters != _table(first) or layout.parameters != _table(second):
        raise _refused("optimizer state has other tensors than the parameters")
    if steps is None or not 0 <= steps <= ROUNDS_MAX:
        raise _refused("optimizer steps missing or out of range")
    second_P = _join(second)
    if (second_P < 0).any():
        raise _refused("negative second moment")
    return Moments(_join(first), second_P, steps)


def _table(tensors: dict[str, Float32]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple((name, tensors[name].shape) for name in sorted(tensors))


def _join(tensors: dict[str, Float32]) -> Float32:
    """Concatenate in the order of names; refuse what the writer would not have written."""
    parts = [tensors[name].reshape(-1) for name in sorted(tensors)]
    joined = np.concatenate(parts) if parts else np.empty(0, np.float32)
    if not np.isfinite(joined).all():
        raise _refused("a value is not finite")
    if np.signbit(joined[joined == 0]).any():
        raise _refused("a zero has a sign")
    return joined


def _split(
    prefix: str, table: tuple[tuple[str, tuple[int, ...]], ...], flat: Float32
) -> dict[str, Tensor]:
    if not np.isfinite(flat).all():
        raise OperatingError("a value of the checkpoint is not finite")
    # Adding +0.0 turns -0.0 into +0.0 and changes nothing else.
    canonical = flat + np.float32(0)
    tensors: dict[str, Tensor] = {}
    start = 0
    for name, shape in table:
        end = start + int(np.prod(shape, dtype=np.int64))
        tensors[prefix + name] = canonical[start:end].reshape(shape)
        start = end
    assert start == flat.size
    return tensors


def _refused(detail: str) -> PeerError:
    return PeerError(RejectionReason.MALFORMED, f"checkpoint: {detail}")
