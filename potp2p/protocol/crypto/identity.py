"""One secp256k1 key: the node's name, its signing key and its account; in memory only."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, cast

from coincurve import PrivateKey

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.limits import ACCOUNT_BYTES, NODE_ID_BYTES
from potp2p.foundation.types import AccountId, NodeId
from potp2p.protocol.crypto.bech32 import decode_bech32m, encode_bech32m
from potp2p.protocol.crypto.hashing import sha256

SECRET_BYTES: Final = 32
CURVE_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""Order of secp256k1, SEC 2 section 2.4.1."""
ADDRESS_PREFIX: Final = "pot"


@dataclass(frozen=True)
class KeyPair:
    """A secret and what it makes public; the secret never appears in a printed form."""

    secret: bytes = field(repr=False)
    """Big-endian scalar, 32 bytes."""

    @classmethod
    def from_secret(cls, secret: bytes) -> "KeyPair":
        """Accept a scalar in 1 .. order - 1; ValueError otherwise."""
        if not is_secret(secret):
            raise ValueError("not a secp256k1 secret")
        return cls(bytes(secret))

    @cached_property
    def node_id(self) -> NodeId:
        """Return the compressed public key."""
        public_key = PrivateKey(self.secret).public_key
        return NodeId(cast("bytes", public_key.format(compressed=True)))

    @cached_property
    def account(self) -> AccountId:
        """Return the account that this key owns."""
        return account_of(self.node_id)

    @cached_property
    def address(self) -> str:
        """Return the account as people write it."""
        return encode_address(self.account)


def is_secret(secret: bytes) -> bool:
    """Say whether bytes are a usable private key."""
    return len(secret) == SECRET_BYTES and 0 < int.from_bytes(secret, "big") < CURVE_ORDER


def account_of(node_id: NodeId) -> AccountId:
    """Return the account of a node: the first 20 bytes of SHA-256 over its compressed key."""
    assert len(node_id) == NODE_ID_BYTES, len(node_id)
    return AccountId(sha256(node_id)[:ACCOUNT_BYTES])


def encode_address(account: AccountId) -> str:
    """Write an account as bech32m with prefix `pot`."""
    assert len(account) == ACCOUNT_BYTES, len(account)
    return encode_bech32m(ADDRESS_PREFIX, account)


def decode_address(text: str) -> AccountId:
    """Read an address that somebody typed, raising PeerError with the defect."""
    prefix, payload = decode_bech32m(text)
    if prefix != ADDRESS_PREFIX:
        raise PeerError(
            RejectionReason.MALFORMED, f"address begins with {prefix}1, not {ADDRESS_PREFIX}1"
        )
    if len(payload) != ACCOUNT_BYTES:
        raise PeerError(
            RejectionReason.MALFORMED, f"address holds {len(payload)} bytes, not {ACCOUNT_BYTES}"
        )
    return AccountId(payload)
