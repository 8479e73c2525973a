"""Which commands count as the same work, and that a crew of them behaves as each by itself."""

import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from potp2p.foundation.types import Round, ShardIndex, TaskId
from potp2p.protocol.crypto.hashing import sha256
from potp2p.simulation.adversaries.trainers import key_of_command, processor_seconds
from potp2p.simulation.genesis import key_of
from potp2p.simulation.packages import make_rules
from potp2p.training.commands import Aggregate, CheckPayload, Lease, Train

TASK = TaskId(sha256(b"a task"))
RULES = make_rules()


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    for name in ("theta", "one", "two", "evaluation"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "one-again").write_bytes(b"one")
    return {path.name: str(path) for path in tmp_path.iterdir()}


def aggregate(files: dict[str, str], *payloads: str, result: str = "here") -> Aggregate:
    paths = tuple(files[each] for each in payloads)
    return Aggregate(
        RULES, TASK, Round(0), "model", files["theta"], paths, result, files["evaluation"]
    )


def test_two_validators_that_aggregate_the_same_payloads_ask_for_the_same_work(
    files: dict[str, str],
) -> None:
    mine = key_of_command(aggregate(files, "one", "two"))
    theirs = key_of_command(aggregate(files, "one-again", "two", result="there"))
    assert mine == theirs is not None


def test_another_payload_order_or_round_is_other_work(files: dict[str, str]) -> None:
    keys = {
        key_of_command(aggregate(files, "one", "two")),
        key_of_command(aggregate(files, "two", "one")),
        key_of_command(aggregate(files, "one")),
        key_of_command(replace(aggregate(files, "one", "two"), round=Round(1))),
    }
    assert len(keys) == 4


def test_a_payload_checked_for_another_lease_is_other_work(files: dict[str, str]) -> None:
    lease = Lease(key_of("miner").account, TASK, Round(0), ShardIndex(0))
    check = CheckPayload(lease, RULES, files["theta"], files["one"])
    other = replace(check, lease=replace(lease, shard=ShardIndex(1)))
    assert key_of_command(check) != key_of_command(other)


def test_a_lease_is_always_computed_by_whoever_holds_it(files: dict[str, str]) -> None:
    lease = Lease(key_of("miner").account, TASK, Round(0), ShardIndex(0))
    assert key_of_command(Train(lease, RULES, "m", files["theta"], files["one"], "p")) is None


def test_processor_time_counts_threads_that_have_ended() -> None:
    before = processor_seconds(os.getpid())
    spent: list[float] = []

    def work() -> None:
        while time.thread_time() < 0.05:
            pass
        spent.append(time.thread_time())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert processor_seconds(os.getpid()) - before >= spent[0]
