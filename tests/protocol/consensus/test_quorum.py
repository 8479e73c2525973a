"""Committee arithmetic, vote books and bitmaps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potp2p.foundation.limits import VALIDATORS_MAX, VIEWS_KEPT_MAX
from potp2p.foundation.types import ValidatorIndex, View
from potp2p.protocol.consensus.quorum import Committee, VoteBook, bitmap_of, has_bit
from potp2p.protocol.wire.consensus import SignedPrepare
from potp2p.simulation.core.messages import prepare
from tests.doubles.committee import APPLE, PEAR

SEATS = st.sets(st.integers(0, VALIDATORS_MAX - 1).map(ValidatorIndex))


@pytest.mark.parametrize(
    ("size", "faults", "weak", "quorum"),
    [
        (1, 0, 1, 1),
        (2, 0, 1, 2),
        (3, 0, 1, 3),
        (4, 1, 2, 3),
        (5, 1, 2, 4),
        (6, 1, 2, 5),
        (7, 2, 3, 5),
        (8, 2, 3, 6),
        (9, 2, 3, 7),
        (10, 3, 4, 7),
        (31, 10, 11, 21),
        (100, 33, 34, 67),
    ],
)
def test_sizes_of_quorums_are_those_of_the_table(
    size: int, faults: int, weak: int, quorum: int
) -> None:
    committee = Committee(size)

    assert (committee.faults_max, committee.weak_quorum, committee.quorum) == (
        faults,
        weak,
        quorum,
    )


@pytest.mark.parametrize("size", range(1, VALIDATORS_MAX + 1))
def test_two_quorums_share_an_honest_member_and_the_honest_alone_are_one(size: int) -> None:
    committee = Committee(size)

    assert 2 * committee.quorum - size >= committee.faults_max + 1
    assert committee.quorum <= size - committee.faults_max


def test_second_different_vote_of_a_signer_never_counts() -> None:
    book = VoteBook[SignedPrepare]()

    for vote in (prepare(0, APPLE), prepare(0, PEAR), prepare(0, APPLE), prepare(1, APPLE)):
        book.add(vote)

    assert [each.signer for each in book.signatures(View(0), APPLE)] == [0, 1]
    assert book.signatures(View(0), PEAR) == ()


def test_votes_of_other_views_and_blocks_are_counted_apart() -> None:
    book = VoteBook[SignedPrepare]()

    for vote in (prepare(0, APPLE), prepare(1, PEAR), prepare(2, APPLE, view=1)):
        book.add(vote)

    assert [each.signer for each in book.signatures(View(0), APPLE)] == [0]
    assert [each.signer for each in book.signatures(View(1), APPLE)] == [2]


def test_book_keeps_only_the_highest_views_of_a_signer() -> None:
    book = VoteBook[SignedPrepare]()

    for view in range(1_000):
        book.add(prepare(3, APPLE, view=view))
    book.add(prepare(3, APPLE, view=0))

    assert sorted(book.by_view) == list(range(1_000 - VIEWS_KEPT_MAX, 1_000))


def test_flood_of_one_signer_leaves_votes_of_others_alone() -> None:
    book = VoteBook[SignedPrepare]()
    book.add(prepare(0, APPLE))

    for view in range(100):
        book.add(prepare(3, APPLE, view=view))

    assert book.find(View(0), ValidatorIndex(0)) == prepare(0, APPLE)


@given(SEATS)
def test_bitmap_holds_exactly_its_seats(seats: set[ValidatorIndex]) -> None:
    bitmap = bitmap_of(seats)

    assert {
        seat for seat in range(VALIDATORS_MAX + 50) if has_bit(bitmap, ValidatorIndex(seat))
    } == (seats)
    assert not bitmap.endswith(b"\0")
