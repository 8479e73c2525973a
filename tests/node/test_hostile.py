"""Liars, floods and deaths: the honest machines agree, finish and pay, and blame nobody honest."""

from pathlib import Path

import trio
import trio.testing

from potp2p.foundation.types import Height, TaskId
from potp2p.network.ports import StreamProtocol
from potp2p.protocol.ledger.records import TaskStatus
from potp2p.protocol.wire.blocks import Seal
from potp2p.protocol.wire.exchange import Role
from potp2p.protocol.wire.schema import decode
from potp2p.training.commands import Aggregate, CheckPayload, Inspect, Train
from tests.doubles.adversaries import (
    FalseArchive,
    FalseJudge,
    Flooder,
    propose_wrong_roots_and_vote_for_anything,
)
from tests.doubles.workers import FakeWorkers, Garbler, right_header
from tests.doubles.world import (
    BUDGET,
    CLIENT_MONEY,
    FEE,
    World,
    key_of,
    make_rules,
    open_world,
    write_package,
)

HONEST = ("validator-0", "validator-1", "validator-2")


async def over(world: World, task: TaskId, *, seconds: float = 240) -> TaskStatus:
    """Return how a task ended, once its money is settled."""
    chain = world.machines["validator-0"].node.chain

    def is_settled() -> bool:
        record = chain.state().find_task(task)
        waiting = (TaskStatus.ATTESTING, TaskStatus.RUNNING)
        return record is not None and record.status not in waiting and record.escrow == 0

    await world.until(is_settled, seconds=seconds)
    return chain.state().task(task).status


def offenders(world: World) -> set[bytes]:
    """Return whom anyone scored."""
    return {each.offender for each in world.hub.penalties}


def balance(world: World, name: str) -> int:
    """Return an account's money as the first validator has it."""
    return world.machines["validator-0"].node.chain.state().account(key_of(name).account).balance


async def test_a_lying_validator_stops_nobody_and_convinces_nobody(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_world(tmp_path, validators=3, seats=4) as world:
        liar = world.add(
            "validator-3",
            Role.VALIDATOR,
            workers=FalseJudge(),
            tamper=propose_wrong_roots_and_vote_for_anything,
        )
        _, task = await world.submit(make_rules())
        assert await over(world, task) is TaskStatus.FINISHED
        record = world.machines["validator-0"].node.chain.state().task(task)
        assert 1 not in record.losses, "the liar's loss was believed"
        world.assert_one_history(*HONEST, "miner-0", "miner-1")
        world.assert_money_conserved()
        refusals = [each for name in HONEST for each in world.machines[name].said("state root")]
        assert refusals, "the liar never got to propose"
        assert offenders(world) <= {liar.node_id}


async def test_a_miner_that_sends_noise_is_not_paid_and_costs_nobody_else(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_world(tmp_path) as world:
        bad = world.add("miner-bad", Role.MINER, workers=Garbler())
        _, task = await world.submit(make_rules(rounds=3))
        assert await over(world, task) is TaskStatus.FINISHED
        miner = world.machines["validator-0"].node.chain.state().miner(bad.keys.account)
        assert miner is not None
        assert miner.accepted == 0
        assert miner.missed > 0
        assert balance(world, "miner-bad") == 0
        assert balance(world, "miner-0") > 0
        assert world.machines["validator-1"].said("payload of another lease")
        world.assert_money_conserved()


async def test_a_payload_that_was_never_computed_costs_its_bond(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_world(tmp_path, audit_rate=1_000_000) as world:
        workers = Garbler(content=right_header)
        bad = world.add("miner-bad", Role.MINER, workers=workers)
        _, task = await world.submit(make_rules(rounds=3))
        assert await over(world, task) is TaskStatus.FINISHED
        state = world.machines["validator-0"].node.chain.state()
        miner = state.miner(bad.keys.account)
        assert miner is not None
        assert miner.rejected > 0
        assert miner.banned_until > 0
        assert state.account(bad.keys.account).bond == 0
        for name in ("miner-0", "miner-1"):
            honest = state.miner(key_of(name).account)
            assert honest is not None
            assert (honest.rejected, honest.banned_until) == (0, 0)
        world.assert_money_conserved()


async def test_a_miner_that_claims_and_never_serves_holds_up_no_round(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_world(tmp_path) as world:
        bad = world.add("miner-bad", Role.MINER)
        world.hub.drop = lambda transit: (
            transit.receiver == bad.node_id and transit.channel is StreamProtocol.BLOBS
        )
        _, task = await world.submit(make_rules())
        assert await over(world, task) is TaskStatus.FINISHED
        miner = world.machines["validator-0"].node.chain.state().miner(bad.keys.account)
        assert miner is not None
        assert (miner.accepted, miner.missed > 0) == (0, True)


async def test_a_flood_of_rubbish_scores_the_flooder_alone(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_world(tmp_path) as world:
        await world.height(2)
        flooder = Flooder(world)
        world.nursery.start_soon(flooder.run)
        _, task = await world.submit(make_rules())
        assert await over(world, task) is TaskStatus.FINISHED
        assert offenders(world) == {flooder.network.node}
        world.assert_one_history()
        for machine in world.machines.values():
            assert len(machine.node.chain.mempool) < 50


async def test_a_newcomer_outlives_an_archive_of_altered_blocks(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_world(tmp_path, miners=0) as world:
        await world.height(8)
        archive = FalseArchive(world)
        late = key_of("observer").node_id
        validators = [each.node_id for each in world.machines.values()]
        world.hub.partition([late], validators)
        world.add("observer", Role.OBSERVER)
        await world.until(lambda: archive.asked[late] >= 2)
        world.hub.heal()
        await world.height(20, "observer")
        world.assert_one_history()
        assert offenders(world) == {archive.network.node}


async def test_a_package_that_cannot_be_fetched_expires_and_is_refunded(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_world(tmp_path, miners=1) as world:
        client_id = key_of("client").node_id
        world.hub.drop = lambda transit: (
            transit.receiver == client_id and transit.channel is StreamProtocol.BLOBS
        )
        _, task = await world.submit(make_rules())
        assert await over(world, task) is TaskStatus.EXPIRED
        assert balance(world, "client") == CLIENT_MONEY - FEE


async def test_a_package_that_breaks_its_rules_is_refused_and_refunded(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_world(tmp_path, miners=1) as world:
        await world.height(1)
        client = world.client()
        rules = make_rules()
        package = write_package(tmp_path / "other", make_rules(rounds=5))
        lying = type(package)(package.folder, rules, package.bytes)
        task = await client.submit_task(lying, BUDGET, FEE)
        assert await over(world, task) is TaskStatus.REFUSED
        assert balance(world, "client") == CLIENT_MONEY - FEE
        assert world.machines["validator-0"].said("rules in the package differ")


async def test_a_validator_killed_in_the_middle_rejoins_and_votes(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_world(tmp_path) as world:
        _, task = await world.submit(make_rules())
        victim = world.machines["validator-2"]
        await world.height(12, "validator-2")
        victim.kill()
        await world.height(victim.node.chain.head.height + 6, "validator-0")
        world.start(victim)
        assert await over(world, task) is TaskStatus.FINISHED
        high = world.machines["validator-0"].node.chain.head.height
        await world.height(high + 12)
        world.assert_one_history()
        seat = 2
        signed = [
            seat in [each.signer for each in seal.signatures]
            for seal in (seal_of(world, height) for height in range(high, high + 12))
        ]
        assert any(signed), "it follows but does not vote"


async def test_every_machine_killed_at_once_goes_on_where_it_was(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_world(tmp_path) as world:
        _, task = await world.submit(make_rules())
        workers = world.machines["miner-0"].workers
        assert workers is not None
        await world.until(lambda: workers.done.total() > 0)
        for machine in world.machines.values():
            machine.kill()
        await trio.sleep(1)
        for machine in world.machines.values():
            world.start(machine)
        assert await over(world, task) is TaskStatus.FINISHED
        world.assert_one_history()
        world.assert_money_conserved()
        assert not offenders(world)


async def test_a_device_that_fails_now_and_then_delays_but_loses_nothing(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    kinds = (Train, CheckPayload, Aggregate, Inspect)
    async with open_world(tmp_path, validators=3, seats=4, miners=1) as world:
        moody = FakeWorkers(failures=dict.fromkeys(kinds, 2))
        world.add("validator-3", Role.VALIDATOR, workers=moody)
        world.add("miner-9", Role.MINER, workers=FakeWorkers(failures={Train: 2}))
        _, task = await world.submit(make_rules())
        assert await over(world, task) is TaskStatus.FINISHED
        miner = world.machines["validator-0"].node.chain.state().miner(key_of("miner-9").account)
        assert miner is not None
        assert miner.missed == 0


def seal_of(world: World, height: int) -> Seal:
    """Return the seal of a height as the first validator stored it."""
    stored = world.machines["validator-0"].store.block(Height(height))
    assert stored is not None
    return decode(Seal, stored[1])
