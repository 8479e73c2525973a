"""
What became of leases whose rounds have left the state: receipts with proofs, for whoever asks.

Only blocks that were executed here left receipts here: a node that began with a snapshot has none
of before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, assert_never

import trio

from potp2p.foundation.types import AccountId, Digest, Height, NodeId, ShardIndex, TaskId
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.ledger.keys import task_key
from potp2p.protocol.ledger.receipt_records import Receipt
from potp2p.protocol.ledger.receipts import follow, prove_receipt
from potp2p.protocol.wire.exchange import (
    RECEIPT_BYTES_MAX,
    RECEIPT_LINKS_MAX,
    RECEIPTS_LISTED_MAX,
    LinksRequest,
    MinerReceiptsReply,
    MinerReceiptsRequest,
    ReceiptAtRequest,
    ReceiptPlace,
    ReceiptProof,
    ReceiptReply,
    ReceiptRequest,
    ReceiptsRequest,
)
from potp2p.protocol.wire.schema import decode, decode_own, encode
from potp2p.services.chain import ChainService, SettledPlace, link_name, receipts_name
from potp2p.services.proofs import proved_record
from potp2p.storage.ports import ChainStore

SLICE: Final = 256
"""Reads between which others get their turn."""
READ_AT_ONCE: Final = 64
"""Receipts decoded before others get their turn: four milliseconds."""
HEIGHTS_PER_LISTING: Final = 1_024
"""Heights that one request looks through; the answer says where to go on."""


@dataclass(slots=True)
class ReceiptDesk:
    """Owns nothing: every answer is read from the store."""

    chain: ChainService
    store: ChainStore

    async def answer(self, _peer: NodeId, body: bytes) -> bytes:
        """Serve what is kept here; empty where that is nothing, which is no fault of the asker."""
        wanted = decode(ReceiptsRequest, body).wanted
        match wanted:
            case ReceiptRequest() | ReceiptAtRequest():
                found = await self._find(wanted)
                if found is None:
                    return b""
                root = follow(found.previous, (found.link,))
                return await self._reply(wanted.task, root, found)
            case LinksRequest(task, after):
                return await self._reply(task, after, None)
            case MinerReceiptsRequest():
                return encode(await self.receipts_of(wanted))
            case _:
                assert_never(wanted)

    async def _reply(self, task: TaskId, root: Digest, found: ReceiptProof | None) -> bytes:
        links: list[Digest] = []
        while len(links) < RECEIPT_LINKS_MAX:
            if len(links) % SLICE == 0:
                await trio.lowlevel.checkpoint()
            link = self.store.get_metadata(link_name(task, root))
            if link is None:
                break
            links.append(Digest(link))
            root = follow(root, (links[-1],))
        # Read last: it may know of more rounds than the links, never of fewer.
        record = proved_record(self.chain, self.store, task_key(task))
        return b"" if record is None else encode(ReceiptReply(record, found, tuple(links)))

    async def _find(self, wanted: ReceiptRequest | ReceiptAtRequest) -> ReceiptProof | None:
        stored = self.store.get_metadata(receipts_name(wanted.task, wanted.round))
        if stored is None:
            return None
        place = decode_own(SettledPlace, stored)
        found = self.store.receipts(place.height)[place.first : place.first + place.count]
        if isinstance(wanted, ReceiptAtRequest):
            index = wanted.index
        else:
            index = await self._index_of(found, wanted.shard)
        return prove_receipt(found, index, place.previous) if index < len(found) else None

    async def _index_of(self, receipts: Sequence[bytes], shard: ShardIndex) -> int:
        """Return which of a round's receipts is a shard's; their number where none is."""
        for index, encoded in enumerate(receipts):
            if index % READ_AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
            if _read(encoded).shard == shard:
                return index
        return len(receipts)

    async def receipts_of(self, request: MinerReceiptsRequest) -> MinerReceiptsReply:
        """Return where a miner's newest receipts below a height stand."""
        top = min(request.below - 1, self.chain.head.height)
        bottom = max(top - HEIGHTS_PER_LISTING, self.store.first_block() - 1)
        found: list[ReceiptPlace] = []
        for height in range(top, bottom, -1):
            mine = await self._places_at(Height(height), request.miner)
            if found and len(found) + len(mine) > request.count:
                return MinerReceiptsReply(tuple(found), Height(height + 1))
            found += mine[:RECEIPTS_LISTED_MAX]
        below = Height(bottom + 1) if bottom >= self.store.first_block() else Height(0)
        return MinerReceiptsReply(tuple(found), below)

    async def _places_at(self, height: Height, miner: AccountId) -> list[ReceiptPlace]:
        """Return where receipts of a miner stand at one height; others get their turn amid it."""
        await trio.lowlevel.checkpoint()
        found: list[ReceiptPlace] = []
        for index, encoded in enumerate(self.store.receipts(height)):
            if index % READ_AT_ONCE == READ_AT_ONCE - 1:
                await trio.lowlevel.checkpoint()
            receipt = _read(encoded)
            if any(account_of(each) == miner for each in receipt.claimants):
                found.append(ReceiptPlace(height, receipt.task, receipt.round, receipt.shard))
        return found


def _read(encoded: bytes) -> Receipt:
    return decode_own(Receipt, encoded, bytes_max=RECEIPT_BYTES_MAX)
