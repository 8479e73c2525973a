"""Anyone can compute again what others claim, judge it as the chain does, and dispute it."""

from dataclasses import replace
from pathlib import Path

import pytest
from trio.testing import MockClock

from potp2p.client.challenges import disputable, raise_challenge, stake_of
from potp2p.client.contributions import Explained, Place, explained, leases_of
from potp2p.client.replay import judge
from potp2p.client.round_check import check_round
from potp2p.client.session import Client
from potp2p.foundation.errors import FundsError, MissingError, OperatingError
from potp2p.foundation.types import POT, Amount, BlobId, Digest, Height, Round, ShardIndex, TaskId
from potp2p.protocol.ledger.receipt_records import ReceiptKind
from potp2p.protocol.ledger.records import LeaseStatus
from potp2p.protocol.verification.verdict import MeasureKind, Verdict
from potp2p.protocol.wire.exchange import Role
from tests.doubles.workers import FakeWorkers, Garbler, right_header
from tests.doubles.world import FEE, World, make_rules, open_world

FIRST = Round(0)


async def claimed(world: World, client: Client, task: TaskId, *, until: LeaseStatus) -> Explained:
    """Return a lease of round 0 once it has a status."""
    state = world.machines["validator-0"].node.chain.state

    def reached() -> int | None:
        record = state().find_task(task)
        if record is None or FIRST not in record.open_rounds:
            return None
        for row in state().round(task, FIRST).leases:
            if state().lease(task, FIRST, row.shard).status is until:
                return row.shard
        return None

    await world.until(lambda: reached() is not None)
    shard = reached()
    assert shard is not None
    return await explained(client, Place(task, FIRST, ShardIndex(shard)))


async def test_an_honest_contribution_passes_while_open_and_after_its_settlement(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path) as world:
        client, task_id = await world.submit(make_rules(rounds=1))
        found = await claimed(world, client, task_id, until=LeaseStatus.ACCEPTED)
        task = await client.task(task_id)
        judgement = await judge(client, FakeWorkers(), found, task)
        assert judgement.verdict is Verdict.PASS
        assert not judgement.trace_compared, "it is secret until it is audited"
        kinds = {each.kind for each in judgement.measures}
        assert MeasureKind.OVERALL in kinds
        assert MeasureKind.TRACE_LOSS not in kinds
        state = world.machines["validator-0"].node.chain.state
        await world.until(lambda: state().task(task_id).escrow == 0)
        settled = await explained(client, found.place)
        assert settled.is_settled
        assert (await judge(client, FakeWorkers(), settled, task)).verdict is Verdict.PASS


async def test_what_was_never_computed_fails_and_the_number_that_says_so_is_named(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=0, audit_rate=20_000) as world:
        world.add("garbler", Role.MINER, workers=Garbler(content=right_header))
        client, task_id = await world.submit(make_rules(rounds=1))
        found = await claimed(world, client, task_id, until=LeaseStatus.ACCEPTED)
        judgement = await judge(client, FakeWorkers(), found, await client.task(task_id))
        assert judgement.verdict is Verdict.FAIL
        assert judgement.decides.kind is MeasureKind.OVERALL
        assert judgement.decides.measured > 3 * judgement.decides.tolerance


async def test_a_payload_that_nobody_serves_is_said_to_be_gone(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path) as world:
        client, task_id = await world.submit(make_rules(rounds=1))
        found = await claimed(world, client, task_id, until=LeaseStatus.ACCEPTED)
        assert found.receipt.claim is not None
        claim = replace(found.receipt.claim, payload=BlobId(Digest(b"\x04" * 32)))
        task = await client.task(task_id)
        cases = ((Height(0), "no connected peer serves"), (Height(77), "settled at height 77"))
        for height, text in cases:
            receipt = replace(found.receipt, claim=claim, height=height)
            with pytest.raises(MissingError, match=text):
                await judge(client, FakeWorkers(), replace(found, receipt=receipt), task)
        nothing = replace(found, receipt=replace(found.receipt, claim=None))
        with pytest.raises(MissingError, match="nothing to replay"):
            await judge(client, FakeWorkers(), nothing, task)


async def test_a_checkpoint_is_computed_again_and_another_one_is_noticed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path) as world:
        client, task_id = await world.submit(make_rules(rounds=3))
        state = world.machines["validator-0"].node.chain.state
        with pytest.raises(MissingError, match="has no result yet"):
            await check_round(
                client, FakeWorkers(), task_id, await client.task(task_id), FIRST, tmp_path
            )
        await world.until(lambda: state().task(task_id).escrow == 0)
        task = await client.task(task_id)
        for number in range(3):
            check = await check_round(client, FakeWorkers(), task_id, task, Round(number), tmp_path)
            assert check.is_equal
            assert check.agreed == check.computed
            assert check.payloads == len(await leases_of(client, task_id, task, Round(number)))
        forged = replace(task, theta=BlobId(Digest(b"\x04" * 32)))
        check = await check_round(client, FakeWorkers(), task_id, forged, Round(2), tmp_path)
        assert not check.is_equal


async def test_a_cheat_that_was_not_drawn_is_convicted_by_a_challenge(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=0, audit_rate=20_000) as world:
        world.add("garbler", Role.MINER, workers=Garbler(content=right_header))
        # The cheaper its leases, the more surely none of them is drawn.
        client, task_id = await world.submit(make_rules(rounds=1), Amount(POT // 10))
        task = await client.task(task_id)
        early = await claimed(world, client, task_id, until=LeaseStatus.ACCEPTED)
        with pytest.raises(OperatingError, match="audits are not drawn"):
            disputable(early)
        found = await claimed(world, client, task_id, until=LeaseStatus.PASSED)
        assert disputable(found) is Verdict.PASS
        stake = stake_of(client, found, task)
        assert stake > 0
        with pytest.raises(FundsError, match="free bond"):
            await raise_challenge(client, found, stake, expects_fail=True)
        await client.bond(client.keys.account, stake, FEE)
        await raise_challenge(client, found, stake, expects_fail=True)
        challenged = await explained(client, found.place)
        with pytest.raises(OperatingError, match="all validators replay already"):
            disputable(challenged)
        state = world.machines["validator-0"].node.chain.state
        await world.until(lambda: state().task(task_id).escrow == 0)
        over = await explained(client, found.place)
        assert over.receipt.kind is ReceiptKind.REJECTED
        audit = over.receipt.audit
        assert audit is not None
        assert audit.challenge is not None
        assert not audit.challenge.lost
        assert audit.penalty is not None
        assert client.keys.node_id in audit.penalty.rewarded
        account = await client.account(client.keys.account)
        assert (account.bond, account.locked) == (stake, 0)
        with pytest.raises(OperatingError, match="settled"):
            disputable(over)
        world.assert_money_conserved()
