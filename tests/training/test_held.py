"""Payload files read a block at a time give what was decoded whole."""

from pathlib import Path

import numpy as np
import pytest

from potp2p.foundation.errors import OperatingError, PeerError
from potp2p.training.aggregation import mean_buffers_B, mean_update_P
from potp2p.training.compression import d8
from potp2p.training.held import PayloadFile, open_payload, read_bounded
from potp2p.training.layout import Layout
from potp2p.training.self_test import numbers
from tests.training.orders import lease

LAYOUT = Layout(
    (("a", (3, 2_000)), ("b", ()), ("c", (0, 4)), ("d", (9_000,)), ("e", (5,))), (("mean", (3,)),)
)


def written(folder: Path, shard: int = 0, miner: bytes = b"m" * 20, scale: float = 1) -> Path:
    update_P = numbers(f"u{scale}", LAYOUT.parameter_count, 3) * np.float32(scale != 0)
    path = folder / f"{shard}-{miner[:1].decode()}.payload"
    path.write_bytes(d8.encode(lease(shard, miner=miner), LAYOUT, update_P, np.ones(3, np.float32)))
    return path


def test_blocks_cover_every_chunk_once_and_stay_within_their_size() -> None:
    for values_max in (1, 4_096, 5_000, 10_000, 1 << 30):
        blocks = list(LAYOUT.blocks(values_max))
        assert [chunk for block in blocks for chunk in block] == list(range(7))
        for block in blocks:
            start, end = LAYOUT.span(block)
            assert end - start <= max(values_max, 4_096)
    assert len(list(LAYOUT.blocks(1 << 30))) == 1


def test_a_block_of_a_file_is_that_of_the_decoded_payload(tmp_path: Path) -> None:
    path = written(tmp_path)
    payload, held = d8.decode(path.read_bytes(), LAYOUT), open_payload(path, LAYOUT)
    assert (held.lease, held.is_zero) == (payload.lease, False)
    assert held.norm_squared(LAYOUT) == payload.norm_squared(LAYOUT)
    for first in range(7):
        for end in range(first + 1, 8):
            ours, theirs = (each.block(LAYOUT, range(first, end)) for each in (held, payload))
            assert np.array_equal(ours[0], theirs[0])
            assert np.array_equal(ours[1], theirs[1])


def test_files_and_payloads_in_memory_have_one_mean(tmp_path: Path) -> None:
    paths = [written(tmp_path, shard, scale=shard + 1) for shard in range(3)]
    files = [open_payload(path, LAYOUT) for path in paths]
    payloads = [d8.decode(path.read_bytes(), LAYOUT) for path in paths]
    factors = [65_536, 40_000, 65_536]
    assert np.array_equal(
        mean_update_P(LAYOUT, files, factors), mean_update_P(LAYOUT, payloads, factors)
    )
    assert np.array_equal(mean_buffers_B(files), mean_buffers_B(payloads))


def contents(*held: PayloadFile) -> list[bytes]:
    return [each.content for each in held]


def test_content_is_the_same_whoever_says_it_and_empty_for_zero(tmp_path: Path) -> None:
    ours = open_payload(written(tmp_path), LAYOUT)
    theirs = open_payload(written(tmp_path, shard=1, miner=b"t" * 20), LAYOUT)
    other = open_payload(written(tmp_path, shard=2, scale=2), LAYOUT)
    zero = open_payload(written(tmp_path, shard=3, scale=0), LAYOUT)
    assert contents(ours) == contents(theirs) != contents(other)
    assert zero.is_zero
    assert contents(zero) == [b""]


def test_a_malformed_file_is_refused_when_it_is_opened(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(PeerError, match="bytes"):
        open_payload(path, LAYOUT)


def test_no_more_of_a_file_is_read_than_a_payload_can_have(tmp_path: Path) -> None:
    path = written(tmp_path)
    bytes_max = d8.file_bytes_max(LAYOUT)
    path.write_bytes(bytes(bytes_max))
    assert len(read_bounded(path, bytes_max)) == bytes_max
    path.write_bytes(bytes(bytes_max + 1))
    with pytest.raises(PeerError, match=f"more than {bytes_max} bytes"):
        open_payload(path, LAYOUT)


def test_a_file_that_went_or_shrank_is_the_worlds_fault(tmp_path: Path) -> None:
    path = written(tmp_path)
    held = open_payload(path, LAYOUT)
    path.write_bytes(path.read_bytes()[:6_000])
    with pytest.raises(OperatingError, match="shorter"):
        held.block(LAYOUT, range(7))
    path.unlink()
    with pytest.raises(OperatingError, match="cannot read"):
        held.block(LAYOUT, range(1))
