"""Committee arithmetic at every size that may exist."""

from potp2p.foundation.committee import faulty_max, quorum, weak_quorum
from potp2p.foundation.limits import VALIDATORS_MAX


def test_two_quorums_share_an_honest_validator_and_the_honest_suffice() -> None:
    for size in range(1, VALIDATORS_MAX + 1):
        assert 2 * quorum(size) - size >= weak_quorum(size), size
        assert quorum(size) == size - faulty_max(size), size


def test_five_validators_need_four_where_two_f_plus_one_would_fork() -> None:
    assert (faulty_max(5), weak_quorum(5), quorum(5)) == (1, 2, 4)
