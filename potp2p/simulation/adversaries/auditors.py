"""Auditors that do not say what a replay showed, and the miner that counts on one of them."""

from dataclasses import dataclass, replace
from typing import ClassVar, Final

from potp2p.foundation.types import MicroNats, PartsPerMillion
from potp2p.protocol.ledger.records import Claim
from potp2p.protocol.wire.verification import Distances
from potp2p.simulation.adversaries.cheat import Cheat, Run, expect
from potp2p.simulation.adversaries.forgery import invented
from potp2p.simulation.adversaries.kinds import Kind
from potp2p.simulation.adversaries.miners import FreeRider
from potp2p.training.commands import Replay
from potp2p.training.reports import Replayed, Trained

FAR: Final = PartsPerMillion(100_000)
"""More than any class allows."""
NOWHERE_NEAR = Distances(PartsPerMillion(900_000), PartsPerMillion(900_000), exponents_fit=False)
PERFECT = Distances(PartsPerMillion(0), PartsPerMillion(0), exponents_fit=True)


@dataclass(slots=True)
class LazyAuditor(Cheat):
    """
    Approves unseen: commits to a perfect distance without replaying.

    Hopes for an auditor's pay without the work. Stopped by the trace: it must commit to losses and
    gradient norms that only a replay knows, before the miner opens them; what does not match makes
    a split, all judges replay, and whoever disagrees with them is slashed.
    """

    KIND: ClassVar = Kind.LAZY_AUDITOR

    async def replay(self, command: Replay, run: Run) -> Replayed:
        """Approve with an invented trace and the claim's public losses."""
        del run
        self.commit(command.lease)
        claim = self._claim(command)
        before, after = (1, 1) if claim is None else (claim.loss_before, claim.loss_after)
        return _report(invented(command.rules, before, after), PERFECT)

    def _claim(self, command: Replay) -> Claim | None:
        assert self.node is not None
        lease = command.lease
        found = self.node.chain.state().find_lease(lease.task, lease.round, lease.shard)
        return None if found is None else found.claim


@dataclass(slots=True)
class LyingAuditor(Cheat):
    """
    Replays, and says the opposite: fails the honest, passes the rest.

    Hopes for the reward of a prover, or to have rivals banned. Stopped by the other auditors: a
    split makes all judges replay, and the liar loses more than a reward is worth.
    """

    KIND: ClassVar = Kind.LYING_AUDITOR

    async def replay(self, command: Replay, run: Run) -> Replayed:
        """Turn the finding around."""
        found = expect(await run(command), Replayed)
        honest = found.distances.exponents_fit and found.distances.overall < FAR
        self.commit(command.lease)
        return replace(found, distances=NOWHERE_NEAR if honest else PERFECT)


@dataclass(slots=True)
class ColludingMiner(FreeRider):
    """
    A free-rider that tells an auditor of its league the trace it committed to.

    Hopes to be judged by its friend alone. Stopped by the draw, which takes auditors at random by
    bond, two of them, with certainty of escalation when they disagree.
    """

    KIND: ClassVar = Kind.COLLUDING_PAIR


@dataclass(slots=True)
class ColludingAuditor(Cheat):
    """
    The miner's friend: passes what its league claimed, with the trace it was told; else honest.

    Its approval is perfect, trace included; only another auditor's replay gives it away, and then
    it is slashed for having said pass where fail stands.
    """

    KIND: ClassVar = Kind.COLLUDING_PAIR

    async def replay(self, command: Replay, run: Run) -> Replayed:
        """Repeat what the friend said, or replay a stranger's work."""
        told = self.league.told(command.lease)
        if told is None:
            return expect(await run(command), Replayed)
        self.commit(command.lease)
        return _report(told, PERFECT)


def _report(claimed: Trained, distances: Distances) -> Replayed:
    return Replayed(
        loss_before=MicroNats(claimed.loss_before),
        loss_after=MicroNats(claimed.loss_after),
        diverged=claimed.diverged,
        trace=claimed.trace,
        distances=distances,
        instability=None,
        milliseconds=1,
    )
