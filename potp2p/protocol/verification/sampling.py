"""Who is audited, and by whom: drawn by a beacon that nobody knew before (DESIGN 8.2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from potp2p.foundation.types import AccountId, Digest, NodeId, Round, ShardIndex, TaskId
from potp2p.protocol.crypto.beacon import draw, sample

PPM: Final = 1_000_000
AUDIT_DRAW_DOMAIN: Final = "potp2p/draw/audit/1"
AUDITOR_DRAW_DOMAIN: Final = "potp2p/draw/auditor/1"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A bonded node that could audit, and the accounts it acts for."""

    node: NodeId
    accounts: frozenset[AccountId]


def audit_probability(*, base: int, at_stake: int, bond: int) -> int:
    """
    Return p_i = min(1, max(p, 2R / (R + B))) in ppm.

    The 2: primaries in league may redraw and auditors all in league pass anything, so at least p/2
    is left. A miner without bond is audited every time.
    """
    if at_stake <= 0:
        return min(PPM, base)
    return min(PPM, max(base, 2 * at_stake * PPM // (at_stake + bond)))


def is_drawn(
    beacon: Digest, task: TaskId, round_: Round, shard: ShardIndex, probability: int
) -> bool:
    """Tell whether a contribution is audited."""
    if probability >= PPM:
        return True
    return draw(beacon, AUDIT_DRAW_DOMAIN, _lease(task, round_, shard), below=PPM) < probability


def draw_auditors(  # noqa: PLR0913  # the draw and everything that it depends on
    beacon: Digest,
    task: TaskId,
    round_: Round,
    shard: ShardIndex,
    *,
    candidates: Sequence[Candidate],
    excluded: frozenset[AccountId],
    committee: int,
) -> tuple[NodeId, ...]:
    """Draw distinct auditors among those that share no account with miner or client."""
    allowed = [each.node for each in candidates if not each.accounts & excluded]
    lease = _lease(task, round_, shard)
    return tuple(sample(beacon, AUDITOR_DRAW_DOMAIN, lease, items=allowed, count=committee))


def _lease(task: TaskId, round_: Round, shard: ShardIndex) -> bytes:
    return task + round_.to_bytes(4, "big") + shard.to_bytes(4, "big")
