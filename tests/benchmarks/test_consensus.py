"""The benchmark of consensus: its figures, its refusals, and once the real thing."""

import json
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from potp2p.benchmarks.consensus import measure_consensus
from potp2p.benchmarks.consensus_figures import (
    Notes,
    finality_seconds,
    first_counted,
    first_stored,
    longest_gap,
    percentile,
    submission_seconds,
    throughput,
)
from potp2p.benchmarks.consensus_load import Decided, Lane, transfers
from potp2p.benchmarks.consensus_network import Validator, bench_genesis, bench_key
from potp2p.benchmarks.consensus_node import line_of
from potp2p.benchmarks.consensus_plan import (
    ConsensusPlan,
    consensus_lines,
    verify_consensus_plan,
    with_targets,
)
from potp2p.foundation.errors import ConfigurationError
from potp2p.network.emulation import LinePlan
from potp2p.protocol.ledger.genesis import chain_id_of, verify_genesis
from potp2p.protocol.ledger.transition import decode_transaction, verify_transaction
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.schema import decode
from tests.benchmarks.programs import running_in

SECOND = 1_000_000_000
NOWHERE = Path("/nowhere")


def stage(name: str, at: float, height: int, **more: object) -> dict[str, object]:
    return {"stage": name, "at": int(at * SECOND), "height": height, **more}


def stored(at: float, height: int, *signers: int, transactions: int = 10) -> dict[str, object]:
    return stage("stored", at, height, view=0, transactions=transactions, signers=list(signers))


def write(path: Path, *notes: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(note) + "\n" for note in notes))
    return path


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    """Four seats, heights 1 and 2; seat 3 is late with the first and never stores the second."""
    made = Notes(4)
    firsts: tuple[tuple[dict[str, object], ...], ...] = (
        (stage("proposed", 1.0, 1), stored(1.2, 1, 0, 1, 2), stored(2.5, 2, 0, 1, 3)),
        (stored(1.3, 1, 0, 1, 2), stage("proposed", 2.0, 2), stored(2.6, 2, 0, 1, 2)),
        (stored(1.4, 1, 0, 1, 2), stored(2.7, 2, 0, 1, 2)),
        (stored(1.9, 1, 0, 1, 2), {"stage": "hold", "seconds": [0.001, 0.02, 0.03]}),
    )
    for seat, lines in enumerate(firsts):
        made.add(seat, write(tmp_path / f"{seat}.out", *lines))
    return made


def test_a_height_is_final_when_a_quorum_of_all_seats_has_stored_it(notes: Notes) -> None:
    assert notes.finals() == {1: 1.4 * SECOND, 2: 2.7 * SECOND}
    assert finality_seconds(notes, 0, 3 * SECOND) == pytest.approx([0.4, 0.7])
    assert finality_seconds(notes, 2 * SECOND, 3 * SECOND) == pytest.approx([0.7])


def test_throughput_counts_what_became_final_within_the_window(notes: Notes) -> None:
    assert throughput(notes, 0, 3 * SECOND) == (2, 20)
    assert throughput(notes, 2 * SECOND, int(2.7 * SECOND)) == (0, 0)


def test_a_line_that_a_kill_cut_off_is_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "cut.out", stored(1.0, 1, 0))
    path.write_text(path.read_text() + '{"stage": "stored", "at": 12')
    notes = Notes(1)
    notes.add(0, path)
    assert list(notes.heights) == [1]


def test_longest_gap_begins_with_the_loss(notes: Notes) -> None:
    assert longest_gap(notes, int(1.5 * SECOND), 3 * SECOND) == pytest.approx(1.2)
    assert longest_gap(notes, 3 * SECOND, 4 * SECOND) is None


def test_a_vote_counts_once_another_validator_stored_it_in_a_seal(notes: Notes) -> None:
    assert first_counted(notes, 3, int(1.5 * SECOND)) == 2.5 * SECOND
    assert first_counted(notes, 3, int(2.8 * SECOND)) is None
    assert first_stored(notes, 2, int(1.5 * SECOND)) == 2.7 * SECOND
    assert first_stored(notes, 3, int(2.8 * SECOND)) is None


def test_waits_are_those_of_samples_that_are_final(notes: Notes) -> None:
    samples = [(SECOND, 1), (2 * SECOND, 2), (2 * SECOND, 99)]
    assert submission_seconds(samples, notes, 0, 3 * SECOND) == pytest.approx([0.4, 0.7])


def test_percentile_is_a_value_that_was_seen() -> None:
    assert percentile([], 0.5) is None
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([1.0, 2.0], 0.99) == 2.0


def test_decided_transactions_are_counted_as_files_grow(tmp_path: Path) -> None:
    path = write(tmp_path / "a.out", stored(1.0, 1, 0))
    decided = Decided((path, write(tmp_path / "b.out")))
    assert decided.look() == 10
    with path.open("a") as file:
        file.write(json.dumps(stored(2.0, 2, 0))[:20])
    assert decided.look() == 10
    with path.open("a") as file:
        file.write(json.dumps(stored(2.0, 2, 0))[20:] + "\n")
    assert decided.look() == 20


def test_load_signs_what_the_ledger_takes_in_rising_nonces_by_account() -> None:
    validators = tuple(Validator(seat, bench_key(str(seat)), Path()) for seat in range(4))
    genesis = decode(Genesis, bench_genesis(validators))
    verify_genesis(genesis)
    chain_id = chain_id_of(genesis)
    signed = transfers(chain_id, 0, 1000)
    nonces: dict[bytes, list[int]] = {}
    for encoded in (next(signed) for _ in range(6)):
        transaction = decode_transaction(encoded)
        verify_transaction(transaction, chain_id)
        nonces.setdefault(transaction.body.sender, []).append(transaction.body.nonce)
    assert sorted(nonces.values()) == [[0, 1, 2], [0, 1, 2]]


def test_refused_transactions_are_handed_over_first_the_next_time() -> None:
    lane = Lane(bench_key("0").node_id, iter((b"d",)), deque((b"b", b"c")), deque((b"a",)))
    assert lane.take(4) == (b"a", b"b", b"c", b"d")


def plan(folder: Path = NOWHERE, **changes: object) -> ConsensusPlan:
    return replace(ConsensusPlan(4, 100, 20, folder), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"validators": 0},
        {"transactions_per_block": 1_001},
        {"seconds": 4},
        {"dead": 2},
        {"rate": -1},
        {"latency_milliseconds": 2_001},
        {"bandwidth_megabits": 10_001},
        {"rate": 100, "transactions_per_block": 0},
        {"lose_primary": True, "restart": True},
        {"lose_primary": True, "dead": 1},
        {"restart": True, "dead": 1},
    ],
    ids=str,
)
def test_measurement_that_cannot_be_made_is_refused(changes: dict[str, object]) -> None:
    verify_consensus_plan(plan())
    with pytest.raises(ConfigurationError):
        verify_consensus_plan(plan(NOWHERE, **changes))


def test_targets_follow_what_is_measured_and_an_unknown_figure_misses() -> None:
    figures: dict[str, object] = {
        "loop_hold_p99_seconds": 0.01,
        "finality_p50_seconds": 0.09,
        "blocks_per_second": 9.0,
        "lost_primary_seconds": None,
    }
    assert with_targets(plan(), figures)["is_within_targets"] is True
    assert with_targets(plan(transactions_per_block=0), figures)["is_within_targets"] is False
    assert with_targets(plan(lose_primary=True), figures)["is_within_targets"] is False
    slow = figures | {"finality_p50_seconds": 0.11}
    assert with_targets(plan(), slow)["is_within_targets"] is False
    assert with_targets(plan(latency_milliseconds=100), slow)["is_within_targets"] is True


def test_line_is_in_bytes_a_second_and_none_without_flags() -> None:
    assert line_of("0", "0") is None
    assert line_of("100", "0") == LinePlan(0.1, 0.0)
    assert line_of("0", "8") == LinePlan(0.0, 1_000_000.0)


@pytest.mark.long
async def test_real_validators_are_measured_and_none_stays(tmp_path: Path) -> None:
    folder = tmp_path / "bench"
    document = await measure_consensus(plan(folder, seconds=6, restart=True))

    assert cast("int", document["blocks"]) > 0
    assert cast("float", document["transactions_per_second"]) > 0
    for key in ("finality_p50_seconds", "submission_p99_seconds", "loop_hold_p99_seconds"):
        assert cast("float", document[key]) > 0
    assert [row["name"] for row in cast("list[dict[str, object]]", document["processes"])] == [
        "load",
        "validator-1",
        "validator-2",
        "validator-3",
    ]
    assert "transactions_per_second" in "\n".join(consensus_lines(document))
    assert running_in(folder) == []
