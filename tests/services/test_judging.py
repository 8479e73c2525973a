"""A validator attests what it holds and checked, computes once, and binds itself durably."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from potp2p.foundation.errors import OperatingError
from potp2p.foundation.limits import INSPECT_SECONDS
from potp2p.foundation.types import Round, TaskId
from potp2p.network.ports import StreamProtocol, Topic
from potp2p.protocol.ledger.records import TaskStatus
from potp2p.protocol.ledger.transition import decode_transaction
from potp2p.protocol.wire.exchange import Role, TransactionBatch
from potp2p.protocol.wire.schema import decode
from potp2p.protocol.wire.transactions import (
    Action,
    Attest,
    AttestPackage,
    ResultCommit,
    RoundResult,
)
from potp2p.services.drafts import RESULTS, ResultDraft
from potp2p.simulation.adversaries.overlay import Overlay
from potp2p.training.commands import Aggregate, CheckPayload, Inspect, Replay
from potp2p.training.reports import Aggregated, Progress
from potp2p.workers.ports import WorkerFacts
from tests.doubles.workers import FakeWorkers
from tests.doubles.world import Machine, World, make_rules, open_world

VALIDATORS = ("validator-0", "validator-1", "validator-2", "validator-3")


@dataclass(slots=True)
class DeadDevice(FakeWorkers):
    """A device that never finishes what it is given."""

    stuck: set[type] = field(default_factory=set[type])

    async def execute(self, command, *arguments, **options):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN002, ANN003, ANN201
        """Hang on some kinds of command."""
        if type(command) in self.stuck:
            await trio.sleep_forever()
        return await FakeWorkers.execute(self, command, *arguments, **options)


def statements(world: World, sender: Machine, kind: type[Action]) -> list[bytes]:
    """Return what a machine said of one kind, by gossip, each once, in order."""
    found: dict[bytes, None] = {}
    for transit in world.hub.transits:
        if transit.channel is not Topic.TRANSACTIONS or transit.sender != sender.node_id:
            continue
        for encoded in decode(TransactionBatch, transit.body, bytes_max=1 << 20).transactions:
            body = decode_transaction(encoded).body
            if isinstance(body.action, kind) and body.sender == sender.node_id:
                found[encoded] = None
    return list(found)


async def finish(world: World, task: TaskId) -> None:
    """Return once a task is finished and settled."""
    chain = world.machines["validator-0"].node.chain

    def is_settled() -> bool:
        record = chain.state().task(task)
        return record.status is TaskStatus.FINISHED and record.escrow == 0

    await world.until(is_settled, seconds=240)


async def test_expensive_work_happens_once_and_nobody_asks_in_vain(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path) as world:
        rules = make_rules(rounds=2)
        _, task = await world.submit(rules)
        await finish(world, task)
        leases = rules.rounds.rounds * rules.rounds.shards_per_round
        for name in VALIDATORS:
            machine = world.machines[name]
            assert machine.workers is not None
            done = machine.workers.done
            assert (done[Inspect], done[Aggregate]) == (1, rules.rounds.rounds)
            assert done[CheckPayload] == leases
            assert machine.said("waits") == []


@dataclass(slots=True)
class Killer(FakeWorkers):
    """A device that every package does to death, or that hangs over it."""

    hangs: bool = False
    begins: bool = True
    asked: int = 0
    size: int = 8 << 30

    async def execute(self, command, progress=None, **options):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN003, ANN201
        """Begin an inspection and never finish it."""
        if not isinstance(command, Inspect):
            return await FakeWorkers.execute(self, command, progress, **options)
        self.asked += 1
        if self.begins:
            progress(Progress(0, 1, None))
        if self.hangs:
            await trio.sleep_forever()
        raise OperatingError("the worker ended (exit code -9)")

    def facts(self) -> tuple[WorkerFacts, ...]:
        """Return a device of some size."""
        return tuple(replace(each, memory_bytes=self.size) for each in FakeWorkers.facts(self))


async def said_of_package(world: World, machine: Machine) -> list[bool]:
    """Submit a task; return what a validator said of its package, once it may be known."""
    _, task = await world.submit(make_rules(rounds=1))
    await finish(world, task)
    said: list[bool] = []
    for encoded in statements(world, machine, AttestPackage):
        action = decode_transaction(encoded).body.action
        assert isinstance(action, AttestPackage)
        said.append(action.fits)
    return said


@pytest.mark.parametrize(
    ("device", "words"),
    [
        (Killer(), "refused: cannot be inspected: the worker ended (exit code -9)"),
        (Killer(size=1 << 19), "refused: needs 1048576 bytes of memory, the device has 524288"),
    ],
    ids=["dies", "small"],
)
async def test_a_package_that_the_device_cannot_take_is_refused_and_not_tried_again(
    device: Killer, words: str, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, validators=3, seats=4) as world:
        victim = world.add("validator-3", Role.VALIDATOR, workers=device)
        said = await said_of_package(world, victim)
        assert len(victim.said(words)) == 1
        assert victim.said("package waits") == []
    assert set(said) <= {False}
    assert device.asked <= 1


async def test_an_inspection_without_end_is_given_up_and_the_package_refused(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    device = Killer(hangs=True)
    async with open_world(tmp_path, validators=3, seats=4) as world:
        victim = world.add("validator-3", Role.VALIDATOR, workers=device)
        judging = victim.node.judging
        assert judging is not None
        shards = ("shard",)
        command = Inspect(make_rules(), "model", "theta", shards, "evaluation", calibrate=True)
        started = trio.current_time()
        fault = await judging._run_inspection(command)
        assert fault == "not inspected within 60 s"
        assert trio.current_time() - started == pytest.approx(INSPECT_SECONDS)


async def test_a_device_that_never_began_says_nothing_about_the_package(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    device = Killer(begins=False)
    async with open_world(tmp_path, validators=3, seats=4) as world:
        victim = world.add("validator-3", Role.VALIDATOR, workers=device)
        assert await said_of_package(world, victim) == []
        assert device.asked > 1


async def test_no_result_is_committed_to_before_it_is_durable(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path) as world:
        victim = world.machines["validator-2"]
        victim.notebook.full = True
        _, task = await world.submit(make_rules(rounds=1))
        await finish(world, task)
        assert victim.workers is not None
        assert victim.workers.done[Aggregate] > 0
        assert statements(world, victim, ResultCommit) == []
        assert statements(world, victim, RoundResult) == []


async def test_a_restart_between_commitment_and_result_shows_what_was_committed_to(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    # Three of four seats: without the one that restarts there is neither a block nor a result.
    async with open_world(tmp_path, validators=3, seats=4) as world:
        _, task = await world.submit(make_rules(rounds=1))
        victim = world.machines["validator-2"]
        assert victim.workers is not None
        await world.until(lambda: bool(statements(world, victim, ResultCommit)))
        (note,) = [victim.notebook.notes[name] for name in victim.notebook.names(RESULTS)]
        victim.kill()
        await trio.sleep(3)
        world.start(victim)
        await finish(world, task)
        shown = {
            decode_transaction(each).body.action for each in statements(world, victim, RoundResult)
        }
        assert shown == {decode(ResultDraft, note).result}
        assert victim.workers.done[Aggregate] <= 1, "what is durable is not computed again"
        assert world.machines["validator-0"].node.chain.state().task(task).losses != ()


@dataclass(slots=True)
class Suspicious(FakeWorkers):
    """A device whose screens suspect one payload and drop another."""

    def aggregate(self, command: Aggregate) -> Aggregated:
        """Add what screens would find."""
        report = FakeWorkers.aggregate(self, command)
        assert len(command.heights) == len(command.payloads)
        return replace(report, flagged=(0,), dropped=(2,))


async def test_what_the_screens_found_stands_on_the_chain(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, validators=0, seats=4) as world:
        for name in VALIDATORS:
            world.add(name, Role.VALIDATOR, workers=Suspicious())
        _, task = await world.submit(make_rules(rounds=1))
        chain = world.machines["validator-0"].node.chain
        found: set[tuple[tuple[int, ...], tuple[int, ...]]] = set()

        def finished() -> bool:
            state = chain.state()
            if Round(0) in state.task(task).open_rounds:
                record = state.round(task, Round(0))
                if record.advanced:
                    shards = [row.shard for row in record.leases]
                    assert record.flagged == (shards[0],)
                    assert record.dropped == (shards[2],)
                    found.add((record.flagged, record.dropped))
            return state.task(task).status is TaskStatus.FINISHED

        await world.until(finished, seconds=120)
        assert found


async def test_a_validator_attests_only_what_it_holds_and_checked(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, validators=3, seats=4) as world:
        blind = world.add("validator-3", Role.VALIDATOR, workers=DeadDevice(stuck={CheckPayload}))
        _, task = await world.submit(make_rules(rounds=1))
        chain = world.machines["validator-0"].node.chain
        seen: list[bytes] = []

        def attested() -> bool:
            if Round(0) in chain.state().task(task).open_rounds:
                record = chain.state().round(task, Round(0))
                said = [each for each in record.attestations if each.validator == blind.node_id]
                seen.extend(each.bitmap for each in said)
            return chain.state().task(task).status is TaskStatus.FINISHED

        await world.until(attested, seconds=120)
        assert set(seen) <= {b""}


@dataclass(slots=True)
class LateDevice(FakeWorkers):
    """A device that looks at the payload of one shard when it is told to."""

    go: trio.Event = field(default_factory=trio.Event)

    async def execute(self, command, *arguments, **options):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN002, ANN003, ANN201
        """Wait before one check."""
        if isinstance(command, CheckPayload) and command.lease.shard == 0:
            await self.go.wait()
        return await FakeWorkers.execute(self, command, *arguments, **options)


def leave_out_attestations(machine: Machine) -> None:
    """Let a machine write blocks without any attestation."""
    chain = machine.node.authoring.chain
    pool = chain.mempool

    def candidates() -> tuple[bytes, ...]:
        every = pool.candidates()
        return tuple(
            each for each in every if not isinstance(decode_transaction(each).body.action, Attest)
        )

    kept_out = Overlay(chain, mempool=Overlay(pool, candidates=candidates))
    machine.node.authoring.chain = kept_out  # type: ignore[assignment]


async def test_more_is_attested_while_rivals_leave_the_first_bitmap_out(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    go = trio.Event()
    async with open_world(tmp_path, validators=1, seats=4) as world:
        late = [
            world.add(name, Role.VALIDATOR, workers=LateDevice(go=go)) for name in VALIDATORS[1:]
        ]
        for machine in world.machines.values():
            leave_out_attestations(machine)
        await world.submit(make_rules(rounds=1))

        def have_said(times: int) -> bool:
            return all(len(statements(world, each, Attest)) >= times for each in late)

        await world.until(lambda: have_said(1), seconds=120)
        go.set()
        await world.until(lambda: have_said(2), seconds=120)


async def test_a_validator_without_a_result_stops_no_round(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, validators=3, seats=4) as world:
        slow = world.add(
            "validator-3", Role.VALIDATOR, workers=DeadDevice(stuck={Aggregate, Replay})
        )
        _, task = await world.submit(make_rules(rounds=2))
        await finish(world, task)
        assert statements(world, slow, RoundResult) == []


async def test_payloads_are_found_at_validators_when_a_miner_serves_only_some(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=1) as world:
        miner = world.machines["miner-0"].node_id
        cut_off = {world.machines[name].node_id for name in ("validator-2", "validator-3")}
        world.hub.drop = lambda transit: (
            transit.receiver == miner
            and transit.sender in cut_off
            and transit.channel is StreamProtocol.BLOBS
        )
        _, task = await world.submit(make_rules(rounds=1, shards=2, shards_per_round=1))
        await finish(world, task)
        record = world.machines["validator-0"].node.chain.state().task(task)
        assert len(record.losses) == 1, "the two that were served are no quorum"
