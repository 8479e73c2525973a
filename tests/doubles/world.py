"""The simulated network as tests use it: honest machines, and a client with money and packages."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from potp2p.client.light import trust_in
from potp2p.client.package import Package
from potp2p.client.session import Client
from potp2p.exchange.blobs import BlobExchange
from potp2p.foundation.types import POT, Amount, TaskId
from potp2p.protocol.wire.exchange import Role
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.tasks import TaskRules
from potp2p.simulation.genesis import (
    CLIENT_MONEY,
    START_SECONDS,
    key_of,
    make_genesis,
    unix_seconds,
)
from potp2p.simulation.machine import Machine
from potp2p.simulation.network import MemoryHub
from potp2p.simulation.packages import make_rules, write_files
from potp2p.simulation.stores import FolderBlobStore
from potp2p.simulation.transits import Transit
from potp2p.simulation.world import World as SimulatedWorld

__all__ = [
    "BUDGET",
    "CLIENT_MONEY",
    "FEE",
    "START_SECONDS",
    "Machine",
    "World",
    "key_of",
    "make_genesis",
    "make_rules",
    "open_world",
    "unix_seconds",
    "write_package",
]

BUDGET = Amount(60 * POT)
FEE = Amount(2_000_000)


def write_package(folder: Path, rules: TaskRules) -> Package:
    """Write a package folder that fits its rules."""
    write_files(folder, rules)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Package(folder, rules, size)


@dataclass(slots=True)
class World(SimulatedWorld):
    """Machines on one wire, and a client with money."""

    def client(self, name: str = "client") -> Client:
        """Attach a client as a light peer; its blob store serves what it packs."""
        trust, genesis = trust_in(self.genesis_bytes)
        keys = key_of(name)
        network = self.hub.attach(keys.node_id)
        store = FolderBlobStore(self.folder / f"{name}-blobs")
        blobs = BlobExchange(store, network, network, keys.node_id)
        return Client(keys, trust, genesis, network, store, blobs)  # type: ignore[arg-type]

    async def submit(self, rules: TaskRules, budget: Amount = BUDGET) -> tuple[Client, TaskId]:
        """Submit a fitting package and return who serves it."""
        await self.height(1)
        client = self.client()
        package = write_package(self.folder / "package", rules)
        return client, await client.submit_task(package, budget, FEE)


def _a_little_late(_transit: Transit) -> float:
    return 0.004


@asynccontextmanager
async def open_world(
    folder: Path,
    *,
    validators: int = 4,
    miners: int = 2,
    seats: int | None = None,
    audit_rate: int = 120_000,
    change: Callable[[Genesis], Genesis] = lambda genesis: genesis,
) -> AsyncIterator[World]:
    """
    Run a network of honest machines for as long as the context lasts.

    Seats beyond the validators started here are for the test to fill, or to leave empty.
    """
    hub = MemoryHub(delay_seconds=_a_little_late)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hub.run)
        world = World(
            folder, change(make_genesis(seats or validators, audit_rate=audit_rate)), hub, nursery
        )
        for index in range(validators):
            world.add(f"validator-{index}", Role.VALIDATOR)
        for index in range(miners):
            world.add(f"miner-{index}", Role.MINER)
        yield world
        nursery.cancel_scope.cancel()
