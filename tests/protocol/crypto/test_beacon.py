"""The reveal chain and the fairness of draws."""

from collections import Counter

import pytest

from potp2p.foundation.errors import PeerError
from potp2p.foundation.types import ChainId, Digest
from potp2p.protocol.crypto.beacon import (
    CHAINS_KNOWN_MAX,
    NO_REVEAL,
    KnownReveals,
    chain_anchor,
    draw,
    first_beacon,
    next_beacon,
    reveal,
    sample,
    shuffle,
    verify_reveal,
)
from potp2p.protocol.crypto.hashing import sha256

SEED = b"seed"
BEACON = Digest(b"\x07" * 32)
DOMAIN = "potp2p/test-draw/1"


@pytest.mark.parametrize("position", [0, 1, 99, 100])
def test_reveal_of_a_position_leads_to_the_anchor_in_that_many_steps(position: int) -> None:
    verify_reveal(reveal(SEED, 100, position), chain_anchor(SEED, 100), position)


@pytest.mark.parametrize("claimed", [0, 41, 43, 100])
def test_reveal_of_another_position_is_refused(claimed: int) -> None:
    with pytest.raises(PeerError, match="bad_proof"):
        verify_reveal(reveal(SEED, 100, 42), chain_anchor(SEED, 100), claimed)


def test_validator_without_anchor_may_reveal_nothing_but_zeros() -> None:
    verify_reveal(NO_REVEAL, None, 5)

    with pytest.raises(PeerError, match="without an anchor"):
        verify_reveal(Digest(b"\x01" * 32), None, 5)
    with pytest.raises(PeerError, match="does not lead"):
        verify_reveal(NO_REVEAL, chain_anchor(SEED, 10), 5)


def test_beacon_starts_at_the_chain_id_and_hashes_in_each_reveal() -> None:
    start = first_beacon(ChainId(b"\x01" * 32))

    assert start == b"\x01" * 32
    assert next_beacon(start, BEACON) == sha256(start + BEACON)


def test_draws_are_frozen() -> None:
    drawn = [draw(BEACON, DOMAIN, number.to_bytes(1, "big"), below=1000) for number in range(6)]

    assert drawn == FROZEN_DRAWS
    assert shuffle(BEACON, DOMAIN, items=range(8)) == FROZEN_SHUFFLE
    assert draw(BEACON, DOMAIN, below=1 << 256) < 1 << 256


@pytest.mark.parametrize("below", [1, 2, 3, 7, 10])
def test_draw_is_uniform(below: int) -> None:
    counts = Counter(
        draw(BEACON, DOMAIN, number.to_bytes(4, "big"), below=below) for number in range(3_000)
    )

    # 4.5 standard deviations of a binomial: a fixed beacon either passes for ever or never.
    expected = 3_000 / below
    assert set(counts) == set(range(below))
    assert max(abs(count - expected) for count in counts.values()) <= 4.5 * expected**0.5


def test_values_above_the_largest_multiple_are_drawn_again() -> None:
    # Of 2^64 values a remainder by three quarters of them would give the first third half.
    below = 3 << 62
    drawn = [draw(BEACON, DOMAIN, number.to_bytes(4, "big"), below=below) for number in range(600)]

    assert all(0 <= value < below for value in drawn)
    assert 150 < sum(value < 1 << 62 for value in drawn) < 250


def test_domains_beacons_and_parts_give_other_draws() -> None:
    draws = {
        draw(BEACON, DOMAIN, b"a", below=1 << 200),
        draw(BEACON, DOMAIN, b"b", below=1 << 200),
        draw(BEACON, "potp2p/other/1", b"a", below=1 << 200),
        draw(sha256(BEACON), DOMAIN, b"a", below=1 << 200),
    }

    assert len(draws) == 4


def test_every_order_of_three_comes_up_equally_often() -> None:
    orders = Counter(
        tuple(shuffle(BEACON, DOMAIN, number.to_bytes(4, "big"), items="abc"))
        for number in range(1_200)
    )

    assert len(orders) == 6
    assert all(140 < count < 260 for count in orders.values())


def test_sample_takes_distinct_items_and_no_more_than_there_are() -> None:
    chosen = sample(BEACON, DOMAIN, b"x", items=range(50), count=20)

    assert len(set(chosen)) == 20
    assert sorted(sample(BEACON, DOMAIN, b"x", items=range(5), count=9)) == [0, 1, 2, 3, 4]
    assert sample(BEACON, DOMAIN, b"x", items=[], count=3) == []


FROZEN_DRAWS = [53, 603, 792, 741, 744, 181]
FROZEN_SHUFFLE = [3, 6, 0, 1, 5, 2, 4, 7]


def test_known_reveals_judge_like_the_whole_walk_in_any_order() -> None:
    known, anchor = KnownReveals(), chain_anchor(SEED, 100)
    for position in (1, 5, 5, 40, 3, 100, 99):
        known.verify(reveal(SEED, 100, position), anchor, position)
        for wrong in {position - 1, position + 1} - {0, 101}:
            with pytest.raises(PeerError):
                known.verify(reveal(SEED, 100, position), anchor, wrong)
        with pytest.raises(PeerError):
            known.verify(Digest(bytes(32)), anchor, position)


def test_known_reveals_are_bounded_and_refused_ones_are_not_remembered() -> None:
    known = KnownReveals()
    with pytest.raises(PeerError):
        known.verify(Digest(b"\x01" * 32), chain_anchor(SEED, 10), 4)
    assert not known._furthest
    for number in range(CHAINS_KNOWN_MAX + 10):
        seed = number.to_bytes(2, "big")
        known.verify(reveal(seed, 3, 1), chain_anchor(seed, 3), 1)
    assert len(known._furthest) == CHAINS_KNOWN_MAX
