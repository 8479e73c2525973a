"""Where each record lives: one prefix byte, then parts of fixed size; no two keys collide."""

from typing import Final

from potp2p.foundation.limits import DIGEST_BYTES
from potp2p.foundation.types import (
    AccountId,
    Cycle,
    Digest,
    Epoch,
    Height,
    Round,
    ShardIndex,
    TaskId,
)

LeasePlace = tuple[TaskId, Round, ShardIndex]
"""Names a lease, and so a contribution and its audit."""

CHAIN: Final = b"\x00"
ACCOUNT: Final = b"\x01"
MINER: Final = b"\x02"
TASK: Final = b"\x03"
ROUND: Final = b"\x04"
LEASE: Final = b"\x05"
AUDIT: Final = b"\x06"
RESULT_WEIGHTS: Final = b"\x07"
FROZEN_WEIGHTS: Final = b"\x08"
DUE: Final = b"\x09"
PAST_SEATS: Final = b"\x0a"
CANDIDATES: Final = b"\x0b"
CONVICT: Final = b"\x0c"
AUDITORS: Final = b"\x0d"


def chain_key() -> bytes:
    """Return the key of the one record about the chain."""
    return CHAIN


def account_key(account: AccountId) -> bytes:
    """Return the key of an account."""
    return ACCOUNT + account


def miner_key(account: AccountId) -> bytes:
    """Return the key of a registered miner, by the account of its node."""
    return MINER + account


def task_key(task: TaskId) -> bytes:
    """Return the key of a task."""
    return TASK + task


def round_key(task: TaskId, round_: Round) -> bytes:
    """Return the key of an open round."""
    return ROUND + task + _number(round_)


def round_place(key: bytes) -> tuple[TaskId, Round]:
    """Return task and round of a round's key."""
    assert key[:1] == ROUND, "key of no round"
    assert len(key) == 1 + DIGEST_BYTES + 4, "key of no round"
    number = Round(int.from_bytes(key[1 + DIGEST_BYTES :], "big"))
    return TaskId(Digest(key[1 : 1 + DIGEST_BYTES])), number


def lease_key(task: TaskId, round_: Round, shard: ShardIndex) -> bytes:
    """Return the key of a lease of an open round."""
    return LEASE + task + _number(round_) + _number(shard)


def lease_place(key: bytes) -> LeasePlace:
    """Return task, round and shard of a lease's key."""
    assert key[:1] == LEASE, "key of no lease"
    assert len(key) == 1 + DIGEST_BYTES + 8, "key of no lease"
    parts = key[1:]
    task, numbers = TaskId(Digest(parts[:DIGEST_BYTES])), parts[DIGEST_BYTES:]
    round_ = Round(int.from_bytes(numbers[:4], "big"))
    return task, round_, ShardIndex(int.from_bytes(numbers[4:], "big"))


def audit_key(task: TaskId, round_: Round, shard: ShardIndex) -> bytes:
    """Return the key of an open audit."""
    return AUDIT + task + _number(round_) + _number(shard)


def result_weights_key(cycle: Cycle) -> bytes:
    """Return the key of the weights whose results became final in a cycle."""
    return RESULT_WEIGHTS + _height(cycle)


def frozen_weights_key(cycle: Cycle) -> bytes:
    """Return the key of the weights that a cycle's draws use."""
    return FROZEN_WEIGHTS + _height(cycle)


def due_key(height: Height) -> bytes:
    """Return the key of the accounts whose unbonding ends at a height."""
    return DUE + _height(height)


def past_seats_key(epoch: Epoch) -> bytes:
    """Return the key of the seats of an epoch that is over."""
    return PAST_SEATS + _height(epoch)


def candidates_key() -> bytes:
    """Return the key of those who ask for a seat in the next epoch."""
    return CANDIDATES


def convict_key(account: AccountId) -> bytes:
    """Return the key of a conviction for signing twice."""
    return CONVICT + account


def auditors_key(cycle: Cycle) -> bytes:
    """Return the key of those who could audit when a cycle opened."""
    return AUDITORS + _height(cycle)


def _number(value: int) -> bytes:
    return value.to_bytes(4, "big")


def _height(value: int) -> bytes:
    return value.to_bytes(8, "big")
