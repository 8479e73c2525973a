"""Why a contribution was paid, not paid or slashed: told from proofs, while open and after."""

from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from potp2p.client.contributions import (
    Explained,
    Place,
    explained,
    explained_of_miner,
    leases_of,
    place_of,
    read_place,
)
from potp2p.client.task_names import read_digits, task_of
from potp2p.foundation.errors import ConfigurationError, MissingError
from potp2p.foundation.types import Digest, Height, Round, ShardIndex, TaskId
from potp2p.observability.outcomes import outcome_of, steps_of
from potp2p.protocol.ledger.receipt_records import ReceiptKind
from potp2p.protocol.verification.verdict import Verdict
from potp2p.protocol.wire.exchange import (
    MinerReceiptsReply,
    MinerReceiptsRequest,
    ReceiptPlace,
    Role,
)
from potp2p.services.receipts import ReceiptDesk
from tests.doubles.workers import Garbler, right_header
from tests.doubles.world import World, key_of, make_rules, open_world

FIRST = Round(0)


async def found_in(world: World, task: TaskId, until: Callable[[Explained], bool]) -> Explained:
    """Return the first contribution of round 0 for which something holds, as soon as it does."""
    client = world.client("observer")
    for _ in range(4_000):
        for shard in range(4):
            try:
                found = await explained(client, Place(task, FIRST, ShardIndex(shard)))
            except MissingError:
                continue
            if until(found):
                return found
        await trio.sleep(0.1)
    raise AssertionError("it never came to that")


async def settle(world: World, task: TaskId) -> None:
    chain = world.machines["validator-0"].node.chain
    await world.until(lambda: chain.state().task(task).escrow == 0)


async def test_an_open_contribution_says_what_it_waits_for_and_a_settled_one_what_it_got(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, audit_rate=1_000_000) as world:
        _, task = await world.submit(make_rules(rounds=2))
        early = await found_in(world, task, lambda found: not found.is_settled)
        assert outcome_of(early.receipt).code == "open"
        audited = await found_in(world, task, lambda found: found.receipt.audit is not None)
        assert not audited.is_settled
        assert audited.receipt.probability == 1_000_000
        await settle(world, task)
        paid = await explained(world.client("observer"), audited.place)
        assert paid.is_settled
        assert paid.receipt.kind is ReceiptKind.PAID
        outcome = outcome_of(paid.receipt)
        assert outcome.code == "paid"
        assert f"at height {paid.receipt.height}" in outcome.text
        heights = [step.height for step in steps_of(paid.receipt) if step.height is not None]
        assert heights == sorted(heights), "told in the order in which it happened"
        audit = paid.receipt.audit
        assert audit is not None
        assert audit.final is Verdict.PASS
        assert audit.opened
        assert {line.verdict for line in audit.auditors} == {Verdict.PASS}
        assert all(line.paid > 0 for line in audit.auditors)


async def test_a_cheat_is_told_what_was_found_what_it_cost_and_who_found_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=1, audit_rate=1_000_000) as world:
        world.add("garbler", Role.MINER, workers=Garbler(content=right_header))
        _, task = await world.submit(make_rules(rounds=2))
        cheat = key_of("garbler").node_id
        rejected = await found_in(
            world,
            task,
            lambda found: (
                found.receipt.miner == cheat and outcome_of(found.receipt).code == "slashed"
            ),
        )
        receipt = rejected.receipt
        assert receipt.audit is not None
        penalty = receipt.audit.penalty
        assert penalty is not None
        assert penalty.taken > 0
        assert penalty.burned * 2 >= penalty.taken
        replayed = (*receipt.audit.auditors, *receipt.audit.judges)
        provers = {line.auditor for line in replayed if line.verdict is Verdict.FAIL}
        assert set(penalty.rewarded) == provers
        text = outcome_of(receipt).text
        assert "slashed" in text
        assert "distance over all parameters 90 %" in text
        told = [step.text for step in steps_of(receipt)]
        assert any("burned" in line for line in told)


async def test_a_miner_finds_its_open_and_settled_contributions(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path) as world:
        client, task = await world.submit(make_rules(rounds=3))
        chain = world.machines["validator-0"].node.chain
        await world.until(lambda: chain.state().task(task).round == 2)
        open_ones = [
            each
            for name in ("miner-0", "miner-1")
            for each in await explained_of_miner(client, key_of(name).account, 100)
            if not each.is_settled
        ]
        assert open_ones
        await settle(world, task)
        for name in ("miner-0", "miner-1"):
            mine = await explained_of_miner(client, key_of(name).account, 100)
            assert all(each.is_settled for each in mine)
            assert {each.receipt.miner for each in mine} == {key_of(name).node_id}
        assert await explained_of_miner(client, key_of("stranger").account, 100) == ()


async def test_a_listing_that_names_what_is_not_or_anothers_lease_changes_nothing(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_world(tmp_path) as world:
        client, task = await world.submit(make_rules(rounds=1))
        await settle(world, task)
        accounts = [key_of(name).account for name in ("miner-0", "miner-1")]
        honest = [await explained_of_miner(client, account, 100) for account in accounts]
        assert all(honest)
        leases = [each.place for found in honest for each in found]
        listed = [(each.task, each.round, each.shard) for each in leases]
        listed.insert(0, (task, Round(900), ShardIndex(0)))

        async def lie(_desk: ReceiptDesk, _request: MinerReceiptsRequest) -> MinerReceiptsReply:
            await trio.lowlevel.checkpoint()
            places = tuple(ReceiptPlace(Height(1), *place) for place in listed)
            return MinerReceiptsReply(places, Height(0))

        monkeypatch.setattr(ReceiptDesk, "receipts_of", lie)
        for account, found in zip(accounts, honest, strict=True):
            told = await explained_of_miner(client, account, 100)
            assert {each.place for each in told} == {each.place for each in found}


async def test_all_leases_of_a_round_are_found_before_and_after_its_settlement(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path) as world:
        client, task_id = await world.submit(make_rules(rounds=2))
        chain = world.machines["validator-0"].node.chain
        await world.until(lambda: FIRST in chain.state().task(task_id).open_rounds)
        before = await leases_of(client, task_id, await client.task(task_id), FIRST)
        await settle(world, task_id)
        after = await leases_of(client, task_id, await client.task(task_id), FIRST)
        assert [each.place for each in before] == [each.place for each in after]
        assert len(after) == make_rules().rounds.shards_per_round
        one = await leases_of(client, task_id, await client.task(task_id), FIRST, least=1)
        assert one == after[:1]


async def test_a_contribution_is_named_by_enough_digits_and_no_others(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=0) as world:
        client, task = await world.submit(make_rules())
        digits = task.hex()
        for name in (digits[:1], digits[:7].upper(), digits):
            assert await task_of(client, read_digits(name)) == task
        assert await place_of(client, read_place(f"{digits[:4]}:1:2")) == Place(
            task, Round(1), ShardIndex(2)
        )
        for name in ("", "xyz", "ab:1", "ab:1:2:3", "ab:-1:2", "ab:1:x", "ab::1", f"{digits}0:1:1"):
            with pytest.raises(ConfigurationError):
                read_place(name)
        with pytest.raises(MissingError, match="that many rounds"):
            read_place(f"{digits}:{10**20}:1")
        for place in (
            Place(task, Round(3), ShardIndex(0)),
            Place(task, FIRST, ShardIndex(9_999)),
            Place(TaskId(Digest(b"\x05" * 32)), FIRST, ShardIndex(0)),
        ):
            with pytest.raises(MissingError):
                await explained(client, place)
        assert not world.hub.penalties
