"""What a claim rests on is durable before the claim leaves, and its payload is served after it."""

from dataclasses import dataclass, replace
from pathlib import Path

import trio
from trio.testing import MockClock

from potp2p.foundation.types import BlobId, NodeId, Round, TaskId
from potp2p.network.ports import StreamProtocol
from potp2p.protocol.ledger.records import TaskStatus
from potp2p.protocol.ledger.transition import decode_transaction
from potp2p.protocol.wire.exchange import BlobRequest, ManifestRequest, Role
from potp2p.protocol.wire.schema import decode, encode
from potp2p.protocol.wire.transactions import Challenge, Contribute, RevealTrace
from potp2p.protocol.wire.verification import Trace
from potp2p.services.drafts import CONTRIBUTIONS, ContributionDraft
from potp2p.training.commands import Replay, Train
from potp2p.training.reports import Trained
from tests.doubles.workers import FakeWorkers
from tests.doubles.world import Machine, World, make_rules, open_world


def claims(world: World, miner: Machine) -> list[bytes]:
    """Return every claim that a miner ever let out, oldest first."""
    handed = [
        each.body
        for each in world.hub.transits
        if each.channel is StreamProtocol.SUBMIT and each.sender == miner.node_id
    ]
    return [body for body in handed if isinstance(decode_transaction(body).body.action, Contribute)]


def drafts(miner: Machine) -> list[ContributionDraft]:
    """Return what a miner has noted about its leases."""
    names = miner.notebook.names(CONTRIBUTIONS)
    return [decode(ContributionDraft, miner.notebook.notes[name]) for name in names]


async def ask_for(world: World, miner: Machine, blob: BlobId) -> bytes:
    """Ask a miner for a payload's manifest, as a thief would."""
    thief = world.machines["validator-1"].network
    request = encode(BlobRequest(ManifestRequest(blob, 0)))
    return await thief.request(miner.node_id, StreamProtocol.BLOBS, request, deadline_seconds=10)


async def test_no_claim_leaves_before_its_notes_are_durable(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=1) as world:
        miner = world.machines["miner-0"]
        miner.notebook.full = True
        _, task = await world.submit(make_rules(rounds=1))
        assert miner.workers is not None
        workers = miner.workers
        await world.until(lambda: workers.done[Train] > 0)
        await trio.sleep(5)
        assert claims(world, miner) == []
        assert task in world.machines["validator-0"].node.chain.state().chain().tasks


async def test_a_crash_between_training_and_claim_repeats_the_very_same_claim(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=1) as world:
        miner = world.machines["miner-0"]
        assert miner.workers is not None
        workers = miner.workers
        _, task = await world.submit(make_rules(rounds=1))

        world.hub.drop = lambda transit: (
            transit.sender == miner.node_id
            and transit.channel is not StreamProtocol.BLOBS
            and workers.done[Train] > 0
        )
        await world.until(lambda: bool(claims(world, miner)))
        before, trained = set(claims(world, miner)), workers.done[Train]
        draft = drafts(miner)[0]
        assert await ask_for(world, miner, draft.payload) == b""
        miner.kill()
        world.start(miner)
        assert await ask_for(world, miner, draft.payload) == b"", "served after a crash"
        world.hub.drop = lambda transit: False
        chain = world.machines["validator-0"].node.chain
        await world.until(lambda: chain.state().task(task).status is TaskStatus.FINISHED)
        assert set(claims(world, miner)) == before
        assert workers.done[Train] == trained


@dataclass(slots=True)
class Drifting(FakeWorkers):
    """A device that trains something else than the one before it."""

    def train(self, command: Train) -> Trained:
        """Return another trace than the honest one."""
        report = FakeWorkers.train(self, command)
        return replace(report, trace=Trace(report.trace.entries[::-1]))


async def restored_after_its_claims(world: World, device: FakeWorkers) -> tuple[Machine, TaskId]:
    """Put a miner back to before its claims, while they are under audit, with some device."""
    miner = world.machines["miner-0"]
    _, task = await world.submit(make_rules(rounds=1))
    chain = world.machines["validator-0"].node.chain

    def is_audited() -> bool:
        state = chain.state()
        if state.find_task(task) is None or Round(0) not in state.task(task).open_rounds:
            return False
        places = [(task, Round(0), shard) for shard in state.round(task, Round(0)).audits]
        return any(state.lease(*place).miner == miner.node_id for place in places)

    await world.until(is_audited)
    miner.kill()
    await miner.notebook.remove(miner.notebook.names(CONTRIBUTIONS))
    miner.workers = device
    world.start(miner)
    await world.until(
        lambda: task not in {*chain.state().chain().tasks, *chain.state().chain().unsettled},
        seconds=240,
    )
    return miner, task


def traces_of(world: World, miner: Machine) -> int:
    """Return how many statements that open a trace a miner handed to others."""
    handed = [
        decode_transaction(each.body).body.action
        for each in world.hub.transits
        if each.channel is StreamProtocol.SUBMIT and each.sender == miner.node_id
    ]
    assert not [each for each in handed if isinstance(each, Challenge)], "a stake for nothing"
    return sum(isinstance(each, RevealTrace) for each in handed)


async def test_a_miner_restored_from_before_its_claim_trains_again_and_opens_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, audit_rate=1_000_000) as world:
        miner, _ = await restored_after_its_claims(world, FakeWorkers())
        assert traces_of(world, miner) > 0
        record = world.machines["validator-0"].node.chain.state().miner(miner.keys.account)
        assert record is not None
        assert (record.missed, record.rejected, record.banned_until) == (0, 0, 0)
        assert record.accepted > 0


async def test_a_claim_that_training_again_does_not_give_is_neither_opened_nor_disputed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, audit_rate=1_000_000) as world:
        miner, _ = await restored_after_its_claims(world, Drifting())
        assert miner.said("is not what was trained here now")
        assert traces_of(world, miner) == 0
        assert isinstance(miner.workers, Drifting)
        assert miner.workers.done[Train] == len(drafts(miner)) or not drafts(miner), "once each"


async def test_a_payload_is_served_once_its_claim_stands(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=1) as world:
        miner = world.machines["miner-0"]
        _, task = await world.submit(make_rules(rounds=1))
        chain = world.machines["validator-0"].node.chain
        await world.until(lambda: chain.state().task(task).round == 1, seconds=60)
        for draft in drafts(miner):
            assert await ask_for(world, miner, draft.payload) != b""
        waits = [
            line
            for name in ("validator-0", "validator-1", "validator-2", "validator-3")
            for line in world.machines[name].said("payload waits")
        ]
        assert waits == [], "a payload was asked for in vain"


async def test_a_failing_device_is_tried_again_until_the_lease_is_done(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=0) as world:
        miner = world.add("miner-0", Role.MINER, workers=FakeWorkers(failures={Train: 1}))
        _, task = await world.submit(make_rules(rounds=1, shards=1, shards_per_round=1))
        chain = world.machines["validator-0"].node.chain
        await world.until(lambda: chain.state().task(task).status is TaskStatus.FINISHED)
        assert miner.said("waits: the device fell silent")
        record = chain.state().miner(miner.keys.account)
        assert record is not None
        assert (record.accepted, record.missed) == (1, 0)


async def test_a_lease_that_ran_out_is_given_up(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_world(tmp_path, miners=1) as world:
        miner = world.add("miner-slow", Role.MINER, workers=FakeWorkers(seconds=500))
        await world.submit(make_rules(rounds=1))
        mining = miner.node.mining
        assert mining is not None
        await world.until(lambda: mining.lines() != ())
        await world.until(lambda: mining.lines() == ())
        assert claims(world, miner) == []


async def test_an_idle_miner_does_the_leases_of_one_that_hangs(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=2) as world:
        slow = world.add("miner-slow", Role.MINER, workers=FakeWorkers(seconds=500))
        chain = world.machines["validator-0"].node.chain
        await world.until(lambda: len(chain.state().chain().miners) == 3)
        # What is said waits until two more primaries have revealed.
        await world.height(chain.head.height + 6, "validator-0")
        rules = make_rules(rounds=1, shards=3)
        _, task = await world.submit(rules)
        leased: set[NodeId] = set()

        def finished() -> bool:
            state = chain.state()
            if Round(0) in state.task(task).open_rounds:
                leased.update(row.miner for row in state.round(task, Round(0)).leases)
            return state.task(task).status is TaskStatus.FINISHED

        await world.until(finished, seconds=120)
        assert slow.node_id in leased
        assert chain.state().task(task).passes == (1, 1, 1)
        record = chain.state().miner(slow.keys.account)
        assert record is not None
        assert (record.accepted, record.missed) == (0, 1)
        assert claims(world, slow) == []


async def test_miners_without_a_bond_work_are_audited_and_bond_their_pay(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(
        tmp_path, change=lambda genesis: replace(genesis, sponsor=None), audit_rate=1
    ) as world:
        _, task = await world.submit(make_rules(rounds=2))
        chain = world.machines["validator-0"].node.chain
        rigs = [world.machines[name] for name in ("miner-0", "miner-1")]
        await world.until(lambda: chain.state().task(task).escrow == 0, seconds=600)
        assert chain.state().task(task).status is TaskStatus.FINISHED
        for rig in rigs:
            record = chain.state().miner(rig.keys.account)
            assert record is not None
            assert record.earned > 0
            enough = min(record.earned, world.genesis.money.miner_bond)
            assert chain.state().account(rig.keys.account).bond == enough
        devices = [machine.workers for machine in world.machines.values()]
        replays = sum(int(each.done[Replay]) for each in devices if each is not None)
        assert replays >= 2 * 3, "every contribution of the first round, by two auditors at least"
