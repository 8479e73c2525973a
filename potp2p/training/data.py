"""
Shards and evaluation sets: strict reading, and the order of samples fixed in integers.

A data file is a tensor file with `pixel_values` (float32 NCHW) and `labels` (int64) for
classification, or `input_ids` (int32 or uint16, one row per sample) for next-token prediction.
"""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final, cast

import numpy as np
import torch

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.limits import DATA_BYTES_MAX
from potp2p.protocol.wire.tasks import Objective, TaskRules
from potp2p.training.commands import Lease
from potp2p.training.tensors import Float32, Int64, Tensor, read_tensors

ORDER_DOMAIN: Final = b"potp2p/training/order/1"
PIXELS: Final = "pixel_values"
LABELS: Final = "labels"
TOKENS: Final = "input_ids"
IMAGE_RANK: Final = 4
TOKEN_RANK: Final = 2
WORDS_PER_DIGEST: Final = 4


@dataclass(frozen=True, slots=True)
class Samples:
    """One data file in memory; row i of inputs belongs to label i."""

    objective: Objective
    inputs: Float32 | Int64
    """Images N x C x H x W, or tokens N x length."""
    labels: Int64
    """Class of each image; empty for next-token prediction, where inputs are the labels."""

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(self.inputs)

    def batch(self, indices: Int64, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Return inputs and labels of some samples on a device."""
        inputs = torch.from_numpy(self.inputs[indices]).to(device)
        if self.objective is Objective.NEXT_TOKEN:
            return inputs, inputs
        return inputs, torch.from_numpy(self.labels[indices]).to(device)


def read_samples(path: Path, objective: Objective) -> Samples:
    """Read an untrusted data file; PeerError names what is wrong with it."""
    tensors = read_tensors(path, bytes_max=DATA_BYTES_MAX)
    match objective:
        case Objective.CLASSIFY:
            return _images(path.name, tensors)
        case Objective.NEXT_TOKEN:
            return _tokens(path.name, tensors)


def sample_order(rules: TaskRules, lease: Lease, count: int) -> Int64:
    """
    Return the indices of all samples of a lease, in the order they are trained on.

    Whole passes over the shard, each in its own order, until there are enough. Who computes the
    lease does not enter: two miners given the same shard do the same work.
    """
    needed = samples_per_lease(rules)
    key = sha256(
        ORDER_DOMAIN
        + rules.seed.to_bytes(8, "big")
        + lease.task
        + lease.round.to_bytes(8, "big")
        + lease.shard.to_bytes(8, "big")
    ).digest()
    passes = [permutation(key, index, count) for index in range(-(-needed // count))]
    return np.concatenate(passes)[:needed]


def samples_per_lease(rules: TaskRules) -> int:
    """Return how many samples every contribution of a task covers."""
    return rules.batch.steps * rules.batch.micro_batches * rules.batch.micro_batch


def permutation(key: bytes, index: int, count: int) -> Int64:
    """Shuffle 0..count-1 by sorting 64-bit words of SHA-256(key || index || counter)."""
    digests = -(-count // WORDS_PER_DIGEST)
    prefix = key + index.to_bytes(8, "big")
    stream = b"".join(sha256(prefix + i.to_bytes(8, "big")).digest() for i in range(digests))
    words = np.frombuffer(stream, ">u8", count)
    # A stable sort, so that even equal words have one order.
    return np.argsort(words, kind="stable").astype(np.int64)


def _images(name: str, tensors: dict[str, Tensor]) -> Samples:
    if sorted(tensors) != [LABELS, PIXELS]:
        raise _refused(name, f"expected {LABELS} and {PIXELS}")
    pixels, labels = tensors[PIXELS], tensors[LABELS]
    if pixels.dtype != np.float32 or pixels.ndim != IMAGE_RANK or 0 in pixels.shape:
        raise _refused(name, f"{PIXELS} must be float32 N x C x H x W")
    if labels.dtype != np.int64 or labels.shape != (len(pixels),):
        raise _refused(name, f"{LABELS} must be int64, one for each image")
    if not np.isfinite(pixels).all():
        raise _refused(name, f"{PIXELS} must be finite")
    if (labels < 0).any():
        raise _refused(name, f"{LABELS} must not be negative")
    return Samples(Objective.CLASSIFY, cast("Float32", pixels), cast("Int64", labels))


def _tokens(name: str, tensors: dict[str, Tensor]) -> Samples:
    tokens = tensors.get(TOKENS)
    if tokens is None or len(tensors) != 1:
        raise _refused(name, f"expected {TOKENS} alone")
    if tokens.dtype not in (np.int32, np.uint16) or tokens.ndim != TOKEN_RANK:
        raise _refused(name, f"{TOKENS} must be int32 or uint16, one row for each sample")
    if 0 in tokens.shape or tokens.shape[1] < 2:  # noqa: PLR2004  # a next token needs two
        raise _refused(name, f"{TOKENS} must have rows of two tokens or more")
    if (tokens < 0).any():
        raise _refused(name, f"{TOKENS} must not be negative")
    wide = tokens.astype(np.int64)
    return Samples(Objective.NEXT_TOKEN, wide, np.empty(0, np.int64))


def _refused(name: str, detail: str) -> PeerError:
    return PeerError(RejectionReason.MALFORMED, f"{name}: {detail}")
