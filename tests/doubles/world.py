"""
A whole network in one trio process: real nodes over memory, fake devices and virtual time.

Every node is built by the composition that production uses; only adapters and clock differ. What a
machine's disk keeps survives `kill`, what it did not sync does not.
"""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import trio

from potp2p.client.light import trust_in
from potp2p.client.package import Package
from potp2p.client.session import Client
from potp2p.exchange.blobs import BlobExchange
from potp2p.foundation.types import POT, AccountId, Amount, ChainId, NodeId, PartsPerMillion, TaskId
from potp2p.node.composition import Adapters, Node, NodePlan, build
from potp2p.node.running import start_services
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.crypto.identity import KeyPair
from potp2p.protocol.ledger.genesis import DevnetAccounts, devnet_genesis, genesis_outcome
from potp2p.protocol.ledger.keys import ACCOUNT, CHAIN, TASK
from potp2p.protocol.ledger.records import Account, Chain, Task
from potp2p.protocol.wire.exchange import Role
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.manifests import (
    EVALUATION_FILE,
    INITIAL_FILE,
    MODEL_FILE,
    RULES_FILE,
    TASK_FILE,
    shard_file,
)
from potp2p.protocol.wire.schema import decode, encode
from potp2p.protocol.wire.tasks import (
    BatchRule,
    FinishRule,
    Mode,
    ModelRule,
    Objective,
    Optimizer,
    OptimizerRule,
    RoundRule,
    TaskRules,
    ToleranceClass,
)
from potp2p.services.logbook import LogBook
from tests.doubles.network import MemoryHub, MemoryNetwork, Transit
from tests.doubles.stores import FolderBlobStore, MemoryChainStore, MemoryNotebook
from tests.doubles.validators import MemoryJournal, MemoryRecord
from tests.doubles.workers import FakeWorkers, write_checkpoint

START_SECONDS = 1_767_225_600.0
CLIENT_MONEY = Amount(1_000 * POT)
BUDGET = Amount(60 * POT)
FEE = Amount(1_000)


def unix_seconds() -> float:
    """Return the time of day in the world."""
    return START_SECONDS + trio.current_time()


def key_of(name: str) -> KeyPair:
    """Return the key of whoever bears this name."""
    return KeyPair.from_secret(sha256(b"world " + name.encode()))


def make_genesis(validators: int, *, audit_rate: int = 120_000) -> Genesis:
    """Return a network whose stamps cost nothing and whose audits are over soon."""
    genesis = devnet_genesis(
        [key_of(f"validator-{index}") for index in range(validators)],
        DevnetAccounts(
            key_of("client").node_id, CLIENT_MONEY, key_of("sponsor").node_id, Amount(500 * POT)
        ),
        time_milliseconds=int(START_SECONDS * 1000),
        network="world",
    )
    training = replace(
        genesis.training,
        stamp_bits=2,
        audit_rate=PartsPerMillion(audit_rate),
        audit_deadline=12,
        package_deadline=30,
    )
    return replace(genesis, training=training)


def make_rules(*, rounds: int = 2, shards: int = 4, shards_per_round: int = 3) -> TaskRules:
    """Return rules that the network takes."""
    return TaskRules(
        mode=Mode.LOCAL,
        seed=7,
        model=ModelRule("vit", Objective.CLASSIFY, 1_000, ToleranceClass.SMOOTH, 1, 1 << 20),
        batch=BatchRule(steps=2, micro_batches=4, micro_batch=2),
        optimizer=OptimizerRule(Optimizer.ADAMW, 10**6, 10**6, 0, 900_000, 999_000, 10**6, 100),
        rounds=RoundRule(
            rounds=rounds,
            shards=shards,
            shards_per_round=shards_per_round,
            deadline=16,
            attest_window=8,
            result_deadline=16,
        ),
        finish=FinishRule(0, 0, 0),
    )


def write_package(folder: Path, rules: TaskRules) -> Package:
    """Write a package folder that fits its rules."""
    (folder / "shards").mkdir(parents=True)
    for index in range(rules.rounds.shards):
        (folder / shard_file(index)).write_bytes(b"shard %d" % index)
    (folder / RULES_FILE).write_bytes(encode(rules))
    (folder / TASK_FILE).write_bytes(b"# a task\n")
    (folder / MODEL_FILE).write_bytes(b"{}\n")
    (folder / EVALUATION_FILE).write_bytes(b"held out")
    write_checkpoint(folder / INITIAL_FILE, sha256(b"theta 0"))
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Package(folder, rules, size)


@dataclass(slots=True)
class Machine:
    """One computer: its name and disk, and the node while it runs."""

    name: str
    role: Role
    hub: MemoryHub
    genesis: bytes
    folder: Path
    workers: FakeWorkers | None
    payout: AccountId | None = None
    """Read at each boot; None pays the machine's own account."""
    store: MemoryChainStore = field(default_factory=MemoryChainStore)
    notebook: MemoryNotebook = field(default_factory=MemoryNotebook)
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    record: MemoryRecord = field(default_factory=MemoryRecord)
    blobs: FolderBlobStore = field(init=False)
    network: MemoryNetwork = field(init=False)
    node: Node = field(init=False)
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    tamper: Callable[["Machine"], None] | None = None
    """Turns an honest node into a liar once it is built."""
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        (self.folder / "work").mkdir(parents=True)
        self.blobs = FolderBlobStore(self.folder / "blobs")
        self._random = random.Random(self.name)

    @property
    def keys(self) -> KeyPair:
        """Return the node's identity."""
        return key_of(self.name)

    @property
    def node_id(self) -> NodeId:
        """Return the node's id."""
        return self.keys.node_id

    def boot(self) -> None:
        """Build the node from what the disk keeps."""
        self.journal.crash()
        if self.store.head() is None:
            self._store_genesis()
        self.network = self.hub.attach(self.node_id)
        self.node = build(self._plan(), self._adapters())
        self.scope = trio.CancelScope()
        if self.tamper is not None:
            self.tamper(self)

    async def run(self, node: Node, scope: trio.CancelScope) -> None:
        """Run one life of the node until it is killed."""
        with scope:
            async with trio.open_nursery() as nursery:
                start_services(nursery, node)

    def kill(self) -> None:
        """End the process as SIGKILL does: at the next point where it waits."""
        self.scope.cancel()
        self.hub.detach(self.node_id)

    def said(self, part: str) -> list[str]:
        """Return the lines of the node's log that contain something."""
        return [line.text for line in self.node.logbook.lines() if part in line.text]

    def task(self, task: TaskId) -> Task | None:
        """Return a task as this node's state has it."""
        return self.node.chain.state().find_task(task)

    def _store_genesis(self) -> None:
        outcome = genesis_outcome(decode(Genesis, self.genesis), ChainId(sha256(self.genesis)))
        self.store.plant(outcome)

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

    def _adapters(self) -> Adapters:
        return Adapters(
            gossip=self.network,
            streams=self.network,
            directory=self.network,
            network_facts=self.network.facts,
            chain_store=self.store,
            blob_store=self.blobs,
            notebook=self.notebook,
            journal=self.journal,
            safety=self.record,
            workers=self.workers,
            logbook=LogBook(unix_seconds),
            unix_seconds=unix_seconds,
            random_bytes=self._random.randbytes,
        )


@dataclass(slots=True)
class World:
    """Machines on one wire, and a client with money."""

    folder: Path
    genesis: Genesis
    hub: MemoryHub
    nursery: trio.Nursery
    machines: dict[str, Machine] = field(default_factory=dict[str, Machine])

    @property
    def genesis_bytes(self) -> bytes:
        """Return the document."""
        return encode(self.genesis)

    def add(
        self,
        name: str,
        role: Role,
        *,
        workers: FakeWorkers | None = None,
        tamper: Callable[[Machine], None] | None = None,
    ) -> Machine:
        """Start a machine."""
        devices = None if role is Role.OBSERVER else workers or FakeWorkers()
        folder = self.folder / name
        machine = Machine(name, role, self.hub, self.genesis_bytes, folder, devices, tamper=tamper)
        self.machines[name] = machine
        self.start(machine)
        return machine

    def start(self, machine: Machine) -> None:
        """Start a machine, or start it again from its disk."""
        machine.boot()
        self.nursery.start_soon(machine.run, machine.node, machine.scope)

    def freeze(self) -> None:
        """Stop every machine and build it again from its disk; nothing runs any more."""
        for machine in self.machines.values():
            machine.kill()
        for machine in self.machines.values():
            machine.boot()

    def primary(self, view: int = 0) -> Machine:
        """Return the machine that leads a view of the next height."""
        prospects = self.machines["validator-0"].node.chain.prospects
        node = prospects.nodes[prospects.primaries[view]]
        return next(each for each in self.machines.values() if each.node_id == node)

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

    async def until(self, condition: Callable[[], bool], *, seconds: float = 120) -> None:
        """Return once a condition holds, looking every virtual 50 ms."""
        with trio.move_on_after(seconds) as scope:
            while not condition():  # noqa: ASYNC110  # any state of any machine may be asked for
                await trio.sleep(0.05)
        if scope.cancelled_caught:
            raise AssertionError(f"not within {seconds} s:\n{self.story()}")

    async def height(self, height: int, *names: str) -> None:
        """Return once these machines, or all, are at least this high."""
        chosen = [self.machines[name] for name in names or self.machines]
        await self.until(lambda: all(each.node.chain.head.height >= height for each in chosen))

    def story(self) -> str:
        """Return what every machine said last, for a test that failed."""
        lines: list[str] = []
        for name, machine in self.machines.items():
            lines.append(f"{name} at {machine.node.chain.head.height}")
            lines += [
                f"  {line.time - START_SECONDS:7.2f} {line.tag} {line.text}"
                for line in machine.node.logbook.lines()[-25:]
            ]
        return "\n".join(lines)

    def assert_one_history(self, *names: str) -> None:
        """Every block that two of these machines both have is the same one."""
        chosen = [self.machines[name] for name in names or self.machines]
        low = min(each.node.chain.head.height for each in chosen)
        for height in range(1, low + 1):
            blocks = {each.store.block(height)[0] for each in chosen}  # type: ignore[index]
            assert len(blocks) == 1, f"two blocks at height {height}"

    def assert_money_conserved(self) -> None:
        """All money of every node's state adds up to the recorded supply."""
        for machine in self.machines.values():
            assert held_in(machine.store) == machine.node.chain.state().chain().supply


def held_in(store: MemoryChainStore) -> int:
    """Add up every balance, bond, unbonding, escrow and waiting tip of a state."""
    total = 0
    for key, value in store.states.items():
        if key == CHAIN:
            total += decode(Chain, value).pending_tips
        elif key.startswith(ACCOUNT):
            account = decode(Account, value)
            total += account.balance + account.bond
            total += sum(each.amount for each in account.unbonding)
        elif key.startswith(TASK):
            total += decode(Task, value).escrow
    return total


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
) -> AsyncIterator[World]:
    """
    Run a network of honest machines for as long as the context lasts.

    Seats beyond the validators started here are for the test to fill, or to leave empty.
    """
    hub = MemoryHub(delay_seconds=_a_little_late)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hub.run)
        world = World(
            folder, make_genesis(seats or validators, audit_rate=audit_rate), hub, nursery
        )
        for index in range(validators):
            world.add(f"validator-{index}", Role.VALIDATOR)
        for index in range(miners):
            world.add(f"miner-{index}", Role.MINER)
        yield world
        nursery.cancel_scope.cancel()
