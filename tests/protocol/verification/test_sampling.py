"""Draws of audits and auditors, and commitments that only their owner can open."""

from dataclasses import replace
from fractions import Fraction

import pytest

from potp2p.foundation.types import BlobId, MicroNats, PartsPerMillion, Round, ShardIndex, TaskId
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.verification.commitments import (
    Contribution,
    Finding,
    LeaseKey,
    audit_commitment,
    nudge_of,
    trace_commitment,
)
from potp2p.protocol.verification.sampling import (
    AuditorDraw,
    Candidate,
    audit_probability,
    draw_auditors,
    drawing_beacon,
    is_drawn,
    share_of_draw,
)
from potp2p.protocol.wire.verification import Distances, Instability, Trace, TraceEntry
from tests.doubles.ledger_world import key_pair

TASK = TaskId(sha256(b"task"))
BEACON = sha256(b"beacon")
NODES = [key_pair(str(number)).node_id for number in range(7)]
PPM = 1_000_000


@pytest.mark.parametrize(
    ("stake", "bond", "probability"),
    [
        (0, 1, 120_000),
        (0, 100, 120_000),
        (1, 0, PPM),
        (1, 1, PPM),
        (1, 3, PPM // 2),
        (1, 19, 120_000),
        (1, 99, 120_000),
        (2, 18, 200_000),
    ],
)
def test_probability_grows_with_what_is_at_stake(stake: int, bond: int, probability: int) -> None:
    assert audit_probability(base=120_000, at_stake=stake, bond=bond) == probability


def test_cheating_loses_money_at_the_probability_that_is_left() -> None:
    # Half of p is left to honest auditors (DESIGN 8): what is won times 1 - p/2 against the bond.
    for stake in (1, 5, 10**6, 10**9):
        for bond in (stake, 2 * stake, 20 * stake, 1_000 * stake):
            p = audit_probability(base=120_000, at_stake=stake, bond=bond)
            assert p * (stake + bond) >= 2 * stake * PPM - (stake + bond)


def drawn(beacon: bytes, probability: int, count: int = 4_000) -> int:
    return sum(
        is_drawn(beacon, TASK, Round(shard // 100), ShardIndex(shard % 100), probability)
        for shard in range(count)
    )


def test_draw_hits_its_share_and_depends_on_beacon_round_and_shard() -> None:
    assert drawn(BEACON, PPM) == 4_000
    assert drawn(BEACON, 0) == 0
    assert 380 < drawn(BEACON, 120_000) < 580
    one = [is_drawn(BEACON, TASK, Round(0), ShardIndex(each), 500_000) for each in range(64)]
    for other in (
        [is_drawn(sha256(BEACON), TASK, Round(0), ShardIndex(each), 500_000) for each in range(64)],
        [is_drawn(BEACON, TASK, Round(1), ShardIndex(each), 500_000) for each in range(64)],
        [
            is_drawn(BEACON, TaskId(BEACON), Round(0), ShardIndex(each), 500_000)
            for each in range(64)
        ],
    ):
        assert one != other


def committee(
    shard: int, count: int, excluded: frozenset[bytes] = frozenset()
) -> tuple[bytes, ...]:
    candidates = [Candidate(node, 1, frozenset({account_of(node)})) for node in NODES]
    where = AuditorDraw(BEACON, TASK, Round(0), ShardIndex(shard), excluded, frozenset())
    return draw_auditors(where, candidates, count)


def test_auditors_are_distinct_allowed_and_spread() -> None:
    excluded = frozenset({account_of(NODES[0]), account_of(NODES[3])})
    seen: set[bytes] = set()
    for shard in range(40):
        auditors = committee(shard, 2, excluded)
        assert len(set(auditors)) == 2
        seen |= set(auditors)
    assert seen == set(NODES) - {NODES[0], NODES[3]}


def test_small_network_gives_as_many_auditors_as_it_has() -> None:
    everyone = frozenset(account_of(node) for node in NODES)
    assert len(committee(0, 99)) == len(NODES)
    assert committee(0, 2, everyone) == ()


LEASE = LeaseKey(TASK, Round(1), ShardIndex(2), NODES[0])
TRACE = Trace(tuple(TraceEntry(MicroNats(each), each) for each in range(8)))
SALT = bytes(32)


def test_trace_commitment_binds_lease_salt_and_every_entry() -> None:
    bound = trace_commitment(LEASE, SALT, TRACE)
    others = [
        trace_commitment(replace(LEASE, task=TaskId(BEACON)), SALT, TRACE),
        trace_commitment(replace(LEASE, round=Round(2)), SALT, TRACE),
        trace_commitment(replace(LEASE, shard=ShardIndex(1)), SALT, TRACE),
        trace_commitment(replace(LEASE, miner=NODES[1]), SALT, TRACE),
        trace_commitment(LEASE, BEACON, TRACE),
        trace_commitment(LEASE, SALT, Trace(TRACE.entries[:-1])),
        trace_commitment(LEASE, SALT, Trace(TRACE.entries[::-1])),
    ]
    assert len({bound, *others}) == 8


def test_audit_commitment_binds_contribution_auditor_salt_and_finding() -> None:
    distances = Distances(PartsPerMillion(1), PartsPerMillion(2), True)
    instability = Instability(distances, PartsPerMillion(3))
    finding = Finding(TRACE, MicroNats(3), MicroNats(4), distances, instability)
    work = Contribution(LEASE, BlobId(BEACON))
    bound = audit_commitment(work, NODES[1], SALT, finding)
    others = [
        audit_commitment(replace(work, payload=BlobId(sha256(BEACON))), NODES[1], SALT, finding),
        audit_commitment(work, NODES[2], SALT, finding),
        audit_commitment(work, NODES[1], BEACON, finding),
        audit_commitment(work, NODES[1], SALT, replace(finding, loss_before=MicroNats(5))),
        audit_commitment(work, NODES[1], SALT, replace(finding, loss_after=MicroNats(5))),
        audit_commitment(
            work,
            NODES[1],
            SALT,
            replace(finding, distances=replace(distances, exponents_fit=False)),
        ),
        audit_commitment(work, NODES[1], SALT, replace(finding, instability=None)),
        audit_commitment(
            work,
            NODES[1],
            SALT,
            replace(finding, instability=replace(instability, trace=PartsPerMillion(4))),
        ),
    ]
    assert len({bound, *others}) == 9


def test_nobody_chooses_a_nudge_and_no_two_auditors_share_one() -> None:
    work = Contribution(LEASE, BlobId(BEACON))
    nudges = {nudge_of(work, node) for node in NODES}
    assert len(nudges) == len(NODES)
    assert nudge_of(replace(work, payload=BlobId(bytes(32))), NODES[0]) not in nudges
    other = replace(work, lease=replace(LEASE, shard=ShardIndex(3)))
    assert nudge_of(other, NODES[0]) not in nudges


def test_parts_of_a_draw_add_up_to_its_probability() -> None:
    for probability in (1, 120_000, 500_000, 999_999, PPM):
        for tests in (1, 4, 31):
            undrawn = Fraction(1)
            for test in range(tests):
                undrawn *= 1 - Fraction(min(PPM, share_of_draw(probability, test, tests)), PPM)
            assert 0 <= (1 - undrawn) - Fraction(probability, PPM) < Fraction(tests, PPM)


def test_no_beacon_of_a_turn_decides_about_more_than_its_part() -> None:
    beacons = [sha256(bytes([index])) for index in range(4)]
    first = [
        drawing_beacon(beacons, TASK, Round(each), ShardIndex(0), 400_000) for each in range(4_000)
    ]
    counts = [first.count(beacon) for beacon in beacons]
    assert all(320 < count < 480 for count in counts), counts
    assert 2_200 < first.count(None) < 2_600


def test_what_is_audited_for_certain_is_drawn_by_some_beacon_of_the_turn() -> None:
    beacons = [sha256(bytes([index])) for index in range(5)]
    drawn = [
        drawing_beacon(beacons, TASK, Round(each), ShardIndex(0), PPM) for each in range(1_000)
    ]
    assert None not in drawn
    assert all(140 < drawn.count(beacon) < 260 for beacon in beacons)
