"""Receipts of settled leases: asked of anyone, believed only under a sealed header."""

from dataclasses import dataclass
from typing import Final

from potp2p.client.session import Client
from potp2p.foundation.errors import MissingError, PeerError, RejectionReason, UnreachableError
from potp2p.foundation.limits import ROUNDS_MAX
from potp2p.foundation.types import AccountId, Height, NodeId, Round, ShardIndex, TaskId
from potp2p.network.ports import StreamProtocol
from potp2p.protocol.ledger.keys import task_key
from potp2p.protocol.ledger.receipt_records import Receipt
from potp2p.protocol.ledger.receipts import reach, verify_receipt
from potp2p.protocol.ledger.records import Task
from potp2p.protocol.wire.blocks import Header
from potp2p.protocol.wire.exchange import (
    RECEIPT_LINKS_MAX,
    LinksRequest,
    MinerReceiptsReply,
    MinerReceiptsRequest,
    ReceiptAtRequest,
    ReceiptPlace,
    ReceiptReply,
    ReceiptRequest,
    ReceiptsRequest,
)
from potp2p.protocol.wire.schema import decode, encode

ASK_SECONDS: Final = 10.0
PAGES_MAX: Final = ROUNDS_MAX // RECEIPT_LINKS_MAX + 2
"""Replies that the links of the longest task take."""
LISTINGS_MAX: Final = 64
"""Requests for a miner's receipts to one peer: more heights than a person looks back."""


@dataclass(frozen=True, slots=True)
class ProvedReceipt:
    """A receipt under the receipts root of its task, and that under a sealed header."""

    receipt: Receipt
    header: Header
    index: int
    """Among the receipts of its round."""
    count: int
    """How many those are."""


async def fetch_receipt(
    client: Client, task: TaskId, round_: Round, shard: ShardIndex
) -> ProvedReceipt:
    """
    Return what a settled lease came to.

    MissingError where no connected peer can prove it, UnreachableError where none answers.
    """
    return await _fetch(client, ReceiptRequest(task, round_, shard))


async def receipts_of_round(
    client: Client, task: TaskId, round_: Round, count: int | None = None
) -> tuple[ProvedReceipt, ...]:
    """Return all receipts of a settled round, or the first of them; a proof says how many."""
    found = [await _fetch(client, ReceiptAtRequest(task, round_, 0))]
    wanted = found[0].count if count is None else min(count, found[0].count)
    while len(found) < wanted:
        found.append(await _fetch(client, ReceiptAtRequest(task, round_, len(found))))
    return tuple(found)


async def _fetch(client: Client, wanted: ReceiptRequest | ReceiptAtRequest) -> ProvedReceipt:
    failure, is_answered = "no peer connected", False
    for peer in _peers(client):
        try:
            return await _prove(client, peer, wanted)
        except PeerError as error:
            client.network.directory.penalise(peer, error)
            failure, is_answered = str(error), True
        except MissingError as error:
            failure, is_answered = str(error), True
        except UnreachableError as error:
            failure = failure if is_answered else str(error)
    what = f"no receipt of round {wanted.round}: {failure}"
    raise MissingError(what) if is_answered else UnreachableError(what)


async def _prove(
    client: Client, peer: NodeId, wanted: ReceiptRequest | ReceiptAtRequest
) -> ProvedReceipt:
    reply = await _ask(client, peer, wanted)
    if reply.found is None:
        raise PeerError(RejectionReason.BAD_PROOF, "links without a receipt")
    first = reply.found
    receipt, root = verify_receipt(first)
    is_it = (
        receipt.shard == wanted.shard
        if isinstance(wanted, ReceiptRequest)
        else first.index == wanted.index
    )
    if (receipt.task, receipt.round) != (wanted.task, wanted.round) or not is_it:
        raise PeerError(RejectionReason.BAD_PROOF, "receipt of another lease")
    for _ in range(PAGES_MAX):
        proved = await client.believe(peer, task_key(wanted.task), reply.task)
        if proved.value is None:
            raise PeerError(RejectionReason.BAD_PROOF, "receipt of a task that does not exist")
        known = decode(Task, proved.value).receipts_root
        root, found = reach(root, reply.links, known)
        if found:
            return ProvedReceipt(receipt, proved.header, first.index, first.count)
        if not reply.links:
            raise PeerError(RejectionReason.BAD_PROOF, "links that do not lead to the task's root")
        reply = await _ask(client, peer, LinksRequest(wanted.task, root))
    raise PeerError(RejectionReason.BAD_PROOF, "links without end")


async def receipts_of(
    client: Client, miner: AccountId, count: int
) -> tuple[tuple[ReceiptPlace, ...], NodeId | None]:
    """
    Return where a miner's newest receipts stand, and the peer that said so.

    These are names only: a peer may leave some out, but what each comes to is proved by itself.
    """
    for peer in _peers(client):
        found: list[ReceiptPlace] = []
        below = Height((1 << 48) - 1)
        try:
            for _ in range(LISTINGS_MAX):
                reply = await _list(client, peer, MinerReceiptsRequest(miner, below, count))
                found += reply.places
                if len(found) >= count or not 0 < reply.below < below:
                    break
                below = reply.below
        except PeerError as error:
            client.network.directory.penalise(peer, error)
            continue
        except UnreachableError:
            continue
        return tuple(found[:count]), peer
    return (), None


async def _list(client: Client, peer: NodeId, wanted: MinerReceiptsRequest) -> MinerReceiptsReply:
    answer = await client.network.streams.request(
        peer,
        StreamProtocol.RECEIPTS,
        encode(ReceiptsRequest(wanted)),
        deadline_seconds=ASK_SECONDS,
    )
    return decode(MinerReceiptsReply, answer)


async def _ask(
    client: Client, peer: NodeId, wanted: ReceiptRequest | ReceiptAtRequest | LinksRequest
) -> ReceiptReply:
    answer = await client.network.streams.request(
        peer,
        StreamProtocol.RECEIPTS,
        encode(ReceiptsRequest(wanted)),
        deadline_seconds=ASK_SECONDS,
    )
    if not answer:
        raise MissingError("peers keep no receipt of it (no such lease, or they began later)")
    return decode(ReceiptReply, answer)


def _peers(client: Client) -> tuple[NodeId, ...]:
    return tuple(dict.fromkeys((*client.network.directory.peers(), *client.validators)))
