"""Node ids and peer ids are one key, spelled twice."""

import pytest
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.peer.id import ID

from potp2p.foundation.errors import ConfigurationError, PeerError
from potp2p.network.directory import parse_peer_address
from potp2p.network.identity import key_pair_of, node_id_of, peer_id_of, peer_name

SECRET = (1).to_bytes(32, "big")
NODE = bytes.fromhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")


def test_peer_id_of_a_known_secret_is_frozen() -> None:
    keys = key_pair_of(SECRET)
    node = node_id_of(ID.from_pubkey(keys.public_key))
    assert node == NODE
    assert peer_id_of(node) == ID.from_pubkey(keys.public_key)


def test_name_and_node_id_lead_to_each_other() -> None:
    node = node_id_of(ID.from_pubkey(key_pair_of(SECRET).public_key))
    assert node_id_of(ID.from_base58(peer_name(node))) == node


def test_identity_of_another_kind_is_refused() -> None:
    stranger = ID.from_pubkey(create_new_key_pair().public_key)
    with pytest.raises(PeerError, match="does not hold a secp256k1 key"):
        node_id_of(stranger)


@pytest.mark.parametrize(
    "text",
    ["", "localhost:4001", "/ip4/127.0.0.1/tcp/1", "/ip4/1.2.3.4/tcp/1/p2p/xyz", "/p2p", "/ip4/x"],
)
def test_bad_peer_address_is_one_clear_line(text: str) -> None:
    with pytest.raises(ConfigurationError, match="not a peer address") as caught:
        parse_peer_address(text)
    assert "\n" not in str(caught.value)


def test_good_peer_address_gives_peer_and_address() -> None:
    node = node_id_of(ID.from_pubkey(key_pair_of(SECRET).public_key))
    text = f"/ip4/127.0.0.1/tcp/4001/p2p/{peer_name(node)}"
    found, address = parse_peer_address(text)
    assert (found, str(address)) == (node, text)
