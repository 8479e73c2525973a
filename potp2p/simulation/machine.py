"""One computer of a simulated network: its name and disk, and the node while it runs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import trio

from potp2p.foundation.types import AccountId, Amount, NodeId, TaskId
from potp2p.node.composition import Adapters, Node, NodePlan, build
from potp2p.node.running import start_services
from potp2p.protocol.crypto.identity import KeyPair
from potp2p.protocol.ledger.block import Outcome
from potp2p.protocol.ledger.records import Task
from potp2p.protocol.wire.exchange import Role
from potp2p.services.logbook import LogBook
from potp2p.simulation.disks import Disk, Kept, MemoryJournal, MemoryRecord
from potp2p.simulation.genesis import START_SECONDS, first_state, key_of, unix_seconds
from potp2p.simulation.network import MemoryHub, MemoryNetwork
from potp2p.simulation.stores import FolderBlobStore, MemoryChainStore, MemoryNotebook
from potp2p.simulation.transits import Address
from potp2p.simulation.workers import FakeWorkers
from potp2p.storage.scratch import ScratchFolder
from potp2p.workers.ports import Workers


@dataclass(slots=True)
class Machine:
    """
    What survives a power cut is here; the node is built from it at each boot.

    Every node is built by the composition that production uses; only adapters and clock differ.
    """

    name: str
    role: Role
    hub: MemoryHub
    genesis: bytes
    folder: Path
    workers: FakeWorkers | None
    device: Workers | None = None
    """What it computes with where that is not `workers`: an adversary before an honest device."""
    payout: AccountId | None = None
    """Read at each boot; None pays the machine's own account."""
    tamper: Callable[["Machine"], None] | None = None
    """Turns an honest node into a liar once it is built."""
    identity: str | None = None
    """Whose key it bears; None: that of its own name. Two machines of one key are twins."""
    first: Outcome | None = None
    """State at height 0; None: what the genesis document says."""
    skew_seconds: float = 0.0
    """How far the machine's clock is from the time of day."""
    disk: Disk = field(default_factory=Disk)
    store: MemoryChainStore = field(init=False)
    notebook: MemoryNotebook = field(init=False)
    journal: MemoryJournal = field(init=False)
    record: MemoryRecord = field(init=False)
    blobs: FolderBlobStore = field(init=False)
    network: MemoryNetwork = field(init=False)
    node: Node = field(init=False)
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    is_running: bool = False
    lives: int = 0
    """How often it was started."""

    def __post_init__(self) -> None:
        self._format()

    @property
    def keys(self) -> KeyPair:
        """Return the node's identity."""
        return key_of(self.identity or self.name)

    @property
    def node_id(self) -> NodeId:
        """Return the node's id."""
        return self.keys.node_id

    def boot(self) -> None:
        """Build the node from what the disk keeps."""
        self.journal.crash()
        if self.store.head() is None:
            self.store.plant(self.first or first_state(self.genesis))
        self.network = self.hub.attach(self.node_id, address=self._alias)
        self.node = build(self._plan(), self._adapters())
        self.scope = trio.CancelScope()
        self.is_running = True
        self.lives += 1
        if self.tamper is not None:
            self.tamper(self)

    @property
    def address(self) -> Address:
        """Return where the hub finds it."""
        return self.node_id if self._alias is None else self._alias.encode()

    @property
    def _alias(self) -> str | None:
        """Return what tells it from another machine that bears the same key."""
        return None if self.identity is None else self.name

    async def run(self, node: Node, scope: trio.CancelScope) -> None:
        """Run one life of the node until it is killed."""
        with scope:
            async with trio.open_nursery() as nursery:
                start_services(nursery, node)

    def kill(self) -> None:
        """End the process as SIGKILL does: at the next point where it waits."""
        self.is_running = False
        self.scope.cancel()
        self.hub.detach(self.node_id, address=self._alias)

    def lose_power(self, kept: Kept, random: Random) -> None:
        """End the process and lose what was not synced, or part of it."""
        self.kill()
        self.journal.crash(kept, random)

    def wipe(self) -> None:
        """Put an empty disk in."""
        assert not self.is_running, "pull the plug first"
        self._format()

    def said(self, part: str) -> list[str]:
        """Return the lines of the node's log that contain something."""
        return [line.text for line in self.node.logbook.lines() if part in line.text]

    def task(self, task: TaskId) -> Task | None:
        """Return a task as this node's state has it."""
        return self.node.chain.state().find_task(task)

    def _format(self) -> None:
        self.store = MemoryChainStore(disk=self.disk)
        self.blobs = FolderBlobStore(self.folder / "blobs", self.disk)
        self.notebook = MemoryNotebook(disk=self.disk)
        self.journal = MemoryJournal(disk=self.disk)
        self.record = MemoryRecord(disk=self.disk)

    def _plan(self) -> NodePlan:
        return NodePlan(
            role=self.role,
            name=self.name,
            version="0.0.0",
            data_folder=self.folder,
            secret=self.keys.secret,
            genesis=self.genesis,
            payout=self.payout,
            lowest_price=Amount(1),
            bootstrap=(),
            pid=1,
            started_at=START_SECONDS,
        )

    def _now(self) -> float:
        return unix_seconds() + self.skew_seconds

    def _adapters(self) -> Adapters:
        return Adapters(
            gossip=self.network,
            streams=self.network,
            directory=self.network,
            network_facts=self.network.facts,
            chain_store=self.store,
            blob_store=self.blobs,
            scratch=ScratchFolder.open(self.folder / "work"),
            notebook=self.notebook,
            journal=self.journal,
            safety=self.record,
            workers=self.device or self.workers,
            logbook=LogBook(self._now),
            unix_seconds=self._now,
        )


def leaves_of(error: Exception) -> list[Exception]:
    """Return the errors that nurseries have wrapped, one by one."""
    if not isinstance(error, ExceptionGroup):
        return [error]
    return [leaf for inner in error.exceptions for leaf in leaves_of(inner)]
