"""The stamp on a registration: a hash with leading zero bits, so that identities cost seconds."""

from typing import Final

from potp2p.foundation.types import ChainId, NodeId
from potp2p.protocol.crypto.hashing import tagged_hash

STAMP_DOMAIN: Final = "potp2p/stamp/1"
STAMP_BYTES: Final = 8
NO_STAMP: Final = bytes(STAMP_BYTES)
"""Below every valid stamp: what a miner has before its first registration."""


def is_stamp(chain_id: ChainId, node: NodeId, stamp: bytes, bits: int) -> bool:
    """Tell whether a stamp has the leading zero bits that the network asks for."""
    digest = tagged_hash(STAMP_DOMAIN, chain_id, node, stamp)
    return int.from_bytes(digest, "big") >> (8 * len(digest) - bits) == 0


def search_stamp(
    chain_id: ChainId, node: NodeId, bits: int, *, after: bytes, tries: int
) -> tuple[bytes, bool]:
    """
    Try the stamps above a given one; returns the last one tried and whether it is valid.

    A registration's stamp must exceed the one before it, so an old registration is never replayed.
    """
    number = int.from_bytes(after, "big")
    stamp = after
    for _ in range(tries):
        number += 1
        stamp = number.to_bytes(STAMP_BYTES, "big")
        if is_stamp(chain_id, node, stamp, bits):
            return stamp, True
    return stamp, False
