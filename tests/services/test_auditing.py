"""A called node replays once, binds itself durably, and opens; the accused defend themselves."""

from dataclasses import dataclass, replace
from pathlib import Path

import trio
from trio.testing import MockClock

from potp2p.foundation.types import POT, Amount, Height, PartsPerMillion, TaskId
from potp2p.network.ports import Topic
from potp2p.protocol.ledger.audit_records import Conduct
from potp2p.protocol.ledger.receipt_records import Receipt
from potp2p.protocol.ledger.records import TaskStatus
from potp2p.protocol.ledger.transition import decode_transaction
from potp2p.protocol.wire.blocks import NO_DIGEST
from potp2p.protocol.wire.exchange import RECEIPT_BYTES_MAX, Role, TransactionBatch
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.schema import decode
from potp2p.protocol.wire.transactions import (
    Action,
    AuditCommit,
    Challenge,
    Contribute,
    RevealAudit,
)
from potp2p.services.drafts import AUDITS
from potp2p.simulation.genesis import short_lived
from potp2p.training.commands import Aggregate, Replay
from potp2p.training.reports import Replayed
from tests.doubles.workers import FakeWorkers
from tests.doubles.world import Machine, World, make_rules, open_world

VALIDATORS = ("validator-0", "validator-1", "validator-2", "validator-3")
SEAT_BOND = 1_000 * POT


def statements(world: World, sender: Machine, kind: type[Action]) -> set[bytes]:
    """Return what a machine said of one kind, by gossip or handed to others, each once."""
    found: set[bytes] = set()
    for transit in world.hub.transits:
        if transit.channel is not Topic.TRANSACTIONS:
            continue
        for encoded in decode(TransactionBatch, transit.body, bytes_max=1 << 20).transactions:
            body = decode_transaction(encoded).body
            if isinstance(body.action, kind) and body.sender == sender.node_id:
                found.add(encoded)
    return found


async def finish(world: World, task: TaskId) -> None:
    """Return once a task is finished and settled."""
    chain = world.machines["validator-0"].node.chain

    def is_settled() -> bool:
        record = chain.state().task(task)
        return record.status is TaskStatus.FINISHED and record.escrow == 0

    await world.until(is_settled, seconds=240)


def bond_of(world: World, machine: Machine) -> int:
    return world.machines["validator-0"].node.chain.state().account(machine.keys.account).bond


def is_bound(world: World, task: TaskId, auditor: Machine) -> bool:
    """Tell whether the chain holds a commitment of an auditor that it has not opened."""
    state = world.machines["validator-0"].node.chain.state()
    record = state.find_task(task)
    if record is None:
        return False
    found = [
        callee
        for round_ in record.open_rounds
        for shard in state.round(task, round_).audits
        for callee in state.audit(task, round_, shard).callees
    ]
    return any(
        each.auditor == auditor.node_id and each.commitment != NO_DIGEST and each.report is None
        for each in found
    )


def settled(world: World) -> list[Receipt]:
    """Return the receipts of all settled rounds."""
    machine = world.machines["validator-0"]
    heights = range(1, machine.node.chain.head.height + 1)
    found = [each for height in heights for each in machine.store.receipts(Height(height))]
    return [decode(Receipt, each, bytes_max=RECEIPT_BYTES_MAX) for each in found]


def assert_nobody_failed(world: World) -> None:
    state = world.machines["validator-0"].node.chain.state()
    for name in ("miner-0", "miner-1"):
        record = state.miner(world.machines[name].keys.account)
        assert record is not None
        assert (record.rejected, record.suspended, record.banned_until) == (0, 0, 0)


async def test_every_auditor_that_commits_reveals(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, audit_rate=1_000_000) as world:
        _, task = await world.submit(make_rules(rounds=2))
        await finish(world, task)
        total = 0
        for name in VALIDATORS:
            machine = world.machines[name]
            commits = statements(world, machine, AuditCommit)
            assert len(statements(world, machine, RevealAudit)) == len(commits)
            total += len(commits)
        assert total == 6 * world.genesis.training.audit_committee
        state = world.machines["validator-0"].node.chain.state()
        for name in ("miner-0", "miner-1"):
            record = state.miner(world.machines[name].keys.account)
            assert record is not None
            assert (record.rejected, record.missed) == (0, 0)


async def test_no_commitment_leaves_before_its_salt_is_durable(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, audit_rate=1_000_000) as world:
        victim = world.machines["validator-2"]
        # Enough audits that it is drawn for some of them, whatever the beacons.
        _, task = await world.submit(make_rules(rounds=4))
        assert victim.workers is not None
        workers = victim.workers
        await world.until(lambda: workers.done[Aggregate] > 0)
        victim.notebook.full = True
        await finish(world, task)
        assert workers.done[Replay] > 0
        assert statements(world, victim, AuditCommit) == set()


async def test_a_restart_between_commitment_and_reveal_opens_the_same_one(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, audit_rate=1_000_000) as world:
        _, task = await world.submit(make_rules(rounds=1))
        victim = world.machines["validator-2"]
        await world.until(lambda: bool(statements(world, victim, AuditCommit)))
        notes = {name: victim.notebook.notes[name] for name in victim.notebook.names(AUDITS)}
        victim.kill()
        await world.height(victim.node.chain.head.height + 2, "validator-0")
        world.start(victim)
        await finish(world, task)
        assert notes
        assert len(statements(world, victim, RevealAudit)) == len(notes)


def rich_miners(genesis: Genesis) -> Genesis:
    """Return short cycles, and a sponsor that bonds miners with more than a seat has."""
    genesis = short_lived(genesis)
    accounts = tuple(
        replace(each, balance=Amount(100_000 * POT)) if each.account == genesis.sponsor else each
        for each in genesis.accounts
    )
    money = replace(genesis.money, sponsor_bond=Amount(20_000 * POT))
    return replace(genesis, accounts=accounts, money=money)


async def test_miners_replay_each_other_on_their_own_devices(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=3, audit_rate=1_000_000, change=rich_miners) as world:
        await world.height(12, "validator-0")
        _, task = await world.submit(make_rules(rounds=2))
        await finish(world, task)
        for name in ("miner-0", "miner-1", "miner-2"):
            machine = world.machines[name]
            assert machine.workers is not None
            commits = statements(world, machine, AuditCommit)
            assert len(commits) == len(statements(world, machine, RevealAudit)) > 0
            assert machine.workers.done[Replay] == len(commits)
        assert_nobody_failed(world)


async def test_a_node_that_lost_what_it_found_replays_again_and_opens_the_same(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, audit_rate=1_000_000) as world:
        _, task = await world.submit(make_rules(rounds=1))
        victim = world.machines["validator-2"]
        await world.until(lambda: is_bound(world, task, victim))
        victim.kill()
        for name in list(victim.notebook.names(AUDITS)):
            del victim.notebook.notes[name]
        world.start(victim)
        await finish(world, task)
        assert victim.said("is lost: replaying again")
        commits = statements(world, victim, AuditCommit)
        assert len(statements(world, victim, RevealAudit)) == len(commits) > 0
        audits = [each.audit for each in settled(world) if each.audit is not None]
        lines = [line for audit in audits for line in audit.auditors]
        assert {line.conduct for line in lines} == {Conduct.CALLED}, "nobody was silent, or lied"
        assert bond_of(world, victim) == SEAT_BOND
        assert_nobody_failed(world)


@dataclass(slots=True)
class Slanderer(FakeWorkers):
    """A device that finds every payload forged."""

    def replay(self, command: Replay) -> Replayed:
        """Report a distance that no honest payload has."""
        report = FakeWorkers.replay(self, command)
        far = PartsPerMillion(900_000)
        return replace(report, distances=replace(report.distances, overall=far, tensor_max=far))


async def test_a_slanderer_is_overruled_by_all_judges_and_pays_for_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, validators=3, seats=4, audit_rate=1_000_000) as world:
        liar = world.add("validator-3", Role.VALIDATOR, workers=Slanderer())
        _, task = await world.submit(make_rules(rounds=2))
        await finish(world, task)
        assert bond_of(world, liar) < SEAT_BOND
        for name in VALIDATORS[:3]:
            machine = world.machines[name]
            assert bond_of(world, machine) == SEAT_BOND
            assert machine.workers is not None
            places = {
                (action.task, action.round, action.shard)
                for each in statements(world, machine, AuditCommit)
                if isinstance(action := decode_transaction(each).body.action, AuditCommit)
            }
            # Called as an auditor and then as a judge, it has replayed once.
            assert machine.workers.done[Replay] == len(places) > 0
        assert_nobody_failed(world)


def single_auditor(genesis: Genesis) -> Genesis:
    """Return a network where one auditor alone rules, until somebody challenges it."""
    return replace(genesis, training=replace(genesis.training, audit_committee=1))


async def test_an_accused_miner_challenges_by_itself_and_is_cleared(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(
        tmp_path, validators=3, seats=4, audit_rate=1_000_000, change=single_auditor
    ) as world:
        liar = world.add("validator-3", Role.VALIDATOR, workers=Slanderer())
        _, task = await world.submit(make_rules(rounds=8))
        await finish(world, task)
        challenged = {
            each
            for name in ("miner-0", "miner-1")
            for each in statements(world, world.machines[name], Challenge)
        }
        assert challenged
        assert bond_of(world, liar) < SEAT_BOND
        assert_nobody_failed(world)


async def test_every_node_restarts_amid_audits_and_nobody_is_convicted(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, audit_rate=1_000_000) as world:
        _, task = await world.submit(make_rules(rounds=3))
        for name, kind in (
            ("miner-0", Contribute),
            ("validator-1", AuditCommit),
            ("miner-1", Contribute),
            ("validator-2", AuditCommit),
            ("validator-3", AuditCommit),
        ):
            machine = world.machines[name]
            await world.until(lambda m=machine, k=kind: bool(statements(world, m, k)))
            machine.kill()
            await trio.sleep(1.5)
            world.start(machine)
        await finish(world, task)
        assert_nobody_failed(world)
        for name in VALIDATORS:
            assert bond_of(world, world.machines[name]) == SEAT_BOND
