"""Names that appear in blocks: only names, so nothing a peer answers here needs a proof."""

from collections.abc import AsyncIterator, Iterator
from typing import Final

from potp2p.client.session import Client
from potp2p.foundation.errors import PeerError, RejectionReason, UnreachableError
from potp2p.foundation.types import AccountId, Height, TaskId
from potp2p.network.ports import StreamProtocol
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.ledger.transition import decode_transaction, transaction_id
from potp2p.protocol.wire.blocks import Block
from potp2p.protocol.wire.exchange import (
    BLOCKS_PER_REQUEST_MAX,
    BlocksReply,
    BlocksRequest,
    SealedBlock,
)
from potp2p.protocol.wire.schema import decode, encode
from potp2p.protocol.wire.transactions import Bond, RegisterMiner, SubmitTask, Transfer

ASK_SECONDS: Final = 10.0


async def accounts_in_blocks(client: Client, last: Height) -> tuple[AccountId, ...]:
    """Return every account that sent, got or bonded something up to a height, each once."""
    found: dict[AccountId, None] = {}
    async for block in _blocks_of(client, Height(1), last):
        found.update(dict.fromkeys(_named(block)))
    return tuple(found)


async def tasks_in_blocks(client: Client, first: Height, last: Height) -> tuple[TaskId, ...]:
    """Return every task that was ordered from a height up to another, oldest first."""
    found: list[TaskId] = []
    async for block in _blocks_of(client, first, last):
        bodies = (decode_transaction(encoded).body for encoded in block.transactions)
        found += [
            TaskId(transaction_id(body)) for body in bodies if isinstance(body.action, SubmitTask)
        ]
    return tuple(found)


async def _blocks_of(client: Client, first: Height, last: Height) -> AsyncIterator[Block]:
    """Yield the blocks of a range in order."""
    height = first
    while height <= last:
        for block in await _blocks(client, height):
            if block.header.body.height != height:
                raise PeerError(RejectionReason.BAD_BLOCK, "not the height that was asked for")
            yield block
            height = Height(height + 1)


async def _blocks(client: Client, first: Height) -> tuple[Block, ...]:
    """Return some blocks from a height on, at least one."""
    failure = "none connected"
    for peer in (*client.network.directory.peers(), *client.validators):
        try:
            answer = await client.network.streams.request(
                peer,
                StreamProtocol.BLOCKS,
                encode(BlocksRequest(first, BLOCKS_PER_REQUEST_MAX)),
                deadline_seconds=ASK_SECONDS,
            )
            sealed = [decode(SealedBlock, each) for each in decode(BlocksReply, answer).blocks]
        except (PeerError, UnreachableError) as error:
            failure = str(error)
            continue
        if sealed:
            return tuple(each.block for each in sealed)
        failure = f"it has no block {first}"
    raise UnreachableError(f"no peer gives block {first}: {failure}")


def _named(block: Block) -> Iterator[AccountId]:
    for encoded in block.transactions:
        body = decode_transaction(encoded).body
        yield account_of(body.sender)
        match body.action:
            case Transfer(recipient=account) | Bond(beneficiary=account):
                yield AccountId(account)
            case RegisterMiner(payout=account):
                yield AccountId(account)
            case _:
                # No other transaction moves money to an account of its choice.
                pass
