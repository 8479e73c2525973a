"""Equal state has equal bytes, and nothing else than a legal state is read."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from potp2p.foundation.errors import OperatingError, PeerError
from potp2p.protocol.wire.tasks import Mode, Optimizer
from potp2p.training.checkpoint import (
    Checkpoint,
    Moments,
    checkpoint_from_tensors,
    encode_checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from potp2p.training.layout import Layout
from potp2p.training.tensors import Tensor, decode_tensors, encode_tensors
from tests.training.orders import rules

LAYOUT = Layout((("bias", (2,)), ("weight", (2, 2))), (("mean", (1,)),))
PLAIN = Checkpoint(
    LAYOUT, np.array([1, 2, 3, 4, 5, 6], np.float32), np.array([0.5], np.float32), None
)
WITH_MOMENTS = replace(
    PLAIN, moments=Moments(np.full(6, -1, np.float32), np.full(6, 2, np.float32), 3)
)


@pytest.mark.parametrize(
    ("checkpoint", "digest"),
    [
        (PLAIN, "7c063ccc12c47e60ff806cd75c92df5a088c3059055a25c3d003461504f5e52f"),
        (WITH_MOMENTS, "bd11bfd3a6f3b6db1022a0964867c945a70af85d3b89173beb6502b22374bc49"),
    ],
    ids=["parameters", "moments"],
)
def test_checkpoint_bytes_are_frozen(checkpoint: Checkpoint, digest: str) -> None:
    assert sha256(encode_checkpoint(checkpoint)).hexdigest() == digest


def test_checkpoint_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "theta.safetensors"
    write_checkpoint(path, WITH_MOMENTS)
    read = read_checkpoint(path, rules(Mode.GRADIENT, Optimizer.ADAMW))
    assert encode_checkpoint(read) == path.read_bytes()
    assert read.layout == LAYOUT
    assert read.moments is not None
    assert read.moments.steps == 3


def test_a_negative_zero_has_the_bytes_of_zero() -> None:
    zero = replace(PLAIN, theta_P=np.array([0, 2, 3, 4, 5, 6], np.float32))
    negative = replace(PLAIN, theta_P=np.array([-0.0, 2, 3, 4, 5, 6], np.float32))
    assert encode_checkpoint(zero) == encode_checkpoint(negative)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_never_written(value: float) -> None:
    theta_P = PLAIN.theta_P.copy()
    theta_P[3] = value
    with pytest.raises(OperatingError):
        encode_checkpoint(replace(PLAIN, theta_P=theta_P))


def changed(**tensors: Tensor) -> bytes:
    kept = decode_tensors(encode_checkpoint(WITH_MOMENTS))
    return encode_tensors({**kept, **{k.replace("__", "/"): v for k, v in tensors.items()}})


@pytest.mark.parametrize(
    "encoded",
    [
        changed(parameter__bias=np.array([np.nan, 1], np.float32)),
        changed(parameter__bias=np.array([-0.0, 1], np.float32)),
        changed(parameter__bias=np.array([1, 2], np.int64)),
        changed(parameter__more=np.array([1], np.float32)),
        changed(other=np.array([1], np.float32)),
        changed(optimizer__steps=np.array([-1], np.int64)),
        changed(optimizer__steps=np.array([1, 2], np.int64)),
        changed(optimizer__second__bias=np.array([-1, 1], np.float32)),
        changed(optimizer__first__bias=np.array([1], np.float32)),
        encode_tensors({}),
    ],
    ids=[
        "not a number",
        "signed zero",
        "integer parameter",
        "parameter without moments",
        "unknown name",
        "negative steps",
        "two step counts",
        "negative second moment",
        "moment of another shape",
        "nothing",
    ],
)
def test_an_illegal_state_is_refused(encoded: bytes) -> None:
    with pytest.raises(PeerError, match="checkpoint"):
        checkpoint_from_tensors(decode_tensors(encoded))


@pytest.mark.parametrize(
    ("checkpoint", "mode", "optimizer"),
    [
        (WITH_MOMENTS, Mode.LOCAL, Optimizer.ADAMW),
        (WITH_MOMENTS, Mode.GRADIENT, Optimizer.SGD),
        (PLAIN, Mode.GRADIENT, Optimizer.ADAMW),
    ],
)
def test_optimizer_state_must_be_what_the_rules_call_for(
    checkpoint: Checkpoint, mode: Mode, optimizer: Optimizer, tmp_path: Path
) -> None:
    path = tmp_path / "theta.safetensors"
    write_checkpoint(path, checkpoint)
    with pytest.raises(PeerError, match="against the rules"):
        read_checkpoint(path, rules(mode, optimizer))
