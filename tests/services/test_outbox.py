"""Statements leave in bounded batches, are said again until they stand, and none gets lost."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.limits import GOSSIP_BYTES_MAX, SAY_AGAIN_BLOCKS, SUBMIT_SECONDS
from potp2p.foundation.types import Cycle, Height, Signature
from potp2p.network.ports import StreamProtocol, Topic
from potp2p.protocol.ledger.transition import sign_transaction
from potp2p.protocol.wire.exchange import Role, TransactionBatch
from potp2p.protocol.wire.schema import decode, encode
from potp2p.protocol.wire.submission import Submission, SubmissionReceipt
from potp2p.protocol.wire.transactions import Ready, Transaction
from potp2p.services import mempool
from potp2p.services.admission import Room, Standing
from potp2p.services.outbox import BATCH_TRANSACTIONS_MAX, _batches
from tests.doubles.network import Transit
from tests.doubles.world import Machine, World, key_of, open_world


@pytest.fixture
async def still(tmp_path: Path, autojump_clock: MockClock) -> AsyncIterator[World]:
    """Four validators and a miner that were built and never ran."""
    async with open_world(tmp_path, miners=1) as world:
        world.freeze()
        yield world


def batches_of(world: World, sender: Machine) -> list[tuple[bytes, ...]]:
    """Return every batch a machine gossiped to the first other one, in order."""
    receiver = next(each for each in world.machines.values() if each is not sender)
    return [
        decode(TransactionBatch, each.body, bytes_max=GOSSIP_BYTES_MAX).transactions
        for each in world.hub.transits
        if each.channel is Topic.TRANSACTIONS
        and (each.sender, each.receiver) == (sender.node_id, receiver.node_id)
    ]


def handed(world: World, sender: Machine) -> list[Transit]:
    """Return what a machine handed to validators."""
    return [
        each
        for each in world.hub.transits
        if each.channel is StreamProtocol.SUBMIT and each.sender == sender.node_id
    ]


def ready(machine: Machine, cycle: int) -> bytes:
    """Return a statement as its machine signs it."""
    return sign_transaction(machine.keys, machine.node.chain.chain_id, Ready(Cycle(cycle)))


def test_batches_keep_order_and_fit_a_gossip_message() -> None:
    waiting = [bytes([index % 256]) * (1 + 997 * index % 15_000) for index in range(60)]
    batches = _batches(waiting)
    assert [each for batch in batches for each in batch] == waiting
    assert max(len(encode(TransactionBatch(batch))) for batch in batches) <= GOSSIP_BYTES_MAX
    assert len(batches) > 1
    assert _batches([]) == []


async def test_a_statement_is_said_once_and_again_after_some_blocks(
    still: World, autojump_clock: MockClock
) -> None:
    machine = still.machines["validator-0"]
    outbox, chain = machine.node.outbox, machine.node.chain
    still.nursery.start_soon(outbox.run)
    for height in range(2 * SAY_AGAIN_BLOCKS):
        chain.head = replace(chain.head, height=Height(height))
        outbox.say(Ready(Cycle(1)))
        await trio.sleep(1)
    assert batches_of(still, machine) == [(ready(machine, 1),)] * 2


async def test_statements_of_one_interval_leave_together(
    still: World, autojump_clock: MockClock
) -> None:
    machine = still.machines["validator-0"]
    still.nursery.start_soon(machine.node.outbox.run)
    await trio.testing.wait_all_tasks_blocked()
    for cycle in range(5):
        machine.node.outbox.say(Ready(Cycle(cycle)))
    await trio.sleep(2)
    assert batches_of(still, machine) == [tuple(ready(machine, cycle) for cycle in range(5))]


async def test_what_is_said_while_a_batch_leaves_goes_with_the_next(
    still: World, autojump_clock: MockClock
) -> None:
    machine = still.machines["validator-0"]
    outbox = machine.node.outbox
    publish = machine.network.publish
    late = [Ready(Cycle(2))]

    class Slow:
        """Takes a while to publish; meanwhile somebody speaks."""

        async def publish(self, topic: Topic, message: bytes) -> None:
            while late:
                outbox.say(late.pop())
            await trio.sleep(1)
            await publish(topic, message)

        subscribe = machine.network.subscribe

    outbox.gossip = Slow()
    still.nursery.start_soon(outbox.run)
    outbox.say(Ready(Cycle(1)))
    await trio.sleep(5)
    assert batches_of(still, machine) == [(ready(machine, 1),), (ready(machine, 2),)]


async def test_a_node_without_seat_hands_its_statements_to_two_validators(
    still: World, autojump_clock: MockClock
) -> None:
    miner = still.machines["miner-0"]
    give_standing(still)
    still.nursery.start_soon(miner.node.outbox.run)
    miner.node.outbox.say(Ready(Cycle(1)))
    await trio.sleep(1)
    receivers = {each.receiver for each in handed(still, miner)}
    assert len(receivers) == 2
    assert receivers <= set(miner.node.chain.prospects.nodes)
    assert batches_of(still, miner) == []
    takers = [each for each in still.machines.values() if each.node_id in receivers]
    assert all(len(each.node.chain.mempool) == 1 for each in takers)


async def test_a_silent_validator_holds_up_no_other_statement(
    still: World, autojump_clock: MockClock
) -> None:
    miner = still.machines["miner-0"]
    give_standing(still)
    miner.node.outbox.say(Ready(Cycle(0)))
    still.nursery.start_soon(miner.node.outbox.run)
    await trio.sleep(1)
    silent = handed(still, miner)[0].receiver
    still.hub.drop = lambda transit: transit.receiver == silent
    start = trio.current_time()
    for cycle in range(1, 6):
        miner.node.outbox.say(Ready(Cycle(cycle)))
    awake = next(
        each
        for each in still.machines.values()
        if each.node_id != silent and each.node_id in {one.receiver for one in handed(still, miner)}
    )
    await still.until(lambda: len(awake.node.chain.mempool) == 6)
    assert trio.current_time() - start < SUBMIT_SECONDS


async def test_a_statement_that_no_validator_takes_is_gossiped(
    still: World, autojump_clock: MockClock
) -> None:
    miner = still.machines["miner-0"]
    give_standing(still)
    still.hub.drop = lambda transit: transit.channel is StreamProtocol.SUBMIT
    still.nursery.start_soon(miner.node.outbox.run)
    miner.node.outbox.say(Ready(Cycle(1)))
    await trio.sleep(2 * SUBMIT_SECONDS)
    assert batches_of(still, miner) == [(ready(miner, 1),)]


async def test_a_bad_batch_is_refused_before_it_is_forwarded(
    still: World, autojump_clock: MockClock
) -> None:
    machine, bearer = still.machines["validator-0"], still.machines["validator-1"]
    outbox = machine.node.outbox
    good = ready(bearer, 1)
    for batch in ((good, good[:-1] + b"\x00"), (b"rubbish",)):
        with pytest.raises(PeerError):
            outbox.validate(encode(TransactionBatch(batch)))
    with pytest.raises(PeerError) as refused:
        outbox.validate(b"\x9f")
    assert refused.value.reason is RejectionReason.MALFORMED
    assert machine.node.chain.mempool.candidates() == (good,)


async def test_a_batch_of_forgeries_is_a_grave_fault_even_in_a_strangers_name(
    still: World, autojump_clock: MockClock
) -> None:
    machine = still.machines["validator-0"]
    stranger = sign_transaction(key_of("stranger"), machine.node.chain.chain_id, Ready(Cycle(1)))
    forged = encode(replace(decode(Transaction, stranger), signature=Signature(bytes(64))))
    with pytest.raises(PeerError) as refused:
        machine.node.outbox.validate(encode(TransactionBatch((forged,) * 200)))
    assert refused.value.reason is RejectionReason.BAD_SIGNATURE


async def test_strangers_alone_are_not_forwarded_and_cost_their_bearer_little(
    still: World, autojump_clock: MockClock
) -> None:
    machine, bearer = still.machines["validator-0"], still.machines["validator-1"]
    outbox = machine.node.outbox
    stranger = sign_transaction(key_of("stranger"), machine.node.chain.chain_id, Ready(Cycle(1)))
    for batch in ((stranger,), ()):
        with pytest.raises(PeerError) as refused:
            outbox.validate(encode(TransactionBatch(batch)))
        assert refused.value.reason is RejectionReason.USELESS
    outbox.validate(encode(TransactionBatch((stranger, ready(bearer, 1)))))
    outbox.validate(encode(TransactionBatch((ready(bearer, 1),))))
    assert machine.node.chain.mempool.candidates() == (ready(bearer, 1),)


async def test_what_a_node_says_leaves_though_strangers_and_payers_filled_its_pool(
    still: World, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for room in (Room.MEMBERS, Room.STRANGERS, Room.PAID):
        monkeypatch.setitem(mempool.BOUNDS, room, mempool.Bounds(0, 0))
    machine = still.machines["validator-0"]
    still.nursery.start_soon(machine.node.outbox.run)
    machine.node.outbox.say(Ready(Cycle(1)))
    await trio.sleep(1)
    assert batches_of(still, machine) == [(ready(machine, 1),)]


async def test_a_peer_is_told_why_its_transaction_is_refused(
    still: World, autojump_clock: MockClock
) -> None:
    machine, peer = still.machines["validator-0"], still.machines["validator-1"]
    outbox = machine.node.outbox
    assert await outbox.answer(peer.node_id, ready(peer, 1)) == b""
    assert await outbox.answer(peer.node_id, ready(peer, 1)) == b""
    with pytest.raises(PeerError) as refused:
        await outbox.answer(peer.node_id, b"rubbish")
    assert refused.value.reason is RejectionReason.MALFORMED
    still.nursery.start_soon(outbox.run)
    await trio.sleep(1)
    assert batches_of(still, machine) == [(ready(peer, 1),)], "what was taken twice leaves once"


def give_standing(world: World) -> None:
    """Let the frozen chain take statements of miners that are not registered."""
    for machine in world.machines.values():
        machine.node.chain.mempool.has_standing = lambda body: Standing(Room.MEMBERS, 64)
    assert {each.role for each in world.machines.values()} == {Role.VALIDATOR, Role.MINER}


async def test_a_node_far_behind_neither_takes_nor_blames_what_it_cannot_judge(
    still: World, autojump_clock: MockClock
) -> None:
    machine, bearer = still.machines["validator-0"], still.machines["validator-1"]
    machine.node.chain.is_behind = True
    with pytest.raises(PeerError) as refused:
        machine.node.outbox.validate(encode(TransactionBatch((ready(bearer, 1),))))
    assert refused.value.reason is RejectionReason.UNPROVEN
    assert machine.node.chain.mempool.candidates() == ()


async def test_many_are_taken_in_order_and_those_without_standing_are_named(
    still: World, autojump_clock: MockClock
) -> None:
    machine, bearer = still.machines["validator-0"], still.machines["validator-1"]
    stranger = sign_transaction(key_of("stranger"), machine.node.chain.chain_id, Ready(Cycle(1)))
    batch = (ready(bearer, 1), stranger, ready(bearer, 2), ready(bearer, 1))

    answer = await machine.node.outbox.answer_many(bearer.node_id, encode(Submission(batch)))

    receipt = decode(SubmissionReceipt, answer)
    assert [each.index for each in receipt.refused] == [1]
    assert "no seat" in receipt.refused[0].reason
    assert set(machine.node.chain.mempool.candidates()) == {ready(bearer, 1), ready(bearer, 2)}


async def test_a_forged_one_among_many_costs_its_bearer_and_ends_the_request(
    still: World, autojump_clock: MockClock
) -> None:
    machine, bearer = still.machines["validator-0"], still.machines["validator-1"]
    true = decode(Transaction, ready(bearer, 1))
    forged = encode(replace(true, signature=Signature(bytes(64))))
    batch = (ready(bearer, 2), forged, ready(bearer, 3))

    with pytest.raises(PeerError) as refused:
        await machine.node.outbox.answer_many(bearer.node_id, encode(Submission(batch)))

    assert refused.value.reason is RejectionReason.BAD_SIGNATURE
    assert machine.node.chain.mempool.candidates() == (ready(bearer, 2),)


def test_batches_are_short_enough_to_be_checked_in_one_go() -> None:
    waiting = [b"%d" % number for number in range(2 * BATCH_TRANSACTIONS_MAX + 1)]

    assert [len(batch) for batch in _batches(waiting)] == [BATCH_TRANSACTIONS_MAX] * 2 + [1]
