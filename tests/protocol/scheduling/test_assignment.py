"""The lease table: the same shards whoever is there, divided by rate, ties broken by the beacon."""

from hypothesis import given
from hypothesis import strategies as st

from potp2p.foundation.limits import SHARDS_PER_ROUND_MAX
from potp2p.foundation.types import Round, ShardIndex, TaskId
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.scheduling.assignment import Worker, assign, choose_shards, rate_after, shares
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
