"""
From adapters and plain values to a node: every service with its ports, nothing running yet.

Knows no library: adapters come in through their ports, so that a simulator builds the same node
over fakes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from potp2p.exchange.blobs import BlobExchange
from potp2p.exchange.packages import PackageFiles
from potp2p.foundation.types import AccountId, Amount, ChainId, NodeId, TrustedCheckpoint
from potp2p.network.ports import Directory, Gossip, NetworkFacts, StreamProtocol, Streams
from potp2p.observability.status import Identity
from potp2p.protocol.consensus.view_change import Timing
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.crypto.identity import KeyPair, encode_address
from potp2p.protocol.ledger.block import Ledger
from potp2p.protocol.wire.exchange import Role
from potp2p.protocol.wire.genesis import ConsensusParameters, Genesis
from potp2p.protocol.wire.schema import decode
from potp2p.services.admission import Admission
from potp2p.services.auditing import AuditingService
from potp2p.services.authoring import AuthoringService
from potp2p.services.beacons import BeaconChain
from potp2p.services.catch_up import nobody_to_ask
from potp2p.services.chain import ChainService, stored_head
from potp2p.services.consensus import ConsensusService
from potp2p.services.consensus_guard import SigningGuard
from potp2p.services.consensus_ports import Journal, SafetyRecord
from potp2p.services.evidence import EvidenceService
from potp2p.services.heights import HeightBell
from potp2p.services.judging import JudgingService
from potp2p.services.logbook import LogBook
from potp2p.services.mempool import Mempool
from potp2p.services.mining import MiningService
from potp2p.services.outbox import OutboxService
from potp2p.services.past_bodies import PastBodies
from potp2p.services.queries import QueryService
from potp2p.services.registration import Registrar
from potp2p.services.replica_chain import ReplicaChain
from potp2p.services.retention import RetentionService
from potp2p.services.snapshots import SnapshotService
from potp2p.services.status import StatusService
from potp2p.services.sync import SyncService
from potp2p.storage.ports import BlobStore, ChainStore, Notebook, Scratch, SnapshotStore
from potp2p.workers.ports import WorkerFacts, Workers

FOLLOWER_PATIENCE_SECONDS = 0.3
"""A gossiped block comes within this time, or it is asked for."""
REPLICA_PATIENCE_INTERVALS = 4
"""A replica gets its block by votes; catch-up is for those that fell out of step."""


@dataclass(frozen=True, slots=True)
class NodePlan:
    """Who the node is and what it does; plain values."""

    role: Role
    name: str
    version: str
    data_folder: Path
    secret: bytes
    genesis: bytes
    payout: AccountId | None
    """None pays the node's own account."""
    lowest_price: Amount
    bootstrap: tuple[NodeId, ...]
    """Nodes that are always dialled."""
    pid: int
    started_at: float
    checkpoint: TrustedCheckpoint | None = None
    """What the operator vouches for: no other history is followed."""


@dataclass(frozen=True, slots=True)
class Adapters:
    """The world as the node sees it."""

    gossip: Gossip
    streams: Streams
    directory: Directory
    network_facts: Callable[[], NetworkFacts]
    chain_store: ChainStore
    blob_store: BlobStore
    scratch: Scratch
    notebook: Notebook
    journal: Journal
    safety: SafetyRecord
    workers: Workers | None
    """None where nothing is computed: an observer."""
    logbook: LogBook
    unix_seconds: Callable[[], float]
    snapshots: SnapshotStore | None = None
    """None where none are kept."""


@dataclass(frozen=True, slots=True)
class Node:
    """Every service of one node; `lifecycle.py` runs those that are not None."""

    plan: NodePlan
    logbook: LogBook
    chain: ChainService
    outbox: OutboxService
    sync: SyncService
    authoring: AuthoringService
    evidence: EvidenceService
    queries: QueryService
    consensus: ConsensusService | None
    mining: MiningService | None
    judging: JudgingService | None
    auditing: AuditingService | None
    """None where nothing is computed."""
    retention: RetentionService
    status: StatusService
    snapshots: SnapshotService | None = None


def build(plan: NodePlan, adapters: Adapters) -> Node:
    """Join services over adapters; the chain store must hold the genesis state already."""
    keys = KeyPair.from_secret(plan.secret)
    genesis = decode(Genesis, plan.genesis)
    chain_id = ChainId(sha256(plan.genesis))
    payout = keys.account if plan.payout is None else plan.payout
    logbook = adapters.logbook
    bell = HeightBell()
    head = stored_head(adapters.chain_store, chain_id)
    ledger = Ledger(genesis, adapters.chain_store, adapters.chain_store, head.state_root)
    bell.ring(head.height)
    admission = Admission(chain_id, genesis, ledger.state, lambda: bell.height)
    mempool = Mempool(
        chain_id,
        lambda: bell.height,
        admission.has_standing,
        admission.base_fee,
        admission.deadlines,
    )
    chain = ChainService(
        chain_id, ledger, adapters.chain_store, bell, mempool, head, plan.checkpoint
    )
    past = PastBodies(keys.node_id, chain)
    parts = _Parts(plan, adapters, keys, genesis, chain_id, payout, logbook, chain, mempool, past)
    outbox = parts.outbox()
    authoring, consensus = parts.proposing()
    blobs = BlobExchange(adapters.blob_store, adapters.streams, adapters.directory, keys.node_id)
    packages = PackageFiles(blobs)
    mining = parts.mining(blobs, packages, outbox) if plan.role is Role.MINER else None
    judging = parts.judging(blobs, packages, outbox) if plan.role is Role.VALIDATOR else None
    sync = parts.sync(consensus)
    evidence = EvidenceService(keys.node_id, chain, adapters.notebook, outbox.say, logbook.say)
    if consensus is not None:
        _close_circles(authoring, sync, consensus, evidence)
    queries = QueryService(plan.genesis, chain, adapters.chain_store, adapters.streams)
    retention = RetentionService(
        chain,
        adapters.blob_store,
        packages,
        adapters.notebook,
        genesis.consensus.cycle_blocks,
    )
    status = parts.status(sync, consensus, mining)
    return Node(
        plan,
        logbook,
        chain,
        outbox,
        sync,
        authoring,
        evidence,
        queries,
        consensus,
        mining,
        judging,
        parts.auditing(blobs, packages, outbox),
        retention,
        status,
        parts.snapshots(),
    )


@dataclass(frozen=True, slots=True)
class _Parts:
    """What the builders of single services share."""

    plan: NodePlan
    adapters: Adapters
    keys: KeyPair
    genesis: Genesis
    chain_id: ChainId
    payout: AccountId
    logbook: LogBook
    chain: ChainService
    mempool: Mempool
    past: PastBodies

    def outbox(self) -> OutboxService:
        return OutboxService(
            self.keys,
            self.chain,
            self.mempool,
            self.adapters.gossip,
            self.adapters.streams,
            self.adapters.directory,
            interval_seconds=self.genesis.consensus.block_interval / 4000,
        )

    def proposing(self) -> tuple[AuthoringService, ConsensusService | None]:
        """Build authoring for everyone and, for a validator, the replica beside it."""
        is_validator = self.plan.role is Role.VALIDATOR
        authoring = AuthoringService(
            self.keys,
            self.chain,
            self.genesis.consensus,
            self.adapters.streams,
            self.adapters.directory,
            self.adapters.streams.listen(StreamProtocol.BODIES),
            lambda: int(self.adapters.unix_seconds() * 1000),
            self.adapters.notebook,
            self.past,
            BeaconChain(self.plan.secret, self.genesis.consensus) if is_validator else None,
            None,
        )
        if not is_validator:
            return authoring, None
        source = ReplicaChain(self.keys.node_id, self.chain, authoring, self.logbook.say)
        consensus = ConsensusService(
            self.keys.node_id,
            self.chain_id,
            _timing(self.genesis.consensus),
            SigningGuard(self.keys, self.chain_id, self.adapters.safety),
            self.adapters.journal,
            source,
            self.adapters.streams,
            self.adapters.directory,
        )
        return authoring, consensus

    def sync(self, consensus: ConsensusService | None) -> SyncService:
        interval = self.genesis.consensus.block_interval / 1000
        return SyncService(
            self.keys.node_id,
            self.chain,
            self.adapters.chain_store,
            self.adapters.gossip,
            self.adapters.streams,
            self.adapters.directory,
            self.plan.role,
            self.plan.version,
            adopt=self.chain.commit if consensus is None else consensus.adopt,
            patience_seconds=(
                FOLLOWER_PATIENCE_SECONDS
                if consensus is None
                else max(REPLICA_PATIENCE_INTERVALS * interval, 1.0)
            ),
            past=self.past,
            away=nobody_to_ask if consensus is None else consensus.away,
            say=self.logbook.say,
        )

    def snapshots(self) -> SnapshotService | None:
        if self.adapters.snapshots is None:
            return None
        return SnapshotService(
            self.genesis,
            self.chain,
            self.adapters.chain_store,
            self.adapters.snapshots,
            self.adapters.streams,
            self.logbook.say,
        )

    def mining(
        self, blobs: BlobExchange, packages: PackageFiles, outbox: OutboxService
    ) -> MiningService:
        workers = self.adapters.workers
        assert workers is not None, "a miner has devices"
        registrar = Registrar(
            self.chain_id,
            self.keys.node_id,
            self.payout,
            self.plan.name,
            self.plan.lowest_price,
            self.genesis.training.stamp_bits,
            workers.facts,
        )
        return MiningService(
            self.keys,
            self.chain,
            blobs,
            packages,
            workers,
            self.adapters.notebook,
            outbox,
            registrar,
            self.adapters.scratch,
            self.logbook.say,
        )

    def auditing(
        self, blobs: BlobExchange, packages: PackageFiles, outbox: OutboxService
    ) -> AuditingService | None:
        if self.adapters.workers is None:
            return None
        return AuditingService(
            self.keys,
            self.chain,
            blobs,
            packages,
            self.adapters.workers,
            self.adapters.notebook,
            outbox,
            self.logbook.say,
        )

    def judging(
        self, blobs: BlobExchange, packages: PackageFiles, outbox: OutboxService
    ) -> JudgingService:
        workers = self.adapters.workers
        assert workers is not None, "a validator has a device to judge with"
        return JudgingService(
            self.keys,
            self.chain,
            BeaconChain(self.plan.secret, self.genesis.consensus),
            blobs,
            packages,
            workers,
            self.adapters.notebook,
            outbox,
            self.adapters.scratch,
            self.logbook.say,
        )

    def status(
        self,
        sync: SyncService,
        consensus: ConsensusService | None,
        mining: MiningService | None,
    ) -> StatusService:
        identity = Identity(
            name=self.plan.name,
            version=self.plan.version,
            pid=self.plan.pid,
            role=self.plan.role.name.lower(),
            network=self.genesis.network,
            chain_id=self.chain_id.hex(),
            node_id=self.keys.node_id.hex(),
            address=encode_address(self.keys.account),
            payout=encode_address(self.payout),
            started_at=self.plan.started_at,
            data_folder=str(self.plan.data_folder),
        )
        return StatusService(
            identity,
            self.keys,
            self.payout,
            self.chain,
            self.mempool,
            sync,
            self.logbook,
            self.adapters.unix_seconds,
            self.adapters.network_facts,
            _no_facts if self.adapters.workers is None else self.adapters.workers.facts,
            None if consensus is None else consensus.status,
            mining,
            self.plan.bootstrap,
            self.adapters.directory.peers,
        )


def _close_circles(
    authoring: AuthoringService,
    sync: SyncService,
    consensus: ConsensusService,
    evidence: EvidenceService,
) -> None:
    """Join what could not be given at construction: each of these services knows the other."""
    authoring.better_body_heard = consensus.hear_body
    consensus.higher_peer = sync.hear_of
    consensus.pool = sync.chain.mempool.by_digest
    consensus.accuse = evidence.accuse_voter
    authoring.two_bodies_heard = evidence.accuse_author


def _timing(parameters: ConsensusParameters) -> Timing:
    return Timing(
        parameters.block_interval,
        parameters.view_timeout,
        parameters.view_step,
        parameters.view_cap,
    )


def _no_facts() -> tuple[WorkerFacts, ...]:
    return ()
