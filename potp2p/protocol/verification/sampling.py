"""Who is audited, and by whom: drawn by a beacon that nobody knew before (DESIGN 8.2)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from potp2p.foundation.types import AccountId, Digest, NodeId, Round, ShardIndex, TaskId
from potp2p.protocol.crypto.beacon import draw

PPM: Final = 1_000_000
AUDIT_DRAW_DOMAIN: Final = "potp2p/draw/audit/1"
AUDITOR_DRAW_DOMAIN: Final = "potp2p/draw/auditor/1"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A bonded node that could audit, and the accounts it acts for."""

    node: NodeId
    weight: int
    """Its bond."""
    accounts: frozenset[AccountId]
    """Its own, where it is paid, and who bonded it."""


def audit_probability(*, base: int, at_stake: int, bond: int) -> int:
    """
    Return p_i = min(1, max(p, 2R / (R + B))) in ppm; B is what a conviction takes.

    The 2: primaries in league may redraw and auditors all in league pass anything, so at least p/2
    is left. A miner without bond is audited every time.
    """
    if bond <= 0:
        return PPM
    if at_stake <= 0:
        return min(PPM, base)
    # Rounded up: one part in a million less would leave the gain of cheating above zero.
    return min(PPM, max(base, -(-2 * at_stake * PPM // (at_stake + bond))))


def is_drawn(
    beacon: Digest, task: TaskId, round_: Round, shard: ShardIndex, probability: int
) -> bool:
    """Tell whether a contribution is audited."""
    if probability >= PPM:
        return True
    return draw(beacon, AUDIT_DRAW_DOMAIN, _lease(task, round_, shard), below=PPM) < probability


def share_of_draw(probability: int, test: int, tests: int) -> int:
    """
    Return the probability (ppm) of one test of several, if none before it has drawn.

    One beacon is known to whoever reveals last, who may withhold it, and a miner that claims last
    can choose who that is. So a draw is spread over a turn of every primary: each adds the same
    part of the probability, and a league decides about no more than its own third of it.
    """
    assert 0 <= test < tests, (test, tests)
    return -(-probability * PPM // (tests * PPM - test * probability))


def drawing_beacon(
    beacons: Sequence[Digest], task: TaskId, round_: Round, shard: ShardIndex, probability: int
) -> Digest | None:
    """Return the first of the beacons that draws a contribution for an audit; None: none does."""
    tests = len(beacons)
    for test, beacon in enumerate(beacons):
        if is_drawn(beacon, task, round_, shard, share_of_draw(probability, test, tests)):
            return beacon
    return None


@dataclass(frozen=True, slots=True)
class AuditorDraw:
    """What a draw of auditors depends on besides its candidates."""

    beacon: Digest
    task: TaskId
    round: Round
    shard: ShardIndex
    excluded: frozenset[AccountId]
    """Accounts of miner and client, and of auditors drawn before."""
    busy: frozenset[NodeId]
    """Who has as many audits open as it can do: drawn only where nobody else is left."""


def draw_auditors(
    where: AuditorDraw, candidates: Sequence[Candidate], committee: int
) -> tuple[NodeId, ...]:
    """
    Draw auditors by weight without replacement; no two of them act for one account.

    Fewer than asked for where there are no more that may.
    """
    drawn: list[NodeId] = []
    excluded = set(where.excluded)
    idle = [each for each in candidates if each.node not in where.busy]
    rest = [each for each in candidates if each.node in where.busy]
    for group in (idle, rest):
        while len(drawn) < committee:
            found = _draw_one(where, group, excluded, len(drawn))
            if found is None:
                break
            drawn.append(found.node)
            excluded |= found.accounts
    return tuple(drawn)


def _draw_one(
    where: AuditorDraw,
    candidates: Sequence[Candidate],
    excluded: Collection[AccountId],
    place: int,
) -> Candidate | None:
    allowed = [each for each in candidates if each.weight and each.accounts.isdisjoint(excluded)]
    total = sum(each.weight for each in allowed)
    if not total:
        return None
    lease = _lease(where.task, where.round, where.shard)
    left = draw(where.beacon, AUDITOR_DRAW_DOMAIN, lease, place.to_bytes(4, "big"), below=total)
    for each in allowed:
        if left < each.weight:
            return each
        left -= each.weight
    raise AssertionError("a draw below the total names someone")


def _lease(task: TaskId, round_: Round, shard: ShardIndex) -> bytes:
    return task + round_.to_bytes(4, "big") + shard.to_bytes(4, "big")
