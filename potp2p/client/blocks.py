"""Single blocks and snapshots as peers show them, checked from the genesis document alone."""

from dataclasses import dataclass

from potp2p.client.epochs import EpochReader
from potp2p.client.session import Client
from potp2p.foundation.errors import MissingError, PeerError, RejectionReason, UnreachableError
from potp2p.foundation.types import Digest, Height, NodeId
from potp2p.network.ports import StreamProtocol
from potp2p.protocol.ledger.heights import epoch_of
from potp2p.protocol.ledger.validity import transactions_root
from potp2p.protocol.wire.blocks import Block, Seal
from potp2p.protocol.wire.exchange import BlocksReply, BlocksRequest, SealedBlock
from potp2p.protocol.wire.schema import decode, encode
from potp2p.protocol.wire.snapshots import (
    OFFERS_MAX,
    OffersRequest,
    SnapshotOffer,
    SnapshotOffers,
    SnapshotRequest,
)

ASK_SECONDS = 10.0
NOBODY = "no peer connected"


@dataclass(frozen=True, slots=True)
class FoundBlock:
    """A decided block whose seal was checked from genesis on."""

    block: Block
    seal: Seal
    block_hash: Digest


async def fetch_block(client: Client, height: Height) -> FoundBlock:
    """Return a block; MissingError where no connected peer has it or can prove it."""
    failure = ""
    for peer in _peers(client):
        try:
            return await _fetch_from(client, peer, height)
        except PeerError as error:
            client.network.directory.penalise(peer, error)
            failure = str(error)
        except MissingError as error:
            failure = str(error)
        except UnreachableError as error:
            # Who cannot be dialled tells less than who answered.
            failure = failure or str(error)
    raise MissingError(f"no block {height}: {failure or NOBODY}")


async def list_snapshots(client: Client) -> tuple[SnapshotOffer, ...]:
    """Return the proved snapshots of the first peer that has any, newest first."""
    failure = ""
    for peer in _peers(client):
        try:
            request = encode(SnapshotRequest(OffersRequest(OFFERS_MAX)))
            answer = await _ask(client, peer, StreamProtocol.SNAPSHOTS, request)
            offers = decode(SnapshotOffers, answer).offers if answer else ()
            for offer in offers:
                await _learn_seats(client, peer, offer.header.body.height)
                client.trust.verify_header(offer.header, offer.seal)
        except PeerError as error:
            client.network.directory.penalise(peer, error)
            failure = str(error)
        except MissingError as error:
            failure = str(error)
        except UnreachableError as error:
            # Who cannot be dialled tells less than who answered.
            failure = failure or str(error)
        else:
            if offers:
                return offers
            failure = "no connected peer keeps one yet"
    raise MissingError(f"no snapshot: {failure or NOBODY}")


async def _fetch_from(client: Client, peer: NodeId, height: Height) -> FoundBlock:
    sealed = await _sealed(client, peer, height)
    block, body = sealed.block, sealed.block.header.body
    if body.height != height:
        raise PeerError(RejectionReason.BAD_BLOCK, "block of another height")
    await _learn_seats(client, peer, height)
    client.trust.verify_header(block.header, sealed.seal)
    if body.transactions_root != transactions_root(block.transactions):
        raise PeerError(RejectionReason.BAD_BLOCK, "transactions of another block")
    return FoundBlock(block, sealed.seal, sealed.seal.block_hash)


async def _sealed(client: Client, peer: NodeId, height: Height) -> SealedBlock:
    request = encode(BlocksRequest(height, 1))
    blocks = decode(BlocksReply, await _ask(client, peer, StreamProtocol.BLOCKS, request)).blocks
    if not blocks:
        raise MissingError(
            "it is not decided yet, or peers keep no history that old (they began with a snapshot)"
        )
    return decode(SealedBlock, blocks[0])


async def _learn_seats(client: Client, peer: NodeId, height: Height) -> None:
    """Follow the seats up to a height with what one peer shows."""
    reader = EpochReader(client.network.streams)
    epoch = epoch_of(height, client.genesis.consensus)
    client.trust = await reader.follow(client.trust, peer, epoch)


async def _ask(client: Client, peer: NodeId, protocol: StreamProtocol, body: bytes) -> bytes:
    return await client.network.streams.request(peer, protocol, body, deadline_seconds=ASK_SECONDS)


def _peers(client: Client) -> tuple[NodeId, ...]:
    return tuple(dict.fromkeys((*client.network.directory.peers(), *client.validators)))
