"""Inner products are exact, and what they say about a round reaches the report."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from potp2p.training import screening
from potp2p.training.compression import d8
from potp2p.training.held import PayloadFile, open_payload
from potp2p.training.screening import Screened, chosen_chunks, products, screen
from potp2p.training.self_test import LAYOUT, numbers
from potp2p.training.step import ignore_progress
from potp2p.training.tensors import Float32
from tests.training.orders import lease

CHUNKS = range(LAYOUT.chunk_starts_C.size)


def held(folder: Path, updates: Sequence[Float32]) -> list[PayloadFile]:
    opened: list[PayloadFile] = []
    for shard, update_P in enumerate(updates):
        path = folder / f"{shard}.payload"
        path.write_bytes(d8.encode(lease(shard), LAYOUT, update_P, np.zeros(4, np.float32)))
        opened.append(open_payload(path, LAYOUT))
    return opened


def wild(index: int) -> Float32:
    return numbers(f"w{index}", LAYOUT.parameter_count, (1, 3, 9, 2)[index])


def tame(seed: int) -> Float32:
    generator = np.random.default_rng(seed)
    shared, own = np.random.default_rng(99), generator.normal(size=LAYOUT.parameter_count)
    return ((shared.normal(size=LAYOUT.parameter_count) + own) * 1e-3).astype(np.float32)


def test_products_are_exact_over_all_magnitudes(tmp_path: Path) -> None:
    payloads = held(tmp_path, [wild(index) for index in range(4)])
    decoded = [
        [Fraction(float(value)) for value in d8.dequantize(LAYOUT, d8.decode(content, LAYOUT))]
        for content in (each.path.read_bytes() for each in payloads)
    ]
    exact = [
        [sum(map(Fraction.__mul__, left, right)) * 2**64 for right in decoded] for left in decoded
    ]
    assert products(LAYOUT, payloads, CHUNKS, ignore_progress) == exact


def test_the_size_of_blocks_does_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    payloads = held(tmp_path, [wild(index) for index in range(4)])
    whole = products(LAYOUT, payloads, CHUNKS, ignore_progress)
    monkeypatch.setattr(screening, "BLOCK_VALUES", 1)
    assert products(LAYOUT, payloads, CHUNKS, ignore_progress) == whole
    for place, payload in enumerate(payloads):
        assert whole[place][place] == payload.norm


def test_the_largest_values_of_a_chunk_stay_exact(tmp_path: Path) -> None:
    update_P = np.full(LAYOUT.parameter_count, 31.75, np.float32)
    payloads = held(tmp_path, [update_P, -update_P])
    norm = 127 * 127 * LAYOUT.parameter_count << 60
    assert products(LAYOUT, payloads, CHUNKS, ignore_progress) == [[norm, -norm], [-norm, norm]]


@pytest.mark.parametrize("scale", [0.5, 2, 1.01, -1])
def test_a_rescaled_copy_is_flagged_and_stays(tmp_path: Path, scale: float) -> None:
    updates = [tame(index) for index in range(5)]
    updates[3] = updates[1] * np.float32(scale)
    assert screen(LAYOUT, held(tmp_path, updates), [0] * 5, ignore_progress) == Screened((1, 3), ())


def test_equal_payloads_are_dropped_but_for_the_first_claim_which_is_flagged(
    tmp_path: Path,
) -> None:
    updates = [tame(index) for index in range(5)]
    updates[1] = updates[3]
    payloads = held(tmp_path, updates)
    heights = [5, 9, 5, 8, 5]
    assert screen(LAYOUT, payloads, heights, ignore_progress) == Screened((3,), (1,))
    alone = held(tmp_path, [updates[1], updates[3]])
    assert screen(LAYOUT, alone, [9, 8], ignore_progress) == Screened((1,), (0,))


def test_leases_that_diverged_are_no_copies_of_each_other(tmp_path: Path) -> None:
    zero_P = np.zeros(LAYOUT.parameter_count, np.float32)
    payloads = held(tmp_path, [zero_P, tame(1), zero_P, tame(2)])
    assert screen(LAYOUT, payloads, [0] * 4, ignore_progress) == Screened((), ())
    assert screen(LAYOUT, payloads[:1], [0], ignore_progress) == Screened((), ())
    assert screen(LAYOUT, [], [], ignore_progress) == Screened((), ())


def test_a_round_too_large_is_sampled_by_what_it_contains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screening, "MULTIPLICATIONS_MAX", 25 * LAYOUT.parameter_count // 2)
    contents = [bytes([index]) * 32 for index in range(5)]
    draws = {chosen_chunks(LAYOUT, [*contents[:4], bytes([last]) * 32]) for last in range(64)}
    assert len(draws) > 1
    assert chosen_chunks(LAYOUT, contents) == chosen_chunks(LAYOUT, contents)
    for draw in draws:
        assert len(draw) == len(CHUNKS) // 2
        assert set(draw) <= set(CHUNKS)


def test_a_sample_of_chunks_still_shows_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screening, "MULTIPLICATIONS_MAX", 25 * LAYOUT.parameter_count * 3 // 4)
    updates = [tame(index) for index in range(5)]
    updates[4] = updates[0] * np.float32(1.01)
    payloads = held(tmp_path, updates)
    chunks = chosen_chunks(LAYOUT, [payload.content for payload in payloads])
    assert len(chunks) < len(CHUNKS)
    whole = products(LAYOUT, payloads, CHUNKS, ignore_progress)
    assert products(LAYOUT, payloads, chunks, ignore_progress) != whole
    assert set(screen(LAYOUT, payloads, [0] * 5, ignore_progress).flagged) >= {0, 4}
