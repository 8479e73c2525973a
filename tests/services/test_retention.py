"""Files and notes are kept while a round, task or audit needs them, and let go after that."""

from functools import partial
from pathlib import Path

import pytest
from trio.testing import MockClock

from potp2p.foundation.types import BlobId
from potp2p.protocol.ledger.records import TaskStatus
from potp2p.protocol.wire.schema import decode
from potp2p.protocol.wire.transactions import SubmitTask
from potp2p.services.drafts import AUDITS, CONTRIBUTIONS, RESULTS, ContributionDraft, ResultDraft
from potp2p.simulation.stores import MemoryNotebook
from tests.doubles.world import BUDGET, FEE, make_rules, open_world


async def test_what_an_open_round_needs_stays_pinned_and_the_rest_goes(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, audit_rate=1_000_000) as world:
        _, task_id = await world.submit(make_rules(rounds=2))
        machine = world.machines["validator-0"]
        chain, retention = machine.node.chain, machine.node.retention
        await world.until(lambda: chain.state().task(task_id).round == 1)
        stray = await machine.blobs.add_bytes(b"of no task")
        machine.blobs.pin(stray)
        await retention.sweep()
        task = chain.state().task(task_id)
        pinned = set(machine.blobs.pinned())
        assert task.open_rounds, "round 0 waits for its audits"
        needed: set[BlobId] = {task.package_root, task.theta}
        for round_ in task.open_rounds:
            for row in chain.state().round(task_id, round_).leases:
                lease = chain.state().find_lease(task_id, round_, row.shard)
                if lease is not None and lease.claim is not None:
                    needed.add(lease.claim.payload)
        assert needed <= pinned
        assert stray not in pinned

        def is_settled() -> bool:
            record = chain.state().task(task_id)
            return record.status is TaskStatus.FINISHED and record.escrow == 0

        await world.until(is_settled, seconds=240)
        for each in world.machines.values():
            await each.node.retention.sweep()
            assert each.blobs.pinned() == ()
            assert each.notebook.names(CONTRIBUTIONS) == each.notebook.names(AUDITS) == ()


async def test_notes_of_open_leases_survive_a_sweep(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, audit_rate=1_000_000, miners=1) as world:
        await world.submit(make_rules(rounds=1))
        miner = world.machines["miner-0"]
        await world.until(lambda: miner.notebook.names(CONTRIBUTIONS) != ())
        names = miner.notebook.names(CONTRIBUTIONS)
        await miner.node.retention.sweep()
        assert miner.notebook.names(CONTRIBUTIONS) == names


async def test_a_root_that_is_no_package_ends_no_sweep(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=0) as world:
        await world.height(1)
        client = world.client()
        root = await client.store.add_bytes(b"rubbish")
        await client.network.directory.provide(root)
        await client._send(SubmitTask(root, BUDGET, make_rules()), BUDGET, FEE)
        machine = world.machines["validator-0"]
        await world.until(lambda: machine.blobs.path(root) is not None)
        task = machine.node.chain.state().chain().tasks
        await machine.node.retention.sweep()
        assert task, "the sweep came before the refusal"


async def test_no_sweep_lets_go_of_what_a_node_is_bound_to(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A payload before its claim and a result before it is shown are named by notes alone."""
    async with open_world(tmp_path) as world:
        write = MemoryNotebook.put

        async def sweep_and_write(notebook: MemoryNotebook, name: bytes, value: bytes) -> None:
            (owner,) = [each for each in world.machines.values() if each.notebook is notebook]
            await owner.node.retention.sweep()
            await write(notebook, name, value)

        monkeypatch.setattr(MemoryNotebook, "put", sweep_and_write)
        await world.submit(make_rules(rounds=2))
        miner, validator = world.machines["miner-0"], world.machines["validator-0"]
        for machine, prefix in ((miner, CONTRIBUTIONS), (validator, RESULTS)):
            names = partial(machine.notebook.names, prefix)
            await world.until(lambda found=names: bool(found()))  # type: ignore[misc]
            await world.height(machine.node.chain.head.height + 1)
            await machine.node.retention.sweep()
            for name in names():
                note = machine.notebook.notes[name]
                bound_to = (
                    decode(ContributionDraft, note).payload
                    if prefix == CONTRIBUTIONS
                    else decode(ResultDraft, note).result.root
                )
                assert bound_to in machine.blobs.pinned()


async def test_what_was_written_on_the_way_into_the_store_is_not_kept_beside_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path) as world:
        _, task_id = await world.submit(make_rules(rounds=2))
        chain = world.machines["validator-0"].node.chain
        await world.until(lambda: chain.state().task(task_id).status is TaskStatus.FINISHED)
        for name, machine in world.machines.items():
            left = list((machine.folder / "work").iterdir())
            assert not left, f"{name} keeps {left}"
