"""A task from submission to the last payment, in the ledger alone."""

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

from potp2p.foundation.types import POT
from potp2p.protocol.ledger.receipt_records import ReceiptKind
from potp2p.protocol.ledger.records import TaskStatus
from potp2p.protocol.wire.blocks import RANK_NONE
from tests.doubles.ledger_world import BUDGET, RULES, LedgerWorld, build_world, with_audits


def whole_task(world: LedgerWorld) -> str:
    world.run(2)
    task = world.submit()
    world.run_until(lambda: world.task(task).escrow == 0)
    return world.ledger.state_root.hex()


def test_task_finishes_and_everybody_is_paid() -> None:
    world = build_world(change=with_audits(1_000_000))
    before = world.account(world.client).balance

    whole_task(world)

    task = world.task(world.receipts[0].task)
    assert task.status is TaskStatus.FINISHED
    assert task.round == RULES.rounds.rounds
    assert Counter(each.shard for each in world.receipts) == dict.fromkeys(range(6), 3)
    assert task.passes == (), "what only a running task needs is not kept for ever"
    assert [each.kind for each in world.receipts] == [ReceiptKind.PAID] * 18
    assert all(each.audited for each in world.receipts)
    paid = sum(each.paid for each in world.receipts)
    assert paid == BUDGET * 735 // 1_000
    earned = sum(world.miner(each).earned for each in world.miners)
    assert earned == paid
    # Five per cent are burned, one and a half tip the blocks with the claims, twenty go to the
    # auditors of a network that audits everything.
    assert world.state.chain().burned == BUDGET * 5 // 100
    assert task.paid - paid == BUDGET * (50 + 15 + 200) // 1_000
    assert before - world.account(world.client).balance == BUDGET


def test_authors_are_ranked_once_weights_are_frozen_and_earn_the_subsidy() -> None:
    world = build_world()
    whole_task(world)
    world.run_until(lambda: world.height >= 30)

    assert world.authors[:10] == [RANK_NONE] * 10, "no weights in the first cycle"
    ranked = sum(rank == 0 for rank in world.authors)
    assert ranked > 0
    chain = world.state.chain()
    assert ranked * POT <= chain.issued < ranked * POT + chain.burned


def test_result_is_the_same_under_two_hash_seeds() -> None:
    script = (
        "from tests.protocol.ledger.test_whole_task import whole_task\n"
        "from tests.doubles.ledger_world import build_world\n"
        "print(whole_task(build_world()))"
    )
    root = Path(__file__).parents[3]
    roots = {
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=root,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(roots) == 1
    assert roots == {whole_task(build_world()) + "\n"}


def leased_shards(miners: int) -> list[tuple[int, ...]]:
    world = build_world(miners=miners)
    world.run(2)
    task = world.submit()
    rounds: list[tuple[int, ...]] = []
    while len(rounds) < 2:
        world.run_until(lambda: len(rounds) in world.task(task).open_rounds)
        record = world.state.round(task, len(rounds))
        assert len({row.miner for row in record.leases}) == min(miners, 6)
        rounds.append(tuple(row.shard for row in record.leases))
    return rounds


def test_leased_shards_do_not_depend_on_how_many_miners_there_are() -> None:
    assert [leased_shards(miners) for miners in (1, 2, 3, 7)] == [[(0, 1, 2, 3, 4, 5)] * 2] * 4


def test_one_validator_is_a_network() -> None:
    world = build_world(validators=1, change=with_audits(1_000_000))
    whole_task(world)
    assert world.task(world.receipts[0].task).status is TaskStatus.FINISHED


def test_task_waits_for_miners_and_starts_with_the_first() -> None:
    world = build_world(miners=1)
    silent = replace(world, silent=lambda node, _: node == world.miners[0].node_id)
    silent.run(2)
    task = silent.submit()
    silent.run(12)
    assert silent.task(task).status is TaskStatus.RUNNING
    assert silent.task(task).open_rounds == ()

    silent.silent = lambda _node, _action: False
    silent.run_until(lambda: silent.task(task).status is TaskStatus.FINISHED)
