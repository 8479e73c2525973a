"""
From a header that the operator trusts to the header of a snapshot: three ways, all offline.

The same height: the hash decides. Above the trusted one: each epoch's seats seal the header that
announces the next ones, from the seats that the trusted header itself announces. Below it: the
blocks in between lead down to it by their parents' hashes, and the trusted hash covers them all.
"""

from collections.abc import Sequence

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.types import (
    ChainId,
    Digest,
    Epoch,
    Height,
    NodeId,
    TrustedCheckpoint,
)
from potp2p.protocol.ledger.heights import epoch_of, last_of
from potp2p.protocol.ledger.seats import validators_hash
from potp2p.protocol.ledger.validity import block_hash, verify_seal
from potp2p.protocol.wire.blocks import Header
from potp2p.protocol.wire.certificates import EpochLink
from potp2p.protocol.wire.genesis import ConsensusParameters
from potp2p.protocol.wire.snapshots import SnapshotOffer, TrustPath


def verify_hash(offer: SnapshotOffer, checkpoint: TrustedCheckpoint) -> None:
    """Raise unless the offered header is the trusted one."""
    if block_hash(offer.header) != checkpoint.block_hash:
        raise PeerError(RejectionReason.BAD_PROOF, "snapshot of another block than the trusted one")


def verify_path(
    path: TrustPath,
    start: TrustedCheckpoint,
    target: Height,
    consensus: ConsensusParameters,
    chain_id: ChainId,
) -> tuple[Header, Sequence[NodeId]]:
    """
    Return the last header that a path proves, and who seals the height after it.

    Raises PeerError at the first step that does not hold, or if the path leads nowhere.
    """
    if path.header.body.height != start.height or block_hash(path.header) != start.block_hash:
        raise PeerError(RejectionReason.BAD_PROOF, "path from another header than the trusted one")
    header: Header = path.header
    nodes: Sequence[NodeId] = _announced(header, path.validators.nodes)
    for link in path.links:
        epoch = epoch_of(Height(header.body.height + 1), consensus)
        if link.header.body.height > target:
            raise PeerError(RejectionReason.BAD_PROOF, "link above the target")
        nodes = verify_link(link, epoch, nodes, consensus, chain_id)
        header = link.header
    if not path.links and epoch_of(Height(start.height + 1), consensus) != epoch_of(
        target, consensus
    ):
        raise PeerError(RejectionReason.BAD_PROOF, "path that leads nowhere")
    return header, nodes


def verify_link(
    link: EpochLink,
    epoch: Epoch,
    nodes: Sequence[NodeId],
    consensus: ConsensusParameters,
    chain_id: ChainId,
) -> Sequence[NodeId]:
    """Return the seats after an epoch; raises unless its own seats sealed the announcement."""
    seal, body = link.seal, link.header.body
    if body.height != last_of(epoch, consensus) or body.epoch != epoch:
        raise PeerError(RejectionReason.BAD_PROOF, "link that does not end the epoch")
    if (seal.height, seal.epoch) != (body.height, epoch):
        raise PeerError(RejectionReason.BAD_JUSTIFICATION, "seal of another height")
    if seal.block_hash != block_hash(link.header):
        raise PeerError(RejectionReason.BAD_JUSTIFICATION, "seal of another header")
    verify_seal(seal, nodes, chain_id)
    return _announced(link.header, link.validators.nodes)


def verify_offer(
    offer: SnapshotOffer, nodes: Sequence[NodeId], consensus: ConsensusParameters, chain_id: ChainId
) -> None:
    """Raise unless these seats sealed the offered header."""
    body, seal = offer.header.body, offer.seal
    if (seal.height, seal.epoch) != (body.height, epoch_of(body.height, consensus)):
        raise PeerError(RejectionReason.BAD_JUSTIFICATION, "seal of another height")
    if seal.block_hash != block_hash(offer.header):
        raise PeerError(RejectionReason.BAD_JUSTIFICATION, "seal of another header")
    verify_seal(seal, nodes, chain_id)


def verify_descent(header: Header, above: Sequence[Header], checkpoint: TrustedCheckpoint) -> None:
    """Raise unless headers lead from one below the trusted block up to it, each to its parent."""
    last, height = block_hash(header), header.body.height
    for each in above:
        if each.body.previous_hash != last or each.body.height != height + 1:
            raise PeerError(RejectionReason.BAD_PROOF, "headers that do not follow each other")
        last, height = block_hash(each), each.body.height
    if Digest(last) != checkpoint.block_hash or height != checkpoint.height:
        raise PeerError(RejectionReason.BAD_PROOF, "headers that do not end at the trusted block")


def _announced(header: Header, nodes: Sequence[NodeId]) -> Sequence[NodeId]:
    """Return the seats that a header announces for the height after it."""
    if validators_hash(nodes) != header.body.next_validators_hash:
        raise PeerError(RejectionReason.BAD_PROOF, "other seats than the header announces")
    return nodes
