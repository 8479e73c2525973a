"""Single blocks and snapshots as peers show them, checked from the genesis document alone."""

from collections.abc import Sequence
from dataclasses import dataclass

from potp2p.client.session import Client
from potp2p.foundation.errors import MissingError, PeerError, RejectionReason, UnreachableError
from potp2p.foundation.types import Digest, Height, NodeId, TrustedCheckpoint
from potp2p.network.ports import StreamProtocol
from potp2p.protocol.ledger.heights import epoch_of
from potp2p.protocol.ledger.trust import verify_offer, verify_path
from potp2p.protocol.ledger.validity import block_hash, transactions_root, verify_seal
from potp2p.protocol.wire.blocks import Block, Seal
from potp2p.protocol.wire.exchange import BlocksReply, BlocksRequest, SealedBlock
from potp2p.protocol.wire.schema import decode, encode
from potp2p.protocol.wire.snapshots import (
    OFFERS_MAX,
    OffersRequest,
    SnapshotOffer,
    SnapshotOffers,
    SnapshotRequest,
    TrustPath,
    TrustPathRequest,
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
                height = offer.header.body.height
                seats = await _seats_at(client, peer, height)
                verify_offer(offer, seats, client.genesis.consensus, client.trust.chain_id)
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
    seats = await _seats_at(client, peer, height)
    return _verified(client, sealed, height, seats)


async def _sealed(client: Client, peer: NodeId, height: Height) -> SealedBlock:
    request = encode(BlocksRequest(height, 1))
    blocks = decode(BlocksReply, await _ask(client, peer, StreamProtocol.BLOCKS, request)).blocks
    if not blocks:
        raise MissingError(
            "it is not decided yet, or peers keep no history that old (they began with a snapshot)"
        )
    return decode(SealedBlock, blocks[0])


def _verified(
    client: Client, sealed: SealedBlock, height: Height, seats: Sequence[NodeId]
) -> FoundBlock:
    """Raise PeerError unless these seats sealed this block, and it is the one of this height."""
    block, seal = sealed.block, sealed.seal
    body, digest = block.header.body, block_hash(block.header)
    if body.height != height or (seal.height, seal.epoch) != (height, body.epoch):
        raise PeerError(RejectionReason.BAD_BLOCK, "block of another height")
    if seal.block_hash != digest:
        raise PeerError(RejectionReason.BAD_JUSTIFICATION, "seal of another block")
    if body.transactions_root != transactions_root(block.transactions):
        raise PeerError(RejectionReason.BAD_BLOCK, "transactions of another block")
    verify_seal(seal, seats, client.trust.chain_id)
    return FoundBlock(block, seal, digest)


async def _seats_at(client: Client, peer: NodeId, height: Height) -> Sequence[NodeId]:
    """Follow the seats from genesis to a height: each set is announced by the one before."""
    consensus = client.genesis.consensus
    seats: Sequence[NodeId] = tuple(each.node for each in client.genesis.validators)
    if epoch_of(height, consensus) == 0:
        return seats
    first = _verified(client, await _sealed(client, peer, Height(1)), Height(1), seats)
    start = TrustedCheckpoint(Height(1), first.block_hash)
    while True:
        request = encode(SnapshotRequest(TrustPathRequest(start.height, height)))
        answer = await _ask(client, peer, StreamProtocol.SNAPSHOTS, request)
        if not answer:
            raise MissingError("the peer cannot prove who sealed it: it keeps no older history")
        path = decode(TrustPath, answer)
        header, seats = verify_path(path, start, height, consensus, client.trust.chain_id)
        reached = Height(header.body.height + 1)
        if epoch_of(reached, consensus) >= epoch_of(height, consensus):
            return seats
        start = TrustedCheckpoint(header.body.height, block_hash(header))


async def _ask(client: Client, peer: NodeId, protocol: StreamProtocol, body: bytes) -> bytes:
    return await client.network.streams.request(peer, protocol, body, deadline_seconds=ASK_SECONDS)


def _peers(client: Client) -> tuple[NodeId, ...]:
    return tuple(dict.fromkeys((*client.network.directory.peers(), *client.validators)))
