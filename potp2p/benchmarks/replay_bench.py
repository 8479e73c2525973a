"""One task on all rigs of a machine: trained, replayed, advanced by the network's own workers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Final

import trio

from potp2p.benchmarks.replay_rigs import Rig
from potp2p.foundation.types import AccountId, Digest, Round, ShardIndex, TaskId
from potp2p.protocol.verification.commitments import Finding
from potp2p.protocol.verification.tolerance import Tolerance, tolerance_of
from potp2p.protocol.verification.verdict import Claims, Measure, measures_of
from potp2p.protocol.wire.manifests import EVALUATION_FILE, INITIAL_FILE, MODEL_FILE, shard_file
from potp2p.protocol.wire.tasks import TaskRules
from potp2p.training.commands import Aggregate, Lease, Replay, Train
from potp2p.training.reports import Aggregated, Replayed, Trained
from potp2p.workers.supervisor import Workers

TASK: Final = TaskId(Digest(bytes(32)))
MINER: Final = AccountId(bytes(20))


@dataclass(frozen=True, slots=True)
class Spot:
    """One lease: what is computed, and the weights it starts from."""

    round: int
    shard: int
    theta: Path

    @property
    def lease(self) -> Lease:
        """Return what its payload hashes in."""
        return Lease(MINER, TASK, Round(self.round), ShardIndex(self.shard))


@dataclass(frozen=True, slots=True)
class Order:
    """What is trained for a spot: by an honest miner, exactly what the rules say."""

    rules: TaskRules
    theta: Path
    shard: int


@dataclass(slots=True)
class Bench:
    """A task's files and the rigs that compute it."""

    package: Path
    rules: TaskRules
    scratch: Path
    rigs: tuple[Rig, ...]
    workers: dict[str, Workers] = field(default_factory=dict[str, Workers])

    @property
    def tolerance(self) -> Tolerance:
        """Return what the task's class allows."""
        return tolerance_of(self.rules.model.tolerance, self.rules.mode)

    @property
    def initial(self) -> Path:
        """Return the first checkpoint."""
        return self.package / INITIAL_FILE

    def spots(self, index: int, theta: Path) -> tuple[Spot, ...]:
        """Return a round's leases, least-processed shards first, in the order of shards."""
        count, each = self.rules.rounds.shards, self.rules.rounds.shards_per_round
        shards = sorted((index * each + offset) % count for offset in range(each))
        return tuple(Spot(index, shard, theta) for shard in shards)

    def honest(self, spot: Spot) -> Order:
        """Return what the rules ask for."""
        return Order(self.rules, spot.theta, spot.shard)

    async def train(self, rig: Rig, spot: Spot, order: Order, payload: Path) -> Trained:
        """Compute a lease on a rig as its miner would."""
        command = Train(
            spot.lease,
            rig.rules(order.rules),
            str(self.package / MODEL_FILE),
            str(order.theta),
            str(self.package / shard_file(ShardIndex(order.shard))),
            str(payload),
        )
        report = await self.workers[rig.name].execute(command)
        assert isinstance(report, Trained)
        return report

    async def replay(
        self, rig: Rig, spot: Spot, payload: Path, *, always: bool = False
    ) -> Replayed:
        """Replay a lease on a rig as an auditor would, always twice if asked to."""
        command = Replay(
            spot.lease,
            rig.rules(self.rules),
            str(self.package / MODEL_FILE),
            str(spot.theta),
            str(self.package / shard_file(ShardIndex(spot.shard))),
            str(payload),
            # Each rig with a nudge of its own, as each auditor.
            Digest(sha256(f"{rig.name} {spot.round} {spot.shard}".encode()).digest()),
            always=always,
        )
        report = await self.workers[rig.name].execute(command)
        assert isinstance(report, Replayed)
        return report

    async def advance(self, index: int, theta: Path, payloads: tuple[Path, ...]) -> Path:
        """Return theta(t+1), computed on the first rig."""
        result = self.scratch / f"theta-{index + 1}.safetensors"
        command = Aggregate(
            self.rules,
            TASK,
            Round(index),
            str(self.package / MODEL_FILE),
            str(theta),
            tuple(str(payload) for payload in payloads),
            str(result),
            str(self.package / EVALUATION_FILE),
        )
        report = await self.workers[self.rigs[0].name].execute(command)
        assert isinstance(report, Aggregated)
        return result

    def measures(self, claims: Trained | Replayed, found: Replayed) -> list[Measure]:
        """Return all that the protocol compares; an auditor's own claims are beyond reproach."""
        finding = Finding(
            found.trace, found.loss_before, found.loss_after, found.distances, found.instability
        )
        said = Claims(claims.trace, claims.loss_before, claims.loss_after, claims.diverged)
        return list(measures_of(said, finding, self.tolerance))


@asynccontextmanager
async def open_rigs(rigs: tuple[Rig, ...]) -> AsyncIterator[dict[str, Workers]]:
    """Keep one worker process for each rig."""
    async with trio.open_nursery() as nursery:
        workers: dict[str, Workers] = {}
        for rig in rigs:
            workers[rig.name] = Workers((rig.device,), nice=0, environment=rig.environment)
            await nursery.start(workers[rig.name].run)
        yield workers
        nursery.cancel_scope.cancel()


def fewer_steps(rules: TaskRules, *, steps: int = 0, micro_batches: int = 0) -> TaskRules:
    """Return rules of less work, as one who cuts corners would have them."""
    batch = rules.batch
    return replace(
        rules,
        batch=replace(
            batch, steps=batch.steps - steps, micro_batches=batch.micro_batches - micro_batches
        ),
    )
