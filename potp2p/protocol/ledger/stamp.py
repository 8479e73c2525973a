"""
The stamp on a registration: a hash with leading zero bits, so that identities cost seconds.

It begins with the cycle it is for: none can be kept for later, nor a registration said again once
its miner has left the state.
"""

from typing import Final

from potp2p.foundation.types import ChainId, Cycle, NodeId
from potp2p.protocol.crypto.hashing import tagged_hash

STAMP_DOMAIN: Final = "potp2p/stamp/1"
STAMP_BYTES: Final = 8
NO_STAMP: Final = bytes(STAMP_BYTES)
"""Below every valid stamp: what a miner has before its first registration."""
CYCLE_BYTES: Final = 4
STAMP_CYCLES: Final = 2
"""Cycles after its own in which a stamp is still taken."""


def cycle_of_stamp(stamp: bytes) -> Cycle:
    """Return the cycle that a stamp is for."""
    return Cycle(int.from_bytes(stamp[:CYCLE_BYTES], "big"))


def is_of_now(stamp: bytes, cycle: Cycle) -> bool:
    """Tell whether a stamp is for this cycle or one of the last."""
    return 0 <= cycle - cycle_of_stamp(stamp) <= STAMP_CYCLES


def last_before(stamp: bytes, cycle: Cycle) -> bytes:
    """Return what the next stamp must exceed: the one before it, and all of earlier cycles."""
    return max(stamp, cycle.to_bytes(CYCLE_BYTES, "big") + bytes(STAMP_BYTES - CYCLE_BYTES))


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
