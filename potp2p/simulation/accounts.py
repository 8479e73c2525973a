"""A state as an accountant reads it: records of money added up, and the root hashed anew."""

from collections.abc import Mapping
from hashlib import sha256

from potp2p.foundation.types import Digest, NodeId
from potp2p.protocol.ledger.keys import ACCOUNT, CHAIN, TASK
from potp2p.protocol.ledger.records import Account, Chain, Task
from potp2p.protocol.wire.schema import decode

_NOTHING = bytes(32)


def money_of(states: Mapping[bytes, bytes]) -> int:
    """Add up every balance, bond, unbonding, escrow and waiting tip."""
    total = 0
    for key, value in states.items():
        if key == CHAIN:
            total += decode(Chain, value).pending_tips
        elif key.startswith(ACCOUNT):
            account = decode(Account, value)
            total += account.balance + account.bond
            total += sum(each.amount for each in account.unbonding)
        elif key.startswith(TASK):
            total += decode(Task, value).escrow
    return total


def supply_of(states: Mapping[bytes, bytes]) -> int:
    """Return how much money the state says exists."""
    return decode(Chain, states[CHAIN]).supply


def voters_after(states: Mapping[bytes, bytes]) -> tuple[NodeId, ...]:
    """Return who may seal the block after a state: the next epoch's seats once they are fixed."""
    chain = decode(Chain, states[CHAIN])
    return chain.next_seats or tuple(seat.node for seat in chain.seats)


def root_of(states: Mapping[bytes, bytes]) -> Digest:
    """
    Hash all records into a root, from nothing.

    A lone leaf stands for its whole subtree; leaves begin with 0x00, inner nodes with 0x01.
    """
    leaves = sorted((sha256(key).digest(), sha256(value).digest()) for key, value in states.items())
    return Digest(_subtree(leaves, 0))


def _subtree(leaves: list[tuple[bytes, bytes]], depth: int) -> bytes:
    if not leaves:
        return _NOTHING
    if len(leaves) == 1:
        key, value = leaves[0]
        return sha256(b"\x00" + key + value).digest()
    split = 0
    while split < len(leaves) and not leaves[split][0][depth // 8] >> (7 - depth % 8) & 1:
        split += 1
    left, right = _subtree(leaves[:split], depth + 1), _subtree(leaves[split:], depth + 1)
    return sha256(b"\x01" + left + right).digest()
