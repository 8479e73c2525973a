"""
The lease table of a round: which shards, and who computes which (DESIGN 6.2).

Every round leases the same number of shards whatever the number of miners, so that a result does
not depend on who is there; a miner's rate only decides its part of them. Everyone computes the same
table, nothing is sent.

Miners stand in the order of a hash of the beacon and their own key, so that whoever comes, goes or
changes its offer changes no other's place: nobody can draw again by sending one of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from potp2p.foundation.limits import SHARDS_PER_ROUND_MAX
from potp2p.foundation.types import Digest, NodeId, Round, ShardIndex, TaskId
from potp2p.protocol.crypto.beacon import draw
from potp2p.protocol.crypto.hashing import tagged_hash

ASSIGN_DOMAIN: Final = "potp2p/draw/assign/1"
NEWCOMER_DOMAIN: Final = "potp2p/draw/newcomer/1"
STAND_IN_DOMAIN: Final = "potp2p/draw/stand-in/1"
NEWCOMERS_SHARE: Final = 8
"""Newcomers get at most this part of a round while bonded miners want the rest."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A live miner that meets a task's limits."""

    node: NodeId
    rate: int
    """Shards it can compute within a deadline, as measured."""
    bonded: bool = True
    """Its bond suffices; an identity alone costs seconds of hashing."""


def choose_shards(passes: Sequence[int], count: int) -> tuple[ShardIndex, ...]:
    """Return the least-processed shards, then by index; ascending."""
    ordered = sorted(range(len(passes)), key=lambda shard: (passes[shard], shard))
    return tuple(ShardIndex(shard) for shard in sorted(ordered[:count]))


def limit_newcomers(
    workers: Sequence[Worker], shards: int, *, beacon: Digest, task: TaskId, round_: Round
) -> tuple[Worker, ...]:
    """
    Return those that may be leased to: newcomers for an eighth of a round, or for what is left.

    The eighth is exact on average: what does not divide is one more shard in so many rounds, so
    that newcomers get into small rounds too. Where nobody has a bond all may (DESIGN 8).
    """
    bonded = [each for each in workers if each.bonded]
    if not bonded:
        return tuple(workers)
    key = _key(task, round_)
    luck = draw(beacon, NEWCOMER_DOMAIN, key, below=NEWCOMERS_SHARE)
    unwanted = shards - sum(each.rate for each in bonded)
    room = max((shards + luck) // NEWCOMERS_SHARE, unwanted)
    fresh = [each for each in workers if not each.bonded]
    return (*bonded, *_in_order(fresh, NEWCOMER_DOMAIN, beacon, key)[:room])


def assign(
    shards: Sequence[ShardIndex],
    workers: Sequence[Worker],
    *,
    beacon: Digest,
    task: TaskId,
    round_: Round,
) -> tuple[NodeId, ...]:
    """
    Return the miner of each shard: newcomers one each, the bonded by rate.

    Where nobody has a bond all are alike, by rate: the shards have to be leased.
    """
    assert workers, "a round needs a miner"
    ordered = _in_order(workers, ASSIGN_DOMAIN, beacon, _key(task, round_))
    bonded = [each for each in ordered if each.bonded]
    fresh = [each for each in ordered if bonded and not each.bonded][: len(shards)]
    counts = dict.fromkeys((each.node for each in fresh), 1)
    bonded = bonded or list(ordered)
    parts = shares([each.rate for each in bonded], len(shards) - len(fresh))
    counts |= {each.node: part for each, part in zip(bonded, parts, strict=True)}
    return tuple(each.node for each in ordered for _ in range(counts.get(each.node, 0)))


def stand_in(
    shards: Sequence[ShardIndex],
    workers: Sequence[Worker],
    *,
    beacon: Digest,
    task: TaskId,
    round_: Round,
) -> tuple[tuple[ShardIndex, NodeId], ...]:
    """Return who may compute which shard too: one each, the bonded first."""
    ordered = _in_order(workers, STAND_IN_DOMAIN, beacon, _key(task, round_))
    ranked = sorted(ordered, key=lambda each: not each.bonded)
    return tuple((shard, each.node) for shard, each in zip(shards, ranked, strict=False))


def _key(task: TaskId, round_: Round) -> bytes:
    return task + round_.to_bytes(4, "big")


def _in_order(
    workers: Sequence[Worker], domain: str, beacon: Digest, key: bytes
) -> tuple[Worker, ...]:
    return tuple(sorted(workers, key=lambda each: tagged_hash(domain, beacon, key, each.node)))


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
