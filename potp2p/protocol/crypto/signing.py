"""Signatures over a domain, a chain and bytes: valid for one message type on one network."""

from functools import lru_cache
from typing import Final, cast

from coincurve import PrivateKey, PublicKey
from coincurve.ecdsa import cdata_to_der, deserialize_compact

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.limits import NODE_ID_BYTES, SIGNATURE_BYTES
from potp2p.foundation.types import ChainId, Digest, NodeId, Signature
from potp2p.protocol.crypto.hashing import tagged_hash
from potp2p.protocol.crypto.identity import CURVE_ORDER, KeyPair

PUBLIC_KEYS_CACHED: Final = 4_096
"""One per miner of a full network; a parsed key weighs a few hundred bytes."""
_HALF: Final = SIGNATURE_BYTES // 2


def signing_digest(domain: str, chain_id: ChainId, body: bytes) -> Digest:
    """Return what is signed: SHA-256 over domain, newline, chain id and body."""
    return tagged_hash(domain, chain_id, body)


def sign(keys: KeyPair, domain: str, chain_id: ChainId, body: bytes) -> Signature:
    """Return the compact low-S signature; the nonce follows RFC 6979, so it is always the same."""
    digest = signing_digest(domain, chain_id, body)
    recoverable = PrivateKey(keys.secret).sign_recoverable(digest, hasher=None)
    # libsecp256k1 normalises S itself; what follows the 64 bytes is the recovery id.
    return Signature(cast("bytes", recoverable[:SIGNATURE_BYTES]))


def verify_signature(
    node_id: NodeId, signature: Signature, domain: str, chain_id: ChainId, body: bytes
) -> None:
    """Raise PeerError unless the node signed exactly this for exactly this."""
    if len(signature) != SIGNATURE_BYTES:
        raise PeerError(RejectionReason.BAD_SIGNATURE, "not 64 bytes")
    first = int.from_bytes(signature[:_HALF], "big")
    second = int.from_bytes(signature[_HALF:], "big")
    if not (0 < first < CURVE_ORDER and 0 < second <= CURVE_ORDER // 2):
        # A high S would give every message a second valid signature and so a second hash.
        raise PeerError(RejectionReason.BAD_SIGNATURE, "r or s out of range")
    der = cdata_to_der(deserialize_compact(bytes(signature)))
    digest = signing_digest(domain, chain_id, body)
    if not _parse(bytes(node_id)).verify(der, digest, hasher=None):
        raise PeerError(RejectionReason.BAD_SIGNATURE, f"not signed by {node_id.hex()[:12]}")


def verify_node_id(node_id: NodeId) -> None:
    """Raise PeerError unless the bytes are a compressed point on the curve."""
    _parse(bytes(node_id))


@lru_cache(maxsize=PUBLIC_KEYS_CACHED)
def _parse(node_id: bytes) -> PublicKey:
    # The parser would also take the 65-byte form, a second spelling of the same key.
    if len(node_id) != NODE_ID_BYTES or node_id[:1] not in (b"\x02", b"\x03"):
        raise PeerError(RejectionReason.BAD_SIGNATURE, "not a compressed public key")
    try:
        return PublicKey(node_id)
    except ValueError as error:
        raise PeerError(RejectionReason.BAD_SIGNATURE, "not a point of the curve") from error
