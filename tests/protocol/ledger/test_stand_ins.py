"""Half time: who is idle may compute what nobody has claimed; the first attested claim counts."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from potp2p.foundation.errors import RejectionReason
from potp2p.foundation.types import POT, Amount, Height, NodeId, Round, ShardIndex, TaskId
from potp2p.protocol.crypto.identity import KeyPair
from potp2p.protocol.ledger.context import BlockContext
from potp2p.protocol.ledger.contributions import bitmap_of
from potp2p.protocol.ledger.convictions import punish_auditor
from potp2p.protocol.ledger.duties import miner_duties
from potp2p.protocol.ledger.receipt_records import ReceiptKind
from potp2p.protocol.ledger.records import LeaseStatus, RoundPhase, RoundRecord, StandIn
from potp2p.protocol.ledger.stand_ins import held_by
from potp2p.protocol.wire.blocks import RANK_NONE
from potp2p.protocol.wire.transactions import Attest, Contribute, Free
from potp2p.protocol.wire.verification import Distances
from tests.doubles.ledger_world import FORGED, HONEST, RULES, LedgerWorld, build_world, with_audits

DEADLINE = 16
SLOW = replace(RULES, rounds=replace(RULES.rounds, rounds=2, deadline=DEADLINE))


def is_claim(action: Free) -> bool:
    return isinstance(action, Contribute)


def half_time(
    late: Callable[[LedgerWorld], NodeId] = lambda world: world.miners[0].node_id,
) -> tuple[LedgerWorld, TaskId]:
    """Return a network at half time of round 0, in which one miner has claimed nothing."""
    world = build_world(change=with_audits(1))
    world.run(6)
    slow = late(world)
    world.silent = lambda node, action: node == slow and is_claim(action)
    task = world.submit(SLOW)
    world.run_until(lambda: 0 in world.task(task).open_rounds)
    started = record_of(world, task).started
    world.run(started + DEADLINE // 2 - 1 - world.height)
    assert record_of(world, task).stand_ins == ()
    world.silent = lambda _node, action: is_claim(action)
    world.run(1)
    return world, task


def record_of(world: LedgerWorld, task: TaskId) -> RoundRecord:
    return world.state.round(task, Round(0))


def stand_ins(world: LedgerWorld, task: TaskId) -> tuple[StandIn, ...]:
    return record_of(world, task).stand_ins


def claim(world: LedgerWorld, keys: KeyPair, shard: ShardIndex) -> bytes:
    duties = miner_duties(world.state, keys.node_id).leases
    duty = next(each for each in duties if each.shard == shard)
    return world.free(keys, world.contribution(keys, duty))


def keys_of(world: LedgerWorld, node: NodeId) -> KeyPair:
    return world.keys[node]


def test_shards_without_a_claim_go_to_who_has_nothing_left_to_claim() -> None:
    world, task = half_time()
    late = world.miners[0].node_id
    open_shards = {row.shard for row in record_of(world, task).leases if row.miner == late}
    called = stand_ins(world, task)
    assert {each.shard for each in called} <= open_shards
    assert {each.miner for each in called} == {each.node_id for each in world.miners[1:]}
    for each in called:
        assert [duty.shard for duty in miner_duties(world.state, each.miner).leases] == [each.shard]


@pytest.mark.parametrize("mute", [False, True], ids=["all claimed", "nobody idle"])
def test_nobody_stands_in_where_all_have_claimed_or_nobody_is_idle(mute: bool) -> None:
    world = build_world()
    world.run(6)
    world.silent = lambda _node, action: mute and is_claim(action)
    task = world.submit(SLOW)
    world.run_until(lambda: 0 in world.task(task).open_rounds)
    while record_of(world, task).fixed == 0:
        assert stand_ins(world, task) == ()
        world.run(1)
    assert {row.miner for row in record_of(world, task).leases} == {
        each.node_id for each in world.miners
    }


def test_claim_that_comes_first_and_is_attested_is_the_rounds() -> None:
    world, task = half_time()
    first = stand_ins(world, task)[0]
    owner = world.miners[0]
    world.block(claim(world, keys_of(world, first.miner), first.shard))
    own = [duty.shard for duty in miner_duties(world.state, owner.node_id).leases]
    world.block(*(claim(world, owner, shard) for shard in own))
    world.silent = lambda _node, _action: False
    world.run_until(lambda: record_of(world, task).fixed > 0)
    lease = world.state.lease(task, Round(0), first.shard)
    assert (lease.miner, lease.status) == (first.miner, LeaseStatus.ACCEPTED)
    table = {row.shard: row.miner for row in record_of(world, task).leases}
    assert table[first.shard] == first.miner
    rest = [shard for shard in own if shard != first.shard]
    assert all(table[shard] == owner.node_id for shard in rest)
    assert world.miner(owner).missed == 0, "its claim stood, if too late to be paid"
    assert world.miner(owner).live
    assert len(record_of(world, task).leases) == 6
    world.run_until(lambda: world.task(task).escrow == 0)
    paid = {each.shard: each.miner for each in world.receipts if each.round == 0}
    assert paid[first.shard] == first.miner
    told = {each.shard: each.beaten for each in world.receipts if each.round == 0}
    beaten = told.pop(first.shard)
    assert beaten is not None
    assert (beaten.miner, beaten.stood_in) == (owner.node_id, False)
    assert lease.claim is not None
    assert beaten.claimed == lease.claim.height + 1
    assert set(told.values()) == {None}, "who stood in and never claimed was not beaten"
    assert {each.kind for each in world.receipts} == {ReceiptKind.PAID}
    assert all(world.miner(each).rounds_open == 0 for each in world.miners)


def test_later_claim_is_the_rounds_where_the_first_is_not_attested() -> None:
    world, task = half_time()
    first, owner = stand_ins(world, task)[0], world.miners[0]
    world.block(claim(world, keys_of(world, first.miner), first.shard))
    own = [duty.shard for duty in miner_duties(world.state, owner.node_id).leases]
    world.block(*(claim(world, owner, shard) for shard in own))
    world.silent = lambda _node, action: isinstance(action, Attest)
    world.run_until(lambda: record_of(world, task).phase is RoundPhase.ATTESTING)
    marks = bytes([0b0011_1111])
    for seat in world.validators[:2]:
        world.block(world.free(seat, Attest(task, Round(0), marks)))
    world.silent = lambda _node, action: isinstance(action, Attest)
    world.run_until(lambda: record_of(world, task).fixed > 0)
    lease = world.state.lease(task, Round(0), first.shard)
    assert lease.miner == owner.node_id
    assert lease.beaten is not None
    assert (lease.beaten.miner, lease.beaten.stood_in) == (first.miner, True)
    stood_in = keys_of(world, first.miner)
    assert world.miner(stood_in).missed == 0
    assert world.miner(stood_in).live


@pytest.mark.parametrize("holder_serves", [True, False])
def test_of_two_claims_for_a_shard_the_one_that_is_not_attested_is_fined(
    holder_serves: bool,
) -> None:
    world, task = half_time()
    first, owner = stand_ins(world, task)[0], world.miners[0]
    other = keys_of(world, first.miner)
    world.block(claim(world, other, first.shard))
    own = [duty.shard for duty in miner_duties(world.state, owner.node_id).leases]
    world.block(*(claim(world, owner, shard) for shard in own))
    world.silent = lambda _node, action: isinstance(action, Attest)
    world.run_until(lambda: record_of(world, task).phase is RoundPhase.ATTESTING)
    record = record_of(world, task)
    rows = [(row.shard, row.miner) for row in record.leases]
    rows += [(each.shard, each.miner) for each in record.stand_ins]
    hidden = (first.shard, other.node_id if holder_serves else owner.node_id)
    marks = tuple(
        place for place, row in enumerate(rows) if row != hidden and has_claim(world, task, place)
    )
    before = {each.node_id: world.account(each).bond for each in (owner, other)}
    world.block(
        *(world.free(s, Attest(task, Round(0), bitmap_of(marks))) for s in world.validators)
    )
    world.run_until(lambda: record_of(world, task).fixed > 0)
    lease = world.state.lease(task, Round(0), first.shard)
    fined, kept = (other, owner) if holder_serves else (owner, other)
    assert [each.miner for each in lease.fines] == [fined.node_id]
    assert lease.miner == kept.node_id
    assert world.account(fined).bond == before[fined.node_id] - lease.fines[0].amount
    assert world.account(kept).bond == before[kept.node_id]
    assert world.miner(owner).missed == (0 if holder_serves else 1)
    world.silent = lambda _node, _action: False
    world.run_until(lambda: world.task(task).escrow == 0)
    receipt = next(each for each in world.receipts if (each.round, each.shard) == (0, first.shard))
    assert (receipt.kind, receipt.fined) == (ReceiptKind.PAID, None)
    assert receipt.claimants == {owner.node_id, other.node_id}


def has_claim(world: LedgerWorld, task: TaskId, place: int) -> bool:
    record = record_of(world, task)
    if place >= len(record.leases):
        return record.stand_ins[place - len(record.leases)].claim is not None
    return world.state.lease(task, Round(0), record.leases[place].shard).claim is not None


def test_miner_that_is_gone_misses_and_its_shards_are_done_all_the_same() -> None:
    world, task = half_time()
    owner = world.miners[0].node_id
    missed = sum(row.miner == owner for row in record_of(world, task).leases)
    world.silent = lambda node, action: node == owner and is_claim(action)
    world.run_until(lambda: record_of(world, task).phase is not RoundPhase.CLAIMS)
    started = record_of(world, task).started
    assert world.height == started + DEADLINE * 3 // 4, "it had three quarters of the deadline"
    world.run_until(lambda: record_of(world, task).fixed > 0)
    assert not world.miner(world.miners[0]).live
    assert world.miner(world.miners[0]).missed == missed
    assert world.task(task).passes == (1,) * 6
    assert world.miner(world.miners[0]).rounds_open == 0


def test_shard_whose_stand_in_was_faster_counts_once_when_its_holder_is_banned() -> None:
    world, task = half_time()
    owner, first = world.miners[0].node_id, stand_ins(world, task)[0]
    world.block(claim(world, keys_of(world, first.miner), first.shard))
    rows = record_of(world, task).leases
    assert record_of(world, task).claims == sum(row.miner != owner for row in rows) + 1
    state = world.state
    author = world.validators[0].node_id
    context = BlockContext(
        world.chain_id, world.genesis, Height(world.height), author, RANK_NONE, None
    )
    punish_auditor(state, context, owner)
    # One more would end the claims of honest miners that are still at work.
    assert state.round(task, Round(0)).claims == len(rows)


def test_who_stands_in_and_does_not_claim_has_missed_nothing() -> None:
    world, task = half_time()
    called = {each.miner for each in stand_ins(world, task)}
    world.silent = lambda _node, action: is_claim(action)
    world.run_until(lambda: record_of(world, task).fixed > 0)
    for node in called:
        miner = world.miner(keys_of(world, node))
        assert (miner.live, miner.missed) == (True, 0)
    assert world.task(task).passes.count(0) > 0


def test_only_who_was_called_may_claim_anothers_shard_and_once() -> None:
    world, task = half_time()
    first = stand_ins(world, task)[0]
    called = keys_of(world, first.miner)
    said = claim(world, called, first.shard)
    other = next(each for each in world.miners[1:] if each.node_id != first.miner)
    duty = next(
        each for each in miner_duties(world.state, first.miner).leases if each.shard == first.shard
    )
    stolen = world.free(other, world.contribution(other, duty))
    assert world.refusal(stolen) is RejectionReason.WRONG_SENDER
    world.block(said)
    assert world.refusal(said) is RejectionReason.DUPLICATE
    held = held_by(world.state, first.miner, (task, Round(0), first.shard))
    assert held is not None
    assert held.claim is not None
    assert held_by(world.state, other.node_id, (task, Round(0), first.shard)) is None


@pytest.mark.parametrize("finding", [HONEST, FORGED])
def test_audit_of_a_claim_that_stood_in_is_of_who_made_it(finding: Distances) -> None:
    world = build_world(change=with_audits(1_000_000))
    world.run(6)
    owner = world.miners[0].node_id
    world.silent = lambda node, action: node == owner and is_claim(action)
    world.measure = lambda _auditor, lease: finding if lease.miner == cheat[0] else HONEST
    cheat = [b""]
    task = world.submit(replace(SLOW, rounds=replace(SLOW.rounds, rounds=1)), Amount(6 * POT))
    world.run_until(lambda: 0 in world.task(task).open_rounds)
    world.run_until(lambda: bool(stand_ins(world, task)))
    first = stand_ins(world, task)[0]
    cheat[0] = first.miner
    before = world.account(world.miners[0]).bond
    world.run_until(lambda: world.task(task).escrow == 0)
    kinds = {each.kind for each in world.receipts if each.shard == first.shard}
    assert kinds == {ReceiptKind.PAID if finding is HONEST else ReceiptKind.REJECTED}
    assert world.account(world.miners[0]).bond == before
    convicted = world.miner(keys_of(world, first.miner)).banned_until > 0
    assert convicted is (finding is FORGED)
