"""The published set-up on a virtual clock: links, mesh and costs bind, and the table is honest."""

from dataclasses import fields, replace
from random import Random

import pytest

from potp2p.benchmarks.published import PublishedPlan, settings_of, verify_published_plan
from potp2p.foundation.errors import ConfigurationError
from potp2p.simulation.published.costs import Costs, measure_costs
from potp2p.simulation.published.links import FRAMING_BYTES, SEGMENT_BYTES, Clock, Links
from potp2p.simulation.published.mesh import make_mesh
from potp2p.simulation.published.run import Cell, Run, lowest_bits, run_cell
from potp2p.simulation.published.setting import Setting
from potp2p.simulation.published.table import PUBLISHED, Figure, Table, markdown, run_table

FREE = Costs(*(0.0 for _ in range(11)))
COSTS = Costs(
    sign=5e-5,
    verify=4e-5,
    decode_vote=1e-5,
    step_vote=1e-5,
    encode_vote=1e-5,
    admit=6e-5,
    execute=4e-5,
    execute_block=1e-4,
    root=2e-6,
    short_id=1e-6,
    sync=3e-4,
)
SETTING = Setting("small", 100, 3_000, 2_000, 30_000, batch=50)
CELL = Cell(4, 30, 30)


def arrivals(links: Links, clock: Clock, letters: list[tuple[int, int, int]]) -> list[float]:
    found: list[float] = []
    for sender, to, size in letters:
        links.send(sender, to, size - FRAMING_BYTES, lambda: found.append(clock.now))
    clock.run(lambda: False, 1e9, 1_000_000)
    return found


def links_of(*, shared: bool = True, megabits: float = 8) -> tuple[Links, Clock]:
    clock = Clock()
    return Links(clock, 4, megabits, Random(1), shared=shared), clock


def test_every_message_takes_10_to_100_percent_of_350_milliseconds() -> None:
    links, clock = links_of(megabits=1e9)
    found = arrivals(links, clock, [(0, 1, FRAMING_BYTES)] * 500)

    assert all(0.035 <= moment <= 0.3501 for moment in found)
    assert min(found) < 0.05
    assert max(found) > 0.33


def test_connections_of_a_node_share_its_uplink() -> None:
    links, clock = links_of()
    found = arrivals(links, clock, [(0, 1, 1_000_000), (0, 2, 1_000_000), (0, 3, 1_000_000)])

    # 3 MB at 1 MB/s; the connections take turns, so that even the first ends late.
    assert 3 <= max(found) <= 3.4 + 3 * SEGMENT_BYTES / 1e6
    assert min(found) > 2.5


def test_a_node_receives_at_the_rate_of_its_link() -> None:
    links, clock = links_of()
    found = arrivals(links, clock, [(1, 0, 1_000_000), (2, 0, 1_000_000), (3, 0, 1_000_000)])

    assert 3 <= max(found) <= 3.4


def test_separate_links_do_not_wait_for_each_other() -> None:
    links, clock = links_of(shared=False)
    found = arrivals(links, clock, [(0, 1, 1_000_000), (0, 2, 1_000_000), (0, 3, 1_000_000)])

    assert all(1.035 <= moment <= 1.351 for moment in found)


@pytest.mark.parametrize(("size", "degree"), [(4, 6), (10, 6), (30, 6), (50, 6), (50, 3), (2, 6)])
def test_the_mesh_is_symmetric_and_in_one_piece(size: int, degree: int) -> None:
    for seed in range(20):
        mesh = make_mesh(size, degree, Random(seed))
        assert all(node in mesh[other] for node in range(size) for other in mesh[node])
        assert all(node not in mesh[node] for node in range(size))
        reached, edge = {0}, [0]
        while edge:
            new = set(mesh[edge.pop()]) - reached
            reached |= new
            edge += new
        assert len(reached) == size
        assert max(map(len, mesh)) <= max(degree, 2)


def test_one_seed_gives_one_run_and_another_seed_another() -> None:
    assert run_cell(CELL, SETTING, COSTS, 1) == run_cell(CELL, SETTING, COSTS, 1)
    assert run_cell(CELL, SETTING, COSTS, 1) != run_cell(CELL, SETTING, COSTS, 2)


def seconds(run: Run) -> float:
    assert run.seconds is not None
    return run.seconds


def test_no_run_is_faster_than_three_messages_can_be() -> None:
    setting = replace(SETTING, block_interval=0)
    assert min(seconds(run_cell(CELL, setting, FREE, seed)) for seed in range(20)) > 3 * 0.035


def test_blocks_take_no_more_than_their_limit() -> None:
    narrow = replace(SETTING, transactions_max=10)
    heights = [run_cell(CELL, narrow, COSTS, seed).heights for seed in range(5)]

    assert min(heights) > 3, "30 transactions need three blocks of 10"
    assert replace(SETTING, block_bytes_max=3_040).block_transactions == 10


@pytest.mark.parametrize("name", ["admit", "execute", "verify", "sync"])
def test_every_cost_is_charged(name: str) -> None:
    dear = replace(COSTS, **{name: 0.05})
    for seed in range(3):
        assert seconds(run_cell(CELL, SETTING, dear, seed)) > seconds(
            run_cell(CELL, SETTING, COSTS, seed)
        )


def test_transactions_that_gossip_has_not_brought_are_fetched() -> None:
    late = replace(SETTING, batch=60_000, transaction_bytes=3_000)
    run = run_cell(CELL, late, COSTS, 1)

    # Nothing is ever gossiped: each primary in turn proposes what was handed to it alone.
    assert seconds(run) < 60
    assert run.heights >= 4


def test_slower_links_take_longer() -> None:
    heavy = Cell(4, 3_000, 5)
    fast = replace(heavy, megabits=125)
    assert seconds(run_cell(heavy, SETTING, COSTS, 1)) > seconds(run_cell(fast, SETTING, COSTS, 1))


@pytest.mark.parametrize("count", [0, 1, 3, 7, 8, 200])
def test_the_lowest_bits_are_taken(count: int) -> None:
    number = 0b1011_0000_1110_0001
    taken = lowest_bits(number, count)

    assert taken & ~number == 0
    assert taken.bit_count() == min(count, number.bit_count())
    assert all(bit > taken for bit in (1 << n for n in range(16)) if number & ~taken & bit)


def test_costs_are_measured_and_never_nothing() -> None:
    costs = measure_costs()
    measured = {each.name: getattr(costs, each.name) for each in fields(costs)}

    assert {name for name, value in measured.items() if value <= 0} == {"send", "receive"}
    assert costs.verify > costs.root


def test_the_published_figures_are_those_of_the_issue() -> None:
    known = {(cell.validators, cell.transactions, cell.megabits): s for cell, s in PUBLISHED}

    assert known[50, 5_000, 30] == 1.8
    assert known[50, 5_000, 125] == 1.7
    assert known[50, 10_000, 30] == 7.2
    assert known[50, 10_000, 125] == 2.1
    assert known[10, 100, 30] == known[10, 100, 125] == 1.5
    assert known[30, 1_000, 30] == known[30, 1_000, 125] == 1.7


def figure(theirs: float, *ours: float | None) -> Figure:
    return Figure(CELL, theirs, tuple(Run(each, 2, 0, 0.1, 5) for each in ours))


def test_a_cell_is_only_faster_when_every_run_ended_and_the_median_is_below() -> None:
    assert figure(1.5, 1.0, 1.2, 9.0).is_faster
    assert not figure(1.5, 1.6, 1.7, 1.0).is_faster
    assert not figure(1.5, 1.0, 1.0, None).is_faster
    assert figure(1.5, 1.0, None).document()["p50_seconds"] is None


def test_the_table_shows_ours_beside_theirs_and_marks_what_is_faster() -> None:
    table = Table(SETTING, (figure(1.5, 1.0, 1.2, 1.1), figure(0.5, 1.0), figure(2, None)))
    lines = markdown([table])

    assert lines[0] == "| validators | transactions | Mbit/s | theirs | small: p50 (max) |"
    assert lines[2] == "| 4 | 30 | 30 | 1.5 s | **1.10 s (1.20)** |"
    assert lines[3].endswith("| 0.5 s | 1.00 s (1.00) |")
    assert lines[4].endswith("| 1 of 1 not final |")


def test_a_table_runs_every_cell_with_every_seed() -> None:
    heard: list[Figure] = []
    cells = ((CELL, 1.0), (Cell(5, 20, 125), 2.0))
    table = run_table(SETTING, COSTS, range(2), heard.append, cells)

    assert [(each.cell, len(each.runs)) for each in table.figures] == [
        (CELL, 2),
        (Cell(5, 20, 125), 2),
    ]
    assert tuple(heard) == table.figures


PLAN = PublishedPlan(3, 0, 10_000, 6, shared_links=True, transport=False)


def test_the_first_network_has_the_parameters_of_the_default_genesis() -> None:
    default, wide, *direct = settings_of(PLAN)

    assert (default.name, default.block_interval, default.block_transactions) == (
        "default",
        500,
        2_000,
    )
    assert default.batch == default.block_interval
    assert wide.block_transactions == 10_000
    assert wide.mesh_degree == default.mesh_degree == 6
    assert [(each.mesh_degree, each.block_interval) for each in direct] == [(0, 450), (0, 650)]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seeds": 0}, "--seeds 0"),
        ({"block_interval": -1}, "--block-interval -1"),
        ({"block_transactions": 0}, "--block-transactions 0"),
        ({"mesh_degree": 1}, "--mesh-degree 1"),
    ],
)
def test_a_plan_that_cannot_run_is_refused_by_name(change: dict[str, int], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        verify_published_plan(replace(PLAN, **change))  # type: ignore[arg-type]
