"""The client's verbs over a whole network: submit, watch, pay, cancel and fetch."""

import json
from pathlib import Path

import pytest
from safetensors.numpy import load_file
from trio.testing import MockClock

from potp2p.foundation.errors import FundsError, MissingError, UnreachableError
from potp2p.foundation.types import AccountId, Amount, Digest, NodeId, TaskId
from potp2p.network.ports import StreamProtocol
from potp2p.protocol.ledger.transition import sign_paid_transaction
from potp2p.protocol.wire.exchange import QueryRequest
from potp2p.protocol.wire.schema import decode, encode
from potp2p.protocol.wire.transactions import Transfer
from tests.doubles.world import BUDGET, CLIENT_MONEY, FEE, key_of, make_rules, open_world

SOMEONE = AccountId(b"\x09" * 20)


async def test_a_model_is_ordered_watched_and_fetched_with_its_receipt(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path) as world:
        client, task = await world.submit(make_rules(rounds=2))
        with pytest.raises(MissingError, match="no checkpoint yet"):
            await client.fetch_model(task, tmp_path / "early")
        seen = [each async for each in client.progress(task)]
        assert [each.over for each in seen] == [False] * (len(seen) - 1) + [True]
        assert seen[-1].status == "finished"
        assert sorted({each.round for each in seen}) == [0, 1, 2]
        assert list(seen[-1].losses) == sorted(seen[-1].losses, reverse=True)
        model = await client.fetch_model(task, tmp_path / "model")
        tensors = load_file(model.folder / "model.safetensors")
        assert list(tensors) == ["weight"], "optimizer state stays behind"
        receipt = json.loads((model.folder / "receipt.json").read_text())
        assert receipt["checkpoint"] == model.checkpoint
        assert receipt["chain_id"] == client.trust.chain_id.hex()
        assert sorted(path.name for path in model.folder.iterdir()) == [
            "config.json",
            "model.safetensors",
            "receipt.json",
        ]


async def test_a_transfer_moves_money_once_and_costs_its_fee(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=0) as world:
        await world.height(1)
        client = world.client()
        await client.transfer(SOMEONE, Amount(12_345), FEE)
        assert (await client.account(SOMEONE)).balance == 12_345
        left = await client.account(key_of("client").account)
        assert (left.balance, left.nonce) == (CLIENT_MONEY - 12_345 - FEE, 1)
        with pytest.raises(FundsError):
            await client.transfer(SOMEONE, CLIENT_MONEY, FEE)
        with pytest.raises(FundsError):
            await world.client("pauper").transfer(SOMEONE, Amount(1), FEE)


async def test_a_quote_is_more_than_the_base_fee_and_enough_for_the_next_blocks(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=0) as world:
        await world.height(1)
        client = world.client()
        action = Transfer(SOMEONE, Amount(7))
        fee = await client.quote(action)
        now = (await client.chain()).base_fee
        signed = sign_paid_transaction(client.keys, client.trust.chain_id, 0, fee, action)
        assert 2 * now * len(signed) < fee < 4 * now * len(signed)
        await client.transfer(SOMEONE, Amount(7), fee)
        assert (await client.account(SOMEONE)).balance == 7
        with pytest.raises(UnreachableError, match="underpriced"):
            await client.transfer(SOMEONE, Amount(7), Amount(1))


async def test_a_cancelled_task_ends_after_its_round_and_gives_the_rest_back(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path) as world:
        client, task = await world.submit(make_rules(rounds=50))
        await client.cancel_task(task, FEE)
        seen = [each async for each in client.progress(task)]
        assert seen[-1].status == "cancelled"
        chain = world.machines["validator-0"].node.chain
        await world.until(lambda: chain.state().task(task).escrow == 0)
        spent = CLIENT_MONEY - (await client.account(key_of("client").account)).balance
        assert 2 * FEE <= spent < BUDGET // 10


async def test_what_the_chain_does_not_know_is_missing(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=0) as world:
        await world.height(1)
        with pytest.raises(MissingError, match="not on the chain"):
            await world.client().task(TaskId(Digest(b"\x31" * 32)))


async def test_lying_and_stale_peers_are_passed_over(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=0) as world:
        await world.height(2)
        old = world.machines["validator-0"].node.queries
        liar = world.hub.attach(key_of("liar").node_id)
        stale: list[bytes] = []

        async def lie(_peer: NodeId, body: bytes) -> bytes:
            key = decode(QueryRequest, body).key
            if not stale:
                stale.append(await old.answer_query(liar.node, encode(QueryRequest(key))))
                return stale[0][:-1] + b"\x00"
            return stale[0]

        liar.serve(StreamProtocol.QUERY, lie)
        client = world.client()
        honest = [each.node_id for each in world.machines.values()]
        world.hub.partition([client.keys.node_id], honest)
        with pytest.raises(UnreachableError):
            await client.height()
        assert {each.offender for each in world.hub.penalties} == {liar.node}, "it forged a proof"
        first = await client.height()
        world.hub.heal()
        await world.height(12)
        assert await client.height() >= 11 > first
        world.hub.partition([client.keys.node_id], honest)
        with pytest.raises(UnreachableError):
            await client.height()
