"""
One node's life: open the data folder, build, run every service in one nursery, end by cancellation.

Faces are plain async functions joined here: they see snapshots and the node knows nothing of them.
A storage error ends the process: nothing is acknowledged that may not be durable.
"""

import os
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

import trio
from trio_typing import TaskStatus

from potp2p.foundation.errors import ConfigurationError, PeerError, UnsafeError
from potp2p.foundation.types import GENESIS_HEIGHT, ChainId
from potp2p.network.adapter import Network, NetworkConfiguration
from potp2p.network.directory import parse_peer_address
from potp2p.node.checkpoint_start import begin_at_checkpoint
from potp2p.node.composition import Adapters, Node, NodePlan, build
from potp2p.node.garbage import settle_garbage
from potp2p.node.launch import Launch
from potp2p.node.running import start_services
from potp2p.observability.loop_hold import LoopHoldMeter
from potp2p.observability.status import NodeStatus
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.ledger.genesis import genesis_outcome
from potp2p.protocol.wire.exchange import Role
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.schema import decode, encode
from potp2p.services.consensus_guard import LOST
from potp2p.services.logbook import LogBook
from potp2p.settings.keys import IDENTITY_FILE, SAFETY_RECORD, load_or_create_node_identity
from potp2p.storage.blobs import BlobFiles
from potp2p.storage.chain import LmdbChainStore
from potp2p.storage.environment import Environment
from potp2p.storage.journal import JournalFile
from potp2p.storage.lock import lock_folder
from potp2p.storage.notebook import LmdbNotebook
from potp2p.storage.safety import SafetyFile, create_record
from potp2p.storage.scratch import ScratchFolder
from potp2p.storage.snapshots import SnapshotFolder
from potp2p.workers.devices import discover_names
from potp2p.workers.ports import WorkerFleet
from potp2p.workers.supervisor import Workers

GENESIS_FILE: Final = "genesis.cbor"
JOURNAL: Final = Path("validator") / "wal"
DATABASE: Final = "chain.lmdb"
SNAPSHOTS: Final = "snapshots"

Face = Callable[[Callable[[], NodeStatus]], Awaitable[None]]
"""Shows snapshots until it returns, which ends the node, or is cancelled with it."""


async def run_node(
    launch: Launch,
    faces: Sequence[Face] = (),
    *,
    workers: WorkerFleet | None = None,
    task_status: TaskStatus[Node] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run until cancelled or until a face returns; workers of one's own stand in for devices."""
    with ExitStack() as stack:
        stack.enter_context(lock_folder(launch.data_folder))
        genesis = _read_genesis(launch.data_folder)
        secret = _read_identity(launch.data_folder)
        network = Network(_network_configuration(launch, secret, genesis))
        logbook = LogBook(time.time, launch.log)
        workers = workers or await _open_workers(launch, logbook)
        if not (launch.data_folder / SAFETY_RECORD).exists():
            create_record(launch.data_folder / SAFETY_RECORD, encode(LOST))
        adapters = _open_adapters(stack, launch, network, workers, logbook)
        await _store_genesis(adapters, genesis)
        await begin_at_checkpoint(launch, secret, genesis, adapters)
        node = build(_plan(launch, secret, genesis), adapters)
        _tell_silence(node)
        async with trio.open_nursery() as nursery:
            if workers is not None:
                await nursery.start(workers.run)
            listening = await nursery.start(network.run)
            for address in listening:
                node.logbook.say("p2p", f"listening on {address}")
            start_services(nursery, node)
            for face in faces:
                nursery.start_soon(_show, face, node, nursery.cancel_scope)
            settle_garbage()
            _watch_loop(stack, node)
            task_status.started(node)


def _watch_loop(stack: ExitStack, node: Node) -> None:
    """Measure how long single tasks hold the loop, for the status."""
    meter = LoopHoldMeter()
    trio.lowlevel.add_instrument(meter)
    stack.callback(trio.lowlevel.remove_instrument, meter)
    node.status.loop = meter.read


async def _show(face: Face, node: Node, scope: trio.CancelScope) -> None:
    await face(node.status.snapshot)
    scope.cancel()


def _tell_silence(node: Node) -> None:
    silence = None if node.consensus is None else node.consensus.guard.silence
    if silence is not None:
        until = "the next epoch" if silence.until is None else f"epoch {silence.until + 1}"
        node.logbook.say("chain", f"what this key signed before is lost: no vote before {until}")


def _read_genesis(folder: Path) -> bytes:
    path = folder / GENESIS_FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}; run potp2p init first") from error
    try:
        decode(Genesis, content)
    except PeerError as error:
        raise ConfigurationError(f"{path}: not a genesis document: {error.detail}") from error
    return content


def _read_identity(folder: Path) -> bytes:
    path = folder / IDENTITY_FILE
    if not path.exists() and (folder / DATABASE).exists():
        raise UnsafeError(f"{path} is missing beside a chain: restore it, a new one is not made")
    return load_or_create_node_identity(folder)


def _network_configuration(launch: Launch, secret: bytes, genesis: bytes) -> NetworkConfiguration:
    return NetworkConfiguration(
        secret_key=secret,
        chain_id=ChainId(sha256(genesis)),
        listen=launch.listen,
        bootstrap=launch.bootstrap,
        announce=launch.announce,
        mdns=launch.mdns,
        line=launch.line,
    )


async def _open_workers(launch: Launch, logbook: LogBook) -> Workers | None:
    if launch.role is Role.OBSERVER:
        return None
    devices = launch.devices or await discover_names()
    return Workers(devices, log=partial(logbook.say, "worker"))


def _open_adapters(
    stack: ExitStack,
    launch: Launch,
    network: Network,
    workers: WorkerFleet | None,
    logbook: LogBook,
) -> Adapters:
    folder = launch.data_folder
    environment = stack.enter_context(Environment.open(folder / DATABASE))
    return Adapters(
        gossip=network.gossip,
        streams=network.streams,
        directory=network.directory,
        network_facts=network.facts,
        chain_store=LmdbChainStore(environment),
        blob_store=BlobFiles(folder / "blobs", launch.blob_quota_bytes),
        scratch=ScratchFolder.open(folder / "work"),
        notebook=LmdbNotebook(environment),
        journal=stack.enter_context(JournalFile.open(folder / JOURNAL)),
        safety=stack.enter_context(SafetyFile.open(folder / SAFETY_RECORD)),
        workers=workers,
        logbook=logbook,
        unix_seconds=time.time,
        snapshots=SnapshotFolder(environment, folder / SNAPSHOTS),
    )


async def _store_genesis(adapters: Adapters, genesis: bytes) -> None:
    """Store the first state once; a folder of another chain is refused."""
    store = adapters.chain_store
    if store.head() is None:
        outcome = genesis_outcome(decode(Genesis, genesis), ChainId(sha256(genesis)))
        await store.put_metadata(b"genesis", genesis)
        await store.commit(
            height=GENESIS_HEIGHT,
            block=b"",
            seal=b"",
            state_root=outcome.state_root,
            state_writes=outcome.state_writes,
            node_writes=outcome.node_writes,
        )
    elif store.get_metadata(b"genesis") != genesis:
        raise ConfigurationError(f"{GENESIS_FILE} is not that of the chain in this folder")


def _plan(launch: Launch, secret: bytes, genesis: bytes) -> NodePlan:
    return NodePlan(
        role=launch.role,
        name=launch.name,
        version=launch.version,
        data_folder=launch.data_folder,
        secret=secret,
        genesis=genesis,
        payout=launch.payout,
        lowest_price=launch.lowest_price,
        bootstrap=tuple(parse_peer_address(each)[0] for each in launch.bootstrap),
        pid=os.getpid(),
        started_at=time.time(),
        checkpoint=launch.checkpoint,
    )
