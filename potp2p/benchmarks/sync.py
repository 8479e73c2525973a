"""
How fast a node catches up: a stopped chain served by archive nodes, and a newcomer beside them.

Real processes, libp2p on loopback, fsync on. The chain is made beforehand, so nobody produces
blocks while the newcomer executes them. Its own status socket tells how far it is.
"""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

import trio

from potp2p.api.status_client import read_status
from potp2p.benchmarks.machine import Machine
from potp2p.benchmarks.sync_chain import ChainMaker, sync_genesis, sync_key, validator_keys
from potp2p.foundation.errors import ConfigurationError, OperatingError, UnreachableError
from potp2p.foundation.limits import BLOCK_PAID_TRANSACTIONS_MAX
from potp2p.foundation.types import GENESIS_HEIGHT, Height
from potp2p.observability.representation import decode_document
from potp2p.processes.documents import Document, first_line, parse_document
from potp2p.processes.fleet import Child, Fleet
from potp2p.processes.programs import Programs
from potp2p.processes.usage import cpu_seconds, memory_of
from potp2p.protocol.ledger.genesis import chain_id_of, genesis_outcome
from potp2p.protocol.ledger.transition import statement_id
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.schema import encode
from potp2p.settings.configuration import (
    Configuration,
    MinerSection,
    NetworkSection,
    NodeSection,
    RoleName,
    render_configuration,
)
from potp2p.settings.keys import create_identity
from potp2p.storage.chain import LmdbChainStore
from potp2p.storage.environment import Environment

BLOCKS_PER_SECOND_MIN: Final = 50.0
VALIDATORS: Final = 4
PAYERS: Final = 1_000
BLOCKS_MAX: Final = 100_000
PEERS_MAX: Final = 8
NEWCOMER: Final = "newcomer"
LOOPBACK: Final = "/ip4/127.0.0.1/tcp/0"
START_SECONDS: Final = 120.0
STALL_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.1
ANSWER_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """One measurement."""

    blocks: int
    transactions_per_block: int
    peers: int
    """Archive nodes that serve."""
    is_validator: bool
    """The newcomer holds a seat, and its replica starts at height 1; else it is an observer."""
    folder: Path
    """Where the nodes live; the caller removes it."""
    programs: Programs = field(default_factory=Programs)


@dataclass(slots=True)
class Course:
    """What was seen while a node caught up, from its first answer on."""

    seconds: float = 0.0
    blocks: int = 0
    memory_bytes: int = 0
    cpu_seconds: float = 0.0


@dataclass(slots=True)
class _Node:
    """One process of the measurement; its name is also that of its key."""

    name: str
    role: RoleName
    parent: Path
    child: Child | None = None

    @property
    def folder(self) -> Path:
        """Return its data folder."""
        return self.parent / self.name

    @property
    def process(self) -> Child:
        """Return its process once it is started."""
        assert self.child is not None
        return self.child


def verify_sync_plan(plan: SyncPlan) -> None:
    """Raise ConfigurationError for a measurement that cannot be made."""
    bounds = (
        ("--blocks", plan.blocks, 1, BLOCKS_MAX),
        ("--transactions-per-block", plan.transactions_per_block, 0, BLOCK_PAID_TRANSACTIONS_MAX),
        ("--peers", plan.peers, 1, PEERS_MAX),
    )
    for flag, value, least, most in bounds:
        if not least <= value <= most:
            raise ConfigurationError(f"{flag} {value}: from {least} to {most}")


async def measure_sync(plan: SyncPlan, *, kills: int = 0) -> Document:
    """
    Return the figures; no process stays.

    With kills the newcomer is ended by SIGKILL so often on its way, and started again.
    """
    machine = Machine.look()
    logs = plan.folder / "logs"
    logs.mkdir(parents=True)
    genesis = sync_genesis(VALIDATORS, PAYERS)
    chain = plan.folder / "chain.lmdb"
    bytes_stored = await _make_chain(plan, genesis, chain)
    fleet = Fleet(logs)
    try:
        address = await _start_bootstrap(plan, fleet, genesis)
        for index in range(plan.peers):
            server = _Node(f"archive-{index}", RoleName.OBSERVER, plan.folder)
            _start(plan, fleet, server, genesis, address, chain)
            await _reach(server, Height(plan.blocks), Course())
        newcomer = _Node(NEWCOMER, RoleName.OBSERVER, plan.folder)
        if plan.is_validator:
            newcomer = _Node("validator 3", RoleName.VALIDATOR, plan.folder)
        _start(plan, fleet, newcomer, genesis, address, None)
        for turn in range(kills):
            await _reach(newcomer, Height(plan.blocks * (turn + 1) // (kills + 1)), Course())
            newcomer.process.process.kill()
            await newcomer.process.ended()
            fleet.forget(newcomer.process)
            newcomer.child = _run(plan, fleet, newcomer)
        course = Course()
        await _reach(newcomer, Height(plan.blocks), course)
    finally:
        await fleet.stop()
    return _document(plan, machine, course, bytes_stored)


async def _make_chain(plan: SyncPlan, genesis: Genesis, path: Path) -> int:
    """Write the chain that is served; return how many bytes its blocks are."""
    total = 0
    with Environment.open(path) as environment:
        store = LmdbChainStore(environment)
        maker = await start_chain(genesis, store)
        await store.put_metadata(b"genesis", encode(genesis))
        for _ in range(plan.blocks):
            made = maker.make(plan.transactions_per_block)
            block, seal = encode(made.block), encode(made.seal)
            total += len(block) + len(seal)
            await store.commit(
                height=made.block.header.body.height,
                block=block,
                seal=seal,
                state_root=made.outcome.state_root,
                state_writes=made.outcome.state_writes,
                node_writes=made.outcome.node_writes,
                transaction_ids=[statement_id(each) for each in made.block.transactions],
            )
            maker.follow(made)
    return total


async def start_chain(genesis: Genesis, store: LmdbChainStore) -> ChainMaker:
    """Store the first state and return who makes blocks on it."""
    keys = validator_keys(len(genesis.validators))
    root = genesis_outcome(genesis, chain_id_of(genesis))
    await store.commit(
        height=GENESIS_HEIGHT,
        block=b"",
        seal=b"",
        state_root=root.state_root,
        state_writes=root.state_writes,
        node_writes=root.node_writes,
    )
    return ChainMaker(genesis, keys, PAYERS, store, root.state_root)


async def _start_bootstrap(plan: SyncPlan, fleet: Fleet, genesis: Genesis) -> str:
    path = plan.folder / "genesis.cbor"
    path.write_bytes(encode(genesis))
    command = (*plan.programs.bootstrap, "--listen", LOOPBACK, "--genesis", str(path))
    command += ("--data-dir", str(plan.folder / "bootstrap"), "--json")
    child = fleet.start("bootstrap", command)
    told = parse_document((await first_line(child, START_SECONDS)).encode(), "bootstrap")
    addresses = cast("list[str]", told.get("listen"))
    if not addresses:
        raise OperatingError("the bootstrap node told no address")
    return addresses[0]


def _start(  # noqa: PLR0913  # who starts where, on which chain
    plan: SyncPlan,
    fleet: Fleet,
    node: _Node,
    genesis: Genesis,
    address: str,
    chain: Path | None,
) -> None:
    """Write a node's folder, with a copy of the chain for an archive, and start it."""
    node.folder.mkdir(mode=0o700)
    (node.folder / "genesis.cbor").write_bytes(encode(genesis))
    create_identity(node.folder, sync_key(node.name).secret)
    configuration = Configuration(
        node=NodeSection(name=node.name.replace(" ", "-"), role=node.role),
        network=NetworkSection(listen=(LOOPBACK,), bootstrap=(address,)),
        miner=MinerSection(devices=("cpu",)),
    )
    (node.folder / "config.toml").write_text(render_configuration(configuration))
    if chain is not None:
        shutil.copytree(chain, node.folder / "chain.lmdb")
    node.child = _run(plan, fleet, node)


def _run(plan: SyncPlan, fleet: Fleet, node: _Node) -> Child:
    arguments = ("start", "--datadir", str(node.folder), "--ui", "none")
    return fleet.start(node.name.replace(" ", "-"), (*plan.programs.potp2p, *arguments))


async def _reach(node: _Node, target: Height, course: Course) -> None:
    """Look until a node has a height; OperatingError when it ends or stands still."""
    first: tuple[float, int] | None = None
    last, due = -1, trio.current_time() + START_SECONDS
    while last < target:
        if node.process.returncode is not None:
            raise OperatingError(f"{node.name} ended: {node.process.last_words()}")
        now = trio.current_time()
        if now > due:
            raise OperatingError(f"{node.name} stands still at height {last} of {target}")
        try:
            height = await _height(node.folder / "status.sock")
        except UnreachableError:
            height = -1  # it starts
        if height > last:
            last, due = height, trio.current_time() + STALL_SECONDS
        if height >= 0:
            first = first or (trio.current_time(), height)
            course.memory_bytes = max(course.memory_bytes, memory_of(node.process.pid).resident)
            course.cpu_seconds = cpu_seconds(node.process.pid)
            course.seconds = trio.current_time() - first[0]
            course.blocks = height - first[1]
        if last < target:
            await trio.sleep(LOOK_SECONDS)


async def _height(socket: Path) -> int:
    encoded = await trio.to_thread.run_sync(read_status, socket, ANSWER_SECONDS)
    height = cast("Document", decode_document(encoded)["sync"]).get("height")
    if not isinstance(height, int):
        raise UnreachableError("it knows no height yet")
    return height


def _document(plan: SyncPlan, machine: Machine, course: Course, bytes_stored: int) -> Document:
    rate = course.blocks / course.seconds if course.seconds else 0.0
    return {
        "schema": "potp2p.bench-sync/1",
        "machine": machine.document(),
        "blocks": plan.blocks,
        "transactions_per_block": plan.transactions_per_block,
        "peers": plan.peers,
        "role": "validator" if plan.is_validator else "observer",
        "block_bytes_mean": bytes_stored // plan.blocks,
        "seconds": round(course.seconds, 2),
        "blocks_per_second": round(rate, 1),
        "transactions_per_second": round(rate * plan.transactions_per_block, 1),
        "rss_bytes_max": course.memory_bytes,
        "cpu_seconds": round(course.cpu_seconds, 2),
        "targets": {"blocks_per_second": BLOCKS_PER_SECOND_MIN},
        "is_within_targets": rate >= BLOCKS_PER_SECOND_MIN,
    }


def sync_lines(document: Document) -> list[str]:
    """Return the figures for a person."""
    return [
        f"caught up      {document['blocks']} blocks of {document['transactions_per_block']}"
        f" transactions, {document['block_bytes_mean']} bytes each, in {document['seconds']} s",
        f"rate           {document['blocks_per_second']} blocks/s of at least"
        f" {BLOCKS_PER_SECOND_MIN:.0f}, {document['transactions_per_second']} transactions/s",
        f"newcomer       {document['role']}, {cast('int', document['rss_bytes_max']) / 1e6:.1f} MB"
        f" resident, {document['cpu_seconds']} s of processor, from {document['peers']} peers",
    ]
