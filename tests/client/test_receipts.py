"""What a settled lease came to is believed only where links lead to a sealed root."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from trio.testing import MockClock

from potp2p.client.receipts import fetch_receipt, receipts_of
from potp2p.client.session import Client
from potp2p.foundation.errors import MissingError, UnreachableError
from potp2p.foundation.types import Amount, Digest, NodeId, Round, ShardIndex, TaskId
from potp2p.network.ports import StreamProtocol
from potp2p.protocol.ledger.receipt_records import Receipt, ReceiptKind
from potp2p.protocol.wire.exchange import ReceiptReply, ReceiptRequest, ReceiptsRequest, Role
from potp2p.protocol.wire.schema import decode, encode
from potp2p.services import receipts
from tests.doubles.world import World, key_of, make_rules, open_world

ROUNDS = 3
LAST = Round(ROUNDS - 1)
FIRST = ShardIndex(0)


@asynccontextmanager
async def settled(folder: Path) -> AsyncIterator[tuple[World, Client, TaskId]]:
    """A network whose only task is trained and paid."""
    async with open_world(folder) as world:
        client, task = await world.submit(make_rules(rounds=ROUNDS))
        chain = world.machines["validator-0"].node.chain
        await world.until(lambda: chain.state().task(task).escrow == 0)
        yield world, client, task


async def test_receipts_are_found_and_proved_after_the_state_forgot_them(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The links of the first round's receipt then take three replies.
    monkeypatch.setattr(receipts, "RECEIPT_LINKS_MAX", 1)
    async with settled(tmp_path) as (world, client, task):
        state = world.machines["validator-0"].node.chain.state()
        assert not state.task(task).open_rounds
        for round_ in range(ROUNDS):
            proved = await fetch_receipt(client, task, Round(round_), FIRST)
            receipt = proved.receipt
            assert (receipt.task, receipt.round, receipt.shard) == (task, round_, FIRST)
            assert receipt.kind is ReceiptKind.PAID
            assert receipt.paid > 0
            assert proved.header.body.height >= receipt.height
        for place in (
            (task, Round(ROUNDS), FIRST),
            (task, LAST, ShardIndex(999)),
            (TaskId(Digest(b"\x07" * 32)), LAST, FIRST),
        ):
            with pytest.raises(MissingError, match="keep no receipt"):
                await fetch_receipt(client, *place)
        await _finds_all(client)
        late = world.add("late", Role.OBSERVER)
        await world.until(lambda: late.node.chain.state().find_task(task) is not None)
        await world.until(lambda: late.node.chain.state().task(task).escrow == 0)
        wanted = encode(ReceiptsRequest(ReceiptRequest(task, LAST, FIRST)))
        here, there = [
            decode(ReceiptReply, await each.queries.receipts.answer(client.keys.node_id, wanted))
            for each in (world.machines["validator-0"].node, late.node)
        ]
        assert here.found == there.found, "whoever caught up keeps what it executed"
        assert not world.hub.penalties


def _richer(reply: ReceiptReply) -> ReceiptReply:
    assert reply.found is not None
    receipt = decode(Receipt, reply.found.receipt)
    forged = encode(replace(receipt, paid=Amount(receipt.paid + 1)))
    return replace(reply, found=replace(reply.found, receipt=forged))


def _of_another_shard(reply: ReceiptReply) -> ReceiptReply:
    assert reply.found is not None
    receipt = decode(Receipt, reply.found.receipt)
    forged = encode(replace(receipt, shard=ShardIndex(receipt.shard + 1)))
    return replace(reply, found=replace(reply.found, receipt=forged, count=1, siblings=()))


def _of_another_round(reply: ReceiptReply) -> ReceiptReply:
    assert reply.found is not None
    return replace(reply, found=replace(reply.found, previous=Digest(b"\x01" * 32)))


def _without_links(reply: ReceiptReply) -> ReceiptReply:
    return replace(reply, links=())


def _with_a_wrong_link(reply: ReceiptReply) -> ReceiptReply:
    return replace(reply, links=(Digest(b"\x02" * 32), *reply.links))


def _without_the_receipt(reply: ReceiptReply) -> ReceiptReply:
    return replace(reply, found=None)


def _under_another_seal(reply: ReceiptReply) -> ReceiptReply:
    seal = replace(reply.task.seal, block_hash=Digest(b"\x03" * 32))
    return replace(reply, task=replace(reply.task, seal=seal))


FORGERIES: tuple[Callable[[ReceiptReply], ReceiptReply], ...] = (
    _richer,
    _of_another_shard,
    _of_another_round,
    _without_links,
    _with_a_wrong_link,
    _without_the_receipt,
    _under_another_seal,
)


async def test_a_forged_receipt_is_refused_and_its_bearer_punished(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with settled(tmp_path) as (world, client, task):
        world.freeze()
        honest = world.machines["validator-0"].node.queries.receipts
        liar = world.hub.attach(key_of("liar").node_id)
        forge = FORGERIES[0]
        asked: ReceiptsRequest | None = None

        async def lie(_peer: NodeId, body: bytes) -> bytes:
            if asked is not None:
                return await honest.answer(liar.node, encode(asked))
            reply = decode(ReceiptReply, await honest.answer(liar.node, body))
            return encode(reply if reply.found is None else forge(reply))

        liar.serve(StreamProtocol.RECEIPTS, lie)
        others = [each.node_id for each in world.machines.values()]
        world.hub.partition([client.keys.node_id], others)
        for count, forge in enumerate(FORGERIES, 1):
            with pytest.raises(MissingError):
                await fetch_receipt(client, task, Round(0), FIRST)
            offenders = [each.offender for each in world.hub.penalties]
            assert offenders == [liar.node] * count, forge.__name__
        for place in ((LAST, FIRST), (Round(0), ShardIndex(1))):
            # A true receipt with its proof, but not the one that was asked for.
            asked = ReceiptsRequest(ReceiptRequest(task, *place))
            before = len(world.hub.penalties)
            with pytest.raises(MissingError):
                await fetch_receipt(client, task, Round(0), FIRST)
            assert len(world.hub.penalties) == before + 1
        world.hub.partition([client.keys.node_id], [liar.node])
        with pytest.raises(UnreachableError, match="no receipt of round 0"):
            # That nobody answers is not that there is none.
            await fetch_receipt(client, task, Round(0), FIRST)
        world.hub.heal()
        assert (await fetch_receipt(client, task, Round(0), FIRST)).receipt.paid > 0


async def _finds_all(client: Client) -> None:
    """A miner finds all its settled leases, newest first."""
    leases = make_rules(rounds=ROUNDS).rounds.shards_per_round * ROUNDS
    seen = []
    for name in ("miner-0", "miner-1"):
        account = key_of(name).account
        places, teller = await receipts_of(client, account, 100)
        assert teller is not None
        heights = [each.height for each in places]
        assert heights == sorted(heights, reverse=True)
        seen += [(each.task, each.round, each.shard) for each in places]
        few, _ = await receipts_of(client, account, 1)
        assert few == places[:1]
    assert len(seen) == len(set(seen)) == leases
    nobody, _ = await receipts_of(client, key_of("stranger").account, 100)
    assert nobody == ()
