"""The lease table: the same shards whoever is there, divided by rate, ties broken by the beacon."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potp2p.foundation.limits import SHARDS_PER_ROUND_MAX
from potp2p.foundation.types import Round, ShardIndex, TaskId
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.scheduling.assignment import (
    Worker,
    assign,
    choose_shards,
    limit_newcomers,
    rate_after,
    shares,
)
from tests.doubles.ledger_world import key_pair

BEACON = sha256(b"beacon")
TASK = TaskId(sha256(b"task"))
NODES = [key_pair(f"worker {number}").node_id for number in range(8)]
SHARDS = tuple(map(ShardIndex, range(10)))


def table(*rates: int, beacon: bytes = BEACON, round_: int = 0) -> tuple[bytes, ...]:
    workers = [Worker(node, rate) for node, rate in zip(NODES, rates, strict=False)]
    return assign(SHARDS, workers, beacon=beacon, task=TASK, round_=Round(round_))


def test_least_processed_shards_come_first_then_the_lowest_index() -> None:
    assert choose_shards([0, 0, 0, 0], 2) == (0, 1)
    assert choose_shards([1, 1, 0, 0], 2) == (2, 3)
    assert choose_shards([1, 2, 1, 0], 3) == (0, 2, 3)
    assert choose_shards([5, 5], 2) == (0, 1)


def test_every_shard_gets_its_passes_in_turn() -> None:
    passes = [0] * 7
    for _ in range(7):
        for shard in choose_shards(passes, 3):
            passes[shard] += 1
    assert passes == [3] * 7


@given(st.lists(st.integers(1, SHARDS_PER_ROUND_MAX), min_size=1, max_size=40), st.integers(0, 60))
def test_shares_add_up_and_leave_nobody_out_who_could_have_one(
    rates: list[int], count: int
) -> None:
    parts = shares(rates, count)
    assert sum(parts) == count
    if count >= len(rates):
        assert min(parts) >= 1
    else:
        assert parts == (1,) * count + (0,) * (len(rates) - count)


def test_faster_miner_gets_more_by_its_rate() -> None:
    counts = [table(1, 1, 8).count(node) for node in NODES[:3]]
    assert counts[2] >= 6
    assert sum(counts) == 10
    assert min(counts) >= 1


def test_table_does_not_depend_on_the_order_in_which_miners_are_listed() -> None:
    workers = [Worker(node, 1) for node in NODES[:4]]
    one = assign(SHARDS, workers, beacon=BEACON, task=TASK, round_=Round(3))
    other = assign(SHARDS, workers[::-1], beacon=BEACON, task=TASK, round_=Round(3))
    assert one == other


def test_table_depends_on_beacon_task_and_round() -> None:
    tables = {table(*[1] * 8, round_=number) for number in range(6)}
    assert len(tables) == 6
    assert table(*[1] * 8, beacon=sha256(BEACON)) not in tables


def test_rate_doubles_at_most_and_is_halved_by_a_miss() -> None:
    assert rate_after(1, delivered=1, missed=0, blocks=1, deadline=40) == 2
    assert rate_after(8, delivered=8, missed=0, blocks=8, deadline=40) == 16
    assert rate_after(8, delivered=8, missed=0, blocks=40, deadline=40) == 8
    assert rate_after(8, delivered=2, missed=0, blocks=40, deadline=40) == 5
    assert rate_after(8, delivered=7, missed=1, blocks=1, deadline=40) == 4
    assert rate_after(1, delivered=0, missed=1, blocks=0, deadline=40) == 1
    assert rate_after(5, delivered=0, missed=0, blocks=0, deadline=40) == 5


@given(
    st.integers(1, SHARDS_PER_ROUND_MAX),
    st.integers(0, SHARDS_PER_ROUND_MAX),
    st.integers(0, SHARDS_PER_ROUND_MAX),
    st.integers(-5, 1 << 20),
    st.integers(1, 1 << 20),
)
def test_rate_always_fits_its_record(
    rate: int, delivered: int, missed: int, blocks: int, deadline: int
) -> None:
    after = rate_after(rate, delivered=delivered, missed=missed, blocks=blocks, deadline=deadline)
    assert 1 <= after <= min(2 * rate, SHARDS_PER_ROUND_MAX)


def fresh(count: int) -> list[Worker]:
    return [Worker(key_pair(f"new {number}").node_id, 1, bonded=False) for number in range(count)]


def admitted(workers: list[Worker], shards: int, round_: int) -> tuple[Worker, ...]:
    return limit_newcomers(workers, shards, beacon=BEACON, task=TASK, round_=Round(round_))


def test_newcomers_share_an_eighth_of_a_round_that_bonded_miners_want() -> None:
    old = [Worker(node, 16) for node in NODES[:2]]
    seen: set[bytes] = set()
    for number in range(40):
        workers = admitted([*old, *fresh(50)], 16, number)
        assert workers[:2] == tuple(old)
        assert len(workers) == 4
        seen |= {each.node for each in workers[2:]}
    assert len(seen) > 30, "the beacon chooses among them"


@pytest.mark.parametrize("shards", [1, 6, 12])
def test_newcomers_part_of_small_rounds_is_an_eighth_on_average(shards: int) -> None:
    old, rounds = [Worker(NODES[0], 16)], 800
    got = sum(len(admitted([*old, *fresh(5)], shards, number)) - 1 for number in range(rounds))
    assert abs(got - rounds * shards // 8) < 30, "three standard deviations of the odd shard"


def test_newcomers_get_what_bonded_miners_cannot_do() -> None:
    slow = [Worker(NODES[0], 2), Worker(NODES[1], 1)]
    assert len(admitted([*slow, *fresh(50)], 10, 0)) == 2 + 7


def test_newcomer_gets_one_shard_whatever_its_rate_says() -> None:
    quick = [Worker(each.node, 9, bonded=False) for each in fresh(2)]
    miners = assign(
        SHARDS, [Worker(NODES[0], 1), *quick], beacon=BEACON, task=TASK, round_=Round(0)
    )
    assert [miners.count(each.node) for each in quick] == [1, 1]
    assert miners.count(NODES[0]) == 8


def test_where_nobody_has_a_bond_all_shards_are_leased_all_the_same() -> None:
    new = fresh(3)
    assert admitted(new, 10, 0) == tuple(new)
    miners = assign(SHARDS, new, beacon=BEACON, task=TASK, round_=Round(0))
    assert sorted(miners.count(each.node) for each in new) == [3, 3, 4]


def test_more_newcomers_than_shards_take_no_more_than_there_are() -> None:
    crowd = [Worker(NODES[0], 1), *fresh(30)]
    assert len(assign(SHARDS, crowd, beacon=BEACON, task=TASK, round_=Round(0))) == len(SHARDS)


def test_who_comes_or_goes_changes_no_others_order() -> None:
    few = [Worker(node, 1) for node in NODES[:4]]
    many = [Worker(node, 1) for node in NODES]
    for round_ in range(30):
        table = [
            tuple(
                dict.fromkeys(assign(SHARDS, each, beacon=BEACON, task=TASK, round_=Round(round_)))
            )
            for each in (few, many)
        ]
        known = {each.node for each in few}
        assert table[0] == tuple(node for node in table[1] if node in known)
