"""Receipts are served from what is kept, and a round of a thousand leases holds nobody up."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from potp2p.foundation.limits import SHARDS_PER_ROUND_MAX
from potp2p.foundation.types import Amount, Digest, Height, Round, ShardIndex
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.ledger.receipt_records import Receipt
from potp2p.protocol.ledger.receipts import SettledRound, verify_receipt
from potp2p.protocol.ledger.round_records import Fine
from potp2p.protocol.wire.exchange import (
    MinerReceiptsRequest,
    ReceiptAtRequest,
    ReceiptReply,
    ReceiptRequest,
    ReceiptsRequest,
)
from potp2p.protocol.wire.schema import decode, encode
from potp2p.services.chain import kept_for_receipts
from potp2p.services.receipts import ReceiptDesk
from potp2p.simulation.stores import MemoryChainStore
from tests.doubles.receipts import AUDITOR, MINER, OTHER, PAID, REJECTED
from tests.doubles.world import open_world

HEIGHT = Height(1)
TURNS = 8
"""At least: a thousand receipts take some sixty milliseconds."""


@dataclass(slots=True)
class Counter:
    """Counts the turns that others get."""

    turns: int = 0

    async def run(self) -> None:
        while True:
            await trio.lowlevel.checkpoint()
            self.turns += 1


def _round(number: int, leases: int, receipt: Receipt) -> SettledRound:
    receipts = tuple(
        replace(receipt, round=Round(number), shard=ShardIndex(shard))
        # The order of a table is not that of its shards.
        for shard in reversed(range(leases))
    )
    previous = Digest(bytes([number]) * 32)
    return SettledRound(receipt.task, Round(number), HEIGHT, previous, receipts)


async def test_two_rounds_of_one_block_are_told_apart_and_no_thousand_leases_hold_others_up(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled = (_round(3, 2, PAID), _round(4, SHARDS_PER_ROUND_MAX, REJECTED))
    receipts = tuple(encode(receipt) for each in settled for receipt in each.receipts)
    async with open_world(tmp_path) as world:
        await world.height(HEIGHT)
        world.freeze()
        desk = world.machines["validator-0"].node.queries.receipts
        for name, value in kept_for_receipts(settled).items():
            await desk.store.put_metadata(name, value)
        monkeypatch.setattr(MemoryChainStore, "receipts", lambda _store, _height: receipts)
        counter = Counter()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(counter.run)
            for each in settled:
                for index in (0, len(each.receipts) - 1):
                    wanted = each.receipts[index]
                    for request in (
                        ReceiptAtRequest(wanted.task, wanted.round, index),
                        ReceiptRequest(wanted.task, wanted.round, wanted.shard),
                    ):
                        assert await _served(desk, request) == wanted
            before = counter.turns
            await _served(desk, ReceiptRequest(PAID.task, Round(4), ShardIndex(0)))
            assert counter.turns - before >= TURNS, "the last of all is looked for in slices"
            before = counter.turns
            listed = MinerReceiptsRequest(account_of(MINER), Height(HEIGHT + 1), 1)
            assert len((await desk.receipts_of(listed)).places) > 0
            assert counter.turns - before >= TURNS
            for index, round_ in ((2, 3), (SHARDS_PER_ROUND_MAX, 4)):
                beyond = ReceiptAtRequest(PAID.task, Round(round_), index)
                assert await desk.answer(MINER, encode(ReceiptsRequest(beyond))) == b""
            nursery.cancel_scope.cancel()


async def test_who_was_fined_for_a_lease_that_another_won_finds_it_among_its_own(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipts = (encode(replace(PAID, fines=(Fine(OTHER, Amount(1)),))),)
    async with open_world(tmp_path) as world:
        await world.height(HEIGHT)
        world.freeze()
        desk = world.machines["validator-0"].node.queries.receipts
        monkeypatch.setattr(
            MemoryChainStore,
            "receipts",
            lambda _store, height: receipts if height == HEIGHT else (),
        )
        for who, count in ((MINER, 1), (OTHER, 1), (AUDITOR, 0)):
            listed = MinerReceiptsRequest(account_of(who), Height(HEIGHT + 1), 5)
            assert len((await desk.receipts_of(listed)).places) == count


async def _served(desk: ReceiptDesk, request: ReceiptRequest | ReceiptAtRequest) -> Receipt:
    reply = decode(ReceiptReply, await desk.answer(MINER, encode(ReceiptsRequest(request))))
    assert reply.found is not None
    return verify_receipt(reply.found)[0]
