"""Signatures that must hold, and all the ways in which they must not."""

import pytest

from potp2p.foundation.errors import PeerError
from potp2p.foundation.types import ChainId, NodeId, Signature
from potp2p.protocol.crypto.identity import CURVE_ORDER, KeyPair
from potp2p.protocol.crypto.signing import sign, verify_node_id, verify_signature

KEYS = KeyPair.from_secret(b"\x11" * 32)
OTHER = KeyPair.from_secret(b"\x22" * 32)
CHAIN = ChainId(b"\xaa" * 32)
DOMAIN = "potp2p/test/1"
BODY = b"one apple"
SIGNATURE = sign(KEYS, DOMAIN, CHAIN, BODY)


def test_own_signature_verifies_and_is_always_the_same() -> None:
    verify_signature(KEYS.node_id, SIGNATURE, DOMAIN, CHAIN, BODY)

    assert sign(KEYS, DOMAIN, CHAIN, BODY) == SIGNATURE
    assert SIGNATURE.hex() == FROZEN


@pytest.mark.parametrize(
    ("node_id", "domain", "chain_id", "body"),
    [
        (OTHER.node_id, DOMAIN, CHAIN, BODY),
        (KEYS.node_id, "potp2p/test/2", CHAIN, BODY),
        (KEYS.node_id, DOMAIN, ChainId(b"\xab" * 32), BODY),
        (KEYS.node_id, DOMAIN, CHAIN, b"one pear"),
    ],
)
def test_signature_is_bound_to_signer_domain_chain_and_body(
    node_id: NodeId, domain: str, chain_id: ChainId, body: bytes
) -> None:
    with pytest.raises(PeerError, match="bad_signature"):
        verify_signature(node_id, SIGNATURE, domain, chain_id, body)


def test_high_s_form_of_a_good_signature_is_refused() -> None:
    s = int.from_bytes(SIGNATURE[32:], "big")
    twin = Signature(SIGNATURE[:32] + (CURVE_ORDER - s).to_bytes(32, "big"))

    with pytest.raises(PeerError, match="out of range"):
        verify_signature(KEYS.node_id, twin, DOMAIN, CHAIN, BODY)


@pytest.mark.parametrize(
    "signature",
    [
        b"", bytes(64), SIGNATURE[:63], SIGNATURE + b"\x00", b"\xff" * 64,
        SIGNATURE[:32] + bytes(32), bytes(32) + SIGNATURE[32:],
        CURVE_ORDER.to_bytes(32, "big") + SIGNATURE[32:],
        bytes([SIGNATURE[0] ^ 1]) + SIGNATURE[1:],
    ],
)  # fmt: skip
def test_garbage_in_place_of_a_signature_is_one_named_refusal(signature: bytes) -> None:
    with pytest.raises(PeerError, match="bad_signature"):
        verify_signature(KEYS.node_id, Signature(signature), DOMAIN, CHAIN, BODY)


@pytest.mark.parametrize(
    "node_id",
    [
        b"", bytes(33), b"\x02" + b"\xff" * 32, b"\x02" + bytes(31) + b"\x05",
        b"\x04" + bytes(64), KEYS.node_id[:32], b"\x00" + KEYS.node_id[1:],
        bytes.fromhex(
            "0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
            "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8"
        ),
    ],
)  # fmt: skip
def test_bytes_that_are_no_compressed_point_are_no_signer(node_id: bytes) -> None:
    with pytest.raises(PeerError, match="bad_signature"):
        verify_signature(NodeId(node_id), SIGNATURE, DOMAIN, CHAIN, BODY)
    with pytest.raises(PeerError, match="bad_signature"):
        verify_node_id(NodeId(node_id))


FROZEN = (
    "cacf2c5540f18936a3e0ce364326bb808b8f7c18c9634bbc6a858d6b6fa19e6f"
    "1c464f6737d53675e8aa7238114060edaa721f9ff56647344910d223581add8b"
)
