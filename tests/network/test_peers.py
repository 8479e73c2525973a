"""Scores, allowances and bans, by a clock the test moves."""

from dataclasses import dataclass

import pytest

from potp2p.foundation.errors import RejectionReason
from potp2p.foundation.types import NodeId
from potp2p.network.peers import (
    BAN_SECONDS,
    BURST_SECONDS,
    BYTES_PER_SECOND,
    MESSAGES_PER_SECOND,
    PEERS_REMEMBERED_MAX,
    POINTS_BAN,
    USELESS_PER_SECOND,
    Conduct,
    Judgement,
)

PEER = NodeId(b"\x02" + b"p" * 32)
OTHER = NodeId(b"\x02" + b"q" * 32)


@dataclass(slots=True)
class Clock:
    """Seconds that pass when the test says so."""

    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_third_grave_fault_bans_for_ten_minutes_and_only_the_culprit() -> None:
    clock = Clock()
    conduct = Conduct(clock)
    judgements = [conduct.fault(PEER, RejectionReason.BAD_SIGNATURE) for _ in range(3)]
    assert judgements == [Judgement.BEAR, Judgement.BEAR, Judgement.BAN]
    assert conduct.is_banned(PEER)
    assert not conduct.is_banned(OTHER)
    assert conduct.banned() == 1
    clock.now += BAN_SECONDS - 1
    assert conduct.is_banned(PEER)
    clock.now += 2
    assert not conduct.is_banned(PEER)
    assert conduct.banned() == 0


def test_grave_faults_far_apart_do_not_add_up() -> None:
    clock = Clock()
    conduct = Conduct(clock)
    for _ in range(20):
        assert conduct.fault(PEER, RejectionReason.MALFORMED) is Judgement.BEAR
        clock.now += 401


def test_peer_that_lags_a_little_is_never_banned_and_one_that_floods_is() -> None:
    clock = Clock()
    conduct = Conduct(clock)
    for _ in range(1_000):
        assert conduct.fault(PEER, RejectionReason.TOO_LATE) is Judgement.BEAR
        clock.now += 10
    faults = 0
    while conduct.fault(OTHER, RejectionReason.RATE) is Judgement.BEAR:
        faults += 1
    assert faults == POINTS_BAN - 1


@pytest.mark.parametrize("reason", RejectionReason)
def test_no_single_fault_bans(reason: RejectionReason) -> None:
    assert Conduct(Clock()).fault(PEER, reason) is Judgement.BEAR


def test_allowance_is_a_burst_and_then_a_rate() -> None:
    clock = Clock()
    conduct = Conduct(clock)
    burst = int(MESSAGES_PER_SECOND * BURST_SECONDS)
    assert all(conduct.allows(PEER, 1) for _ in range(burst))
    assert not conduct.allows(PEER, 1)
    assert conduct.allows(OTHER, 1)
    clock.now += 0.5
    assert sum(conduct.allows(PEER, 1) for _ in range(burst)) == int(MESSAGES_PER_SECOND / 2)


def test_bytes_are_rationed_too() -> None:
    clock = Clock()
    conduct = Conduct(clock)
    size = int(BYTES_PER_SECOND)
    assert [conduct.allows(PEER, size) for _ in range(4)] == [True, True, True, False]


def test_records_are_bounded_and_the_longest_silent_peer_goes_first() -> None:
    conduct = Conduct(Clock())
    for _ in range(2):
        conduct.fault(PEER, RejectionReason.MALFORMED)
    for index in range(PEERS_REMEMBERED_MAX):
        conduct.allows(NodeId(index.to_bytes(33, "big")), 1)
    assert conduct.fault(PEER, RejectionReason.MALFORMED) is Judgement.BEAR


def test_what_a_backward_node_cannot_judge_is_never_held_against_its_bearer() -> None:
    conduct = Conduct(Clock())
    judgements = {conduct.fault(PEER, RejectionReason.UNPROVEN) for _ in range(1_000)}
    assert judgements == {Judgement.BEAR}


def test_useless_batches_of_a_busy_peer_are_borne_and_a_flood_of_them_is_not() -> None:
    clock = Clock()
    conduct = Conduct(clock)
    for _ in range(10_000):
        assert conduct.fault(PEER, RejectionReason.USELESS) is Judgement.BEAR
        clock.now += 1 / USELESS_PER_SECOND

    flood = int(USELESS_PER_SECOND * BURST_SECONDS + POINTS_BAN) + 2
    judgements = [conduct.fault(PEER, RejectionReason.USELESS) for _ in range(flood)]
    assert Judgement.BAN in judgements
    assert judgements.index(Judgement.BAN) > USELESS_PER_SECOND * BURST_SECONDS


def test_bearing_useless_batches_forgives_nothing_else() -> None:
    clock = Clock()
    conduct = Conduct(clock)
    for _ in range(2):
        conduct.fault(PEER, RejectionReason.BAD_BLOCK)
        conduct.fault(PEER, RejectionReason.USELESS)
    assert conduct.fault(PEER, RejectionReason.BAD_BLOCK) is Judgement.BAN
