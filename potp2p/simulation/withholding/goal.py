"""What a beacon gives the league, by the protocol's own draws."""

from dataclasses import dataclass, field
from typing import Final, assert_never

from potp2p.foundation.types import (
    Digest,
    Height,
    NodeId,
    Round,
    ShardIndex,
    TaskId,
    ValidatorIndex,
)
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.incentives.lottery import draw_miners
from potp2p.protocol.verification.sampling import (
    PPM,
    AuditorDraw,
    Candidate,
    draw_auditors,
    is_drawn,
    share_of_draw,
)
from potp2p.simulation.genesis import key_of
from potp2p.simulation.withholding.plan import Target, WithholdingPlan

TASK: Final = TaskId(Digest(sha256(b"withholding")))
MINERS: Final = 12
"""Miners of equal weight; every third one is the league's."""


@dataclass(slots=True)
class Goal:
    """What the league wants of the draw in work, by the protocol's own draws."""

    plan: WithholdingPlan
    nodes: list[NodeId]
    """Of every seat; auditors are drawn among them, all with one bond."""
    members: frozenset[ValidatorIndex]
    number: int = 0
    _candidates: tuple[Candidate, ...] = field(init=False)
    _own: frozenset[NodeId] = field(init=False)
    _all_own: float = 1.0
    """Chance that all auditors of a draw are the league's."""
    _weights: tuple[tuple[NodeId, int], ...] = field(init=False)
    _winners: frozenset[NodeId] = field(init=False)

    def __post_init__(self) -> None:
        self._candidates = tuple(
            Candidate(node, 1, frozenset({account_of(node)})) for node in self.nodes
        )
        self._own = frozenset(self.nodes[seat] for seat in self.members)
        for place in range(self.plan.committee):
            own = max(len(self.members) - place, 0)
            self._all_own *= own / (len(self.nodes) - place)
        miners = sorted(key_of(f"miner {index}").node_id for index in range(MINERS))
        self._weights = tuple((node, 1_000) for node in miners)
        self._winners = frozenset(miners[::3])

    def chance(self, tests: int) -> float:
        """Return the chance of success after some beacons, of others that nobody knows yet."""
        match self.plan.target:
            case Target.UNDETECTED:
                rate, whole = self.plan.rate / PPM, self.plan.tests
                left = rate * (whole - tests) / (whole - tests * rate)
                return 1 - left * (1 - self._all_own)
            case Target.AUTHOR:
                return len(self._winners) / MINERS
            case _:
                assert_never(self.plan.target)

    def outcome(self, beacon: Digest, height: Height, test: int) -> float | None:
        """Return 1 where a beacon gives the league what it wants, 0 where not; None: not yet."""
        match self.plan.target:
            case Target.UNDETECTED:
                if self._is_drawn(beacon, test):
                    return float(self._has_own_auditors(beacon))
                return 1.0 if test + 1 == self.plan.tests else None
            case Target.AUTHOR:
                first = draw_miners(beacon, height, self._weights, ())[0]
                return float(self._weights[first][0] in self._winners)
            case _:
                assert_never(self.plan.target)

    def _is_drawn(self, beacon: Digest, test: int) -> bool:
        share = share_of_draw(self.plan.rate, test, self.plan.tests)
        return is_drawn(beacon, TASK, Round(self.number), ShardIndex(0), share)

    def _has_own_auditors(self, beacon: Digest) -> bool:
        round_, shard = Round(self.number), ShardIndex(0)
        where = AuditorDraw(beacon, TASK, round_, shard, frozenset(), frozenset())
        return self._own.issuperset(draw_auditors(where, self._candidates, self.plan.committee))
