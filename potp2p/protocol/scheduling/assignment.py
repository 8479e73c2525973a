"""
The lease table of a round: which shards, and who computes which (DESIGN 6.2).

Every round leases the same number of shards whatever the number of miners, so that a result does
not depend on who is there; a miner's rate only decides its part of them. Everyone computes the same
table, nothing is sent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from potp2p.foundation.limits import SHARDS_PER_ROUND_MAX
from potp2p.foundation.types import Digest, NodeId, Round, ShardIndex, TaskId
from potp2p.protocol.crypto.beacon import shuffle

ASSIGN_DOMAIN: Final = "potp2p/draw/assign/1"
NEWCOMER_DOMAIN: Final = "potp2p/draw/newcomer/1"
NEWCOMERS_SHARE: Final = 8
"""Newcomers get at most this part of a round."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A live miner that meets a task's limits."""

    node: NodeId
    rate: int
    """Shards it can compute within a deadline, as measured."""
    proven: bool = True
    """Has delivered before; an identity alone costs seconds of hashing."""


def choose_shards(passes: Sequence[int], count: int) -> tuple[ShardIndex, ...]:
    """Return the least-processed shards, then by index; ascending."""
    ordered = sorted(range(len(passes)), key=lambda shard: (passes[shard], shard))
    return tuple(ShardIndex(shard) for shard in sorted(ordered[:count]))


def limit_newcomers(
    workers: Sequence[Worker], shards: int, *, beacon: Digest, task: TaskId, round_: Round
) -> tuple[Worker, ...]:
    """
    Return those that may be leased to: newcomers for an eighth of a round, one shard at least.

    Where nobody has delivered yet everybody is new and all may (DESIGN 8: fresh identities must
    not crowd out those that work).
    """
    proven = [each for each in workers if each.proven]
    if not proven:
        return tuple(workers)
    key = task + round_.to_bytes(4, "big")
    fresh = sorted((each for each in workers if not each.proven), key=lambda each: each.node)
    drawn = shuffle(beacon, NEWCOMER_DOMAIN, key, items=fresh)
    return (*proven, *drawn[: max(1, shards // NEWCOMERS_SHARE)])


def assign(
    shards: Sequence[ShardIndex],
    workers: Sequence[Worker],
    *,
    beacon: Digest,
    task: TaskId,
    round_: Round,
) -> tuple[NodeId, ...]:
    """Return the miner of each shard; the beacon orders the miners, and so breaks ties."""
    assert workers, "a round needs a miner"
    key = task + round_.to_bytes(4, "big")
    by_node = sorted(workers, key=lambda each: each.node)
    ordered = shuffle(beacon, ASSIGN_DOMAIN, key, items=by_node)
    counts = shares([each.rate for each in ordered], len(shards))
    table = [each.node for each, count in zip(ordered, counts, strict=True) for _ in range(count)]
    return tuple(table)


def shares(rates: Sequence[int], count: int) -> tuple[int, ...]:
    """
    Cut a number of shards by rate: one for everybody first, then largest remainders.

    With fewer shards than miners the first in order get one each.
    """
    each = 1 if count >= len(rates) else 0
    if each == 0:
        return tuple(1 if place < count else 0 for place in range(len(rates)))
    left, total = count - len(rates), sum(rates)
    parts = [1 + left * rate // total for rate in rates]
    remainders = [left * rate % total for rate in rates]
    order = sorted(range(len(rates)), key=lambda place: (-remainders[place], place))
    for place in order[: count - sum(parts)]:
        parts[place] += 1
    return tuple(parts)


def rate_after(rate: int, *, delivered: int, missed: int, blocks: int, deadline: int) -> int:
    """
    Return a miner's rate after a round: halved by a miss, else towards what it has just shown.

    What it has shown is how many leases of this kind fit its deadline; a rate at most doubles per
    round, and moves half of the way, since a block is a coarse clock.
    """
    if missed:
        return max(1, rate // 2)
    if delivered == 0:
        return rate
    shown = delivered * deadline // max(1, blocks)
    return max(1, min(2 * rate, (rate + shown + 1) // 2, SHARDS_PER_ROUND_MAX))
