"""What every adversary is made of: a honest node's device and services, with a hand on them."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, TypeVar

from potp2p.foundation.types import AccountId, Round, ShardIndex, TaskId
from potp2p.node.composition import Node
from potp2p.protocol.wire.schema import decode, encode
from potp2p.services.drafts import lease_name
from potp2p.simulation.adversaries.kinds import Kind
from potp2p.training.commands import Command, Lease, Replay, Train
from potp2p.training.reports import Replayed, Report, Trained
from potp2p.workers.ports import OnProgress, WorkerFacts, Workers

Said = TypeVar("Said", Trained, Replayed)
Crime = tuple[TaskId, Round, ShardIndex]
"""The lease that somebody cheated on."""
Run = Callable[[Command], Awaitable[Report]]
"""Carries a command out honestly, on the device that the node asked for."""


@dataclass(frozen=True, slots=True)
class League:
    """What members of one league tell each other out of the network's sight: files in a folder."""

    folder: Path
    accounts: frozenset[AccountId] = frozenset()
    """Whom members help; empty: whoever left word in the folder."""

    def tell(self, lease: Lease, trained: Trained) -> None:
        """Leave word of what was claimed for a lease, with the trace that nobody else knows."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._path(lease)
        half = path.with_suffix(".part")
        half.write_bytes(encode(trained))
        half.replace(path)

    def told(self, lease: Lease) -> Trained | None:
        """Return what was claimed, if it was a member that claimed it."""
        path = self._path(lease)
        return decode(Trained, path.read_bytes()) if path.exists() else None

    def _path(self, lease: Lease) -> Path:
        name = lease_name((lease.task, lease.round, lease.shard)).replace(" ", "-")
        return self.folder / f"{lease.miner.hex()}-{name}"


@dataclass(slots=True)
class Cheat:
    """An adversary over one node; by itself it does nothing wrong."""

    KIND: ClassVar[Kind]
    league: League
    node: Node | None = None
    """Set once the node is built."""
    deeds: Counter[str] = field(default_factory=Counter[str])
    """How often it did what."""
    crimes: set[Crime] = field(default_factory=set[Crime])
    """Leases for which it handed in something else than asked: its other work is honest."""

    def commit(self, lease: Lease) -> None:
        """Note that a lease is cheated on."""
        self.crimes.add((lease.task, lease.round, lease.shard))

    async def train(self, command: Train, run: Run) -> Trained:
        """Return what is claimed for a lease; the payload must be written by then."""
        return expect(await run(command), Trained)

    async def replay(self, command: Replay, run: Run) -> Replayed:
        """Return what is said about another's contribution."""
        return expect(await run(command), Replayed)

    def take_over(self, node: Node) -> None:
        """Put a hand on services of the node before they run."""
        self.node = node

    async def scheme(self) -> None:
        """Do what needs no device, beside the node's own services; ends by cancellation."""


def expect(report: Report, kind: type[Said]) -> Said:
    """Return a report as what the command asked for."""
    assert isinstance(report, kind)
    return report


@dataclass(slots=True)
class CheatingWorkers:
    """A device behind which an adversary sits."""

    honest: Workers
    cheat: Cheat

    async def execute(
        self,
        command: Command,
        progress: OnProgress | None = None,
        device: int = 0,
        priority: int | None = None,
    ) -> Report:
        """Carry out one command, in the adversary's way."""

        async def run(honest: Command) -> Report:
            self.cheat.deeds[f"computed {type(honest).__name__.lower()}"] += 1
            return await self.honest.execute(honest, progress, device, priority)

        self.cheat.deeds[f"asked to {type(command).__name__.lower()}"] += 1
        match command:
            case Train():
                return await self.cheat.train(command, run)
            case Replay():
                return await self.cheat.replay(command, run)
            case _:
                return await run(command)

    def facts(self) -> tuple[WorkerFacts, ...]:
        """Return the devices as they are."""
        return self.honest.facts()
