"""Shards are read strictly, and everyone trains on the same samples in the same order."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from potp2p.foundation.errors import PeerError
from potp2p.protocol.wire.tasks import BatchRule, Objective
from potp2p.training.data import permutation, read_samples, sample_order
from potp2p.training.tensors import Tensor, encode_tensors
from tests.training.orders import lease, rules

PIXELS = np.zeros((2, 1, 3, 3), np.float32)
LABELS = np.array([0, 1], np.int64)


def test_the_order_is_frozen() -> None:
    assert permutation(b"k" * 32, 0, 8).tolist() == [0, 1, 6, 7, 2, 3, 4, 5]
    assert sample_order(rules(), lease(), 28)[:8].tolist() == [6, 8, 11, 16, 24, 23, 19, 15]


def test_a_lease_covers_every_sample_before_it_repeats_one() -> None:
    order = sample_order(rules(), lease(), 28)
    assert len(order) == 128
    for start in range(0, 112, 28):
        assert sorted(order[start : start + 28].tolist()) == list(range(28))
    assert order[:28].tolist() != order[28:56].tolist()


def test_the_order_depends_on_task_round_shard_and_seed_but_not_on_the_miner() -> None:
    ours = sample_order(rules(), lease(), 28).tolist()
    assert sample_order(rules(), lease(miner=b"x" * 20), 28).tolist() == ours
    others = [
        sample_order(rules(), lease(shard=1), 28),
        sample_order(rules(), lease(round_=1), 28),
        sample_order(replace(rules(), seed=8), lease(), 28),
        sample_order(rules(), replace(lease(), task=b"u" * 32), 28),
    ]
    assert all(other.tolist() != ours for other in others)


def test_a_lease_smaller_than_its_shard_takes_a_part() -> None:
    small = replace(rules(), batch=BatchRule(8, 1, 1))
    assert len(set(sample_order(small, lease(), 28).tolist())) == 8


def images(pixels: Tensor, labels: Tensor) -> dict[str, Tensor]:
    return {"pixel_values": pixels, "labels": labels}


@pytest.mark.parametrize(
    ("tensors", "objective"),
    [
        ({"pixel_values": PIXELS}, Objective.CLASSIFY),
        ({**images(PIXELS, LABELS), "more": LABELS}, Objective.CLASSIFY),
        (images(PIXELS[0], LABELS), Objective.CLASSIFY),
        (images(PIXELS[:0], LABELS[:0]), Objective.CLASSIFY),
        (images(PIXELS, LABELS[:1]), Objective.CLASSIFY),
        (images(PIXELS, LABELS.astype(np.int32)), Objective.CLASSIFY),
        (images(PIXELS, -LABELS), Objective.CLASSIFY),
        (images(PIXELS + np.float32(np.nan), LABELS), Objective.CLASSIFY),
        (images(PIXELS, LABELS), Objective.NEXT_TOKEN),
        ({"input_ids": np.zeros((2, 1), np.int32)}, Objective.NEXT_TOKEN),
        ({"input_ids": np.full((2, 4), -1, np.int32)}, Objective.NEXT_TOKEN),
        ({"input_ids": np.zeros((2, 4), np.int64)}, Objective.NEXT_TOKEN),
        ({"input_ids": np.zeros(4, np.int32)}, Objective.NEXT_TOKEN),
    ],
)
def test_a_malformed_data_file_is_refused(
    tensors: dict[str, Tensor], objective: Objective, tmp_path: Path
) -> None:
    path = tmp_path / "shard.safetensors"
    path.write_bytes(encode_tensors(tensors))
    with pytest.raises(PeerError, match=r"shard\.safetensors"):
        read_samples(path, objective)


def test_tokens_are_read_from_both_types(tmp_path: Path) -> None:
    path = tmp_path / "shard.safetensors"
    for dtype in (np.int32, np.uint16):
        path.write_bytes(encode_tensors({"input_ids": np.array([[1, 65], [3, 4]], dtype)}))
        assert read_samples(path, Objective.NEXT_TOKEN).inputs.tolist() == [[1, 65], [3, 4]]
