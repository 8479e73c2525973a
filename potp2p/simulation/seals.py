"""Seals recounted: distinct seats, more than two thirds of them, each signature checked."""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256

from potp2p.foundation.errors import PeerError
from potp2p.foundation.types import ChainId, NodeId, Signature
from potp2p.protocol.crypto.signing import verify_signature
from potp2p.protocol.wire.blocks import (
    BLOCK_DOMAIN,
    COMMIT_DOMAIN,
    CommitStatement,
    Header,
    Seal,
)
from potp2p.protocol.wire.schema import encode


@lru_cache(maxsize=1 << 14)
def is_signed(node: NodeId, signature: bytes, domain: str, chain_id: ChainId, body: bytes) -> bool:
    """Tell whether a node signed exactly this; the same question has the same answer."""
    try:
        verify_signature(node, Signature(signature), domain, chain_id, body)
    except PeerError:
        return False
    return True


def complaint_of_seal(
    seal: Seal, header: Header, seats: Sequence[NodeId], chain_id: ChainId
) -> str | None:
    """Return what is wrong with a seal; None if a quorum signed this very block."""
    body = header.body
    if sha256(BLOCK_DOMAIN.encode() + b"\n" + encode(header)).digest() != seal.block_hash:
        return "it names another block"
    if (seal.height, seal.epoch) != (body.height, body.epoch):
        return "it names another height or epoch"
    signers = {each.signer for each in seal.signatures}
    if len(signers) != len(seal.signatures) or not signers <= set(range(len(seats))):
        return f"signers {sorted(each.signer for each in seal.signatures)}"
    if 3 * len(signers) <= 2 * len(seats):
        return f"{len(signers)} of {len(seats)} signed"
    for each in seal.signatures:
        said = CommitStatement(seal.epoch, seal.height, seal.view, each.signer, seal.block_hash)
        node = seats[each.signer]
        if not is_signed(node, each.signature, COMMIT_DOMAIN, chain_id, encode(said)):
            return f"signature of seat {each.signer}"
    return None
