"""Our node ids and the library's peer ids: the same compressed secp256k1 key, spelled twice."""

from typing import Final

from libp2p.crypto.keys import KeyPair
from libp2p.crypto.secp256k1 import Secp256k1PrivateKey
from libp2p.peer.id import ID

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.limits import NODE_ID_BYTES
from potp2p.foundation.types import NodeId

SECRET_KEY_BYTES: Final = 32
_PREFIX: Final = bytes((0x00, 0x25, 0x08, 0x02, 0x12, 0x21))
"""Identity multihash of 37 bytes over the protobuf {type: Secp256k1, data: 33 bytes}."""


def key_pair_of(secret_key: bytes) -> KeyPair:
    """Return the library's key pair of a raw 32-byte secret."""
    assert len(secret_key) == SECRET_KEY_BYTES, "a secp256k1 secret has 32 bytes"
    secret = Secp256k1PrivateKey.new(secret_key)
    return KeyPair(secret, secret.get_public_key())


def node_id_of(peer: ID) -> NodeId:
    """Return the key inside a peer id, or refuse a peer whose identity is of another kind."""
    encoded = peer.to_bytes()
    if len(encoded) != len(_PREFIX) + NODE_ID_BYTES or not encoded.startswith(_PREFIX):
        raise PeerError(RejectionReason.MALFORMED, "peer id does not hold a secp256k1 key")
    return NodeId(encoded[len(_PREFIX) :])


def peer_id_of(node: NodeId) -> ID:
    """Return the library's peer id of a node."""
    assert len(node) == NODE_ID_BYTES, "a node id is a compressed key"
    return ID(_PREFIX + node)


def peer_name(node: NodeId) -> str:
    """Return the peer id as people see it in multiaddresses."""
    return str(peer_id_of(node))
