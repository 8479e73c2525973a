"""
What the node tells the outside about itself: frozen, plain, without behaviour.

Unknown is `None`, never zero: a face shows it as unknown. Digests and keys are hex or bech32m text,
amounts are integers in base units, times are Unix seconds.
"""

from dataclasses import dataclass
from enum import StrEnum, unique


@unique
class StateCode(StrEnum):
    """The one word for what the node does now."""

    STARTING = "starting"
    SYNCING = "syncing"
    MINING = "mining"
    VALIDATING = "validating"
    FOLLOWING = "following"
    """An observer that is in step."""
    IDLE = "idle"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the node is not simply at work; every state but mining carries at least one."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this node is; fixed while it runs."""

    name: str
    version: str
    pid: int
    role: str
    network: str
    chain_id: str
    node_id: str
    address: str
    payout: str
    started_at: float
    data_folder: str


@dataclass(frozen=True, slots=True)
class PeerToPeerStatus:
    """Connections and traffic since the start."""

    peers: int
    inbound: int
    listen: tuple[str, ...]
    bytes_in: int
    bytes_out: int
    lost_messages: int
    banned: int
    bootstrap_connected: int
    bootstrap_configured: int


@dataclass(frozen=True, slots=True)
class RootLine:
    """The state root in one decided header."""

    height: int
    state_root: str


@dataclass(frozen=True, slots=True)
class ChainStatus:
    """Where the chain stands here."""

    height: int
    target_height: int | None
    """Highest height a peer told us about."""
    synced: bool
    epoch: int
    cycle: int
    state_root: str
    block_time: float | None
    """When the last block was decided here."""
    last_rank: int | None
    """Author's rank of the last block; None for a primary's own."""
    last_view: int | None
    last_signers: int | None
    validators: int
    pending_transactions: int
    supply: int
    burned: int
    recent_roots: tuple[RootLine, ...] = ()
    """Of the last blocks, oldest first: lets an onlooker compare nodes at one height."""


@dataclass(frozen=True, slots=True)
class ConsensusStatus:
    """Progress of the local replica; only validators have one."""

    height: int
    view: int
    phase: str
    seat: int | None
    prepares: int
    commits: int
    quorum: int
    view_changes: int
    """Views entered beyond 0 since the start."""
    missing: tuple[int, ...]
    """Seats whose signature the last seal lacks."""


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """One worker process."""

    device: str
    name: str | None
    memory_bytes: int | None
    pid: int | None
    state: str
    busy: str | None
    step: int | None
    steps: int | None
    steps_per_second: float | None
    restarts: int


@dataclass(frozen=True, slots=True)
class LeaseStatusLine:
    """A lease in work on this node."""

    task: str
    round: int
    shard: int
    stage: str
    """fetching, training, claiming, waiting."""
    step: int | None
    steps: int | None
    loss: float | None
    deadline_height: int | None


@dataclass(frozen=True, slots=True)
class OutcomeLine:
    """How one of this node's contributions ended, or what it waits for."""

    task: str
    round: int
    shard: int
    outcome: str
    """paid, not_paid, fined, slashed or open."""
    reason: str
    height: int | None
    """Of the settlement."""


@dataclass(frozen=True, slots=True)
class MinerStatus:
    """What the chain counts of this miner, and what is in work."""

    registered: bool
    live: bool
    bond: int
    accepted: int
    rejected: int
    missed: int
    in_audit: int
    earned: int
    last_accepted_at: float | None
    leases: tuple[LeaseStatusLine, ...]
    bond_wanted: int = 0
    """What a miner's bond should be: until then its pay goes into it."""
    suspended: bool = False
    """A provisional ruling against it is open: it gets no lease."""
    banned_until: int | None = None
    """Height; None when it is not banned."""
    outcomes: tuple[OutcomeLine, ...] = ()
    """Of the last settled contributions, oldest first."""
    under_audit: tuple[OutcomeLine, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskLine:
    """One task on the chain."""

    task: str
    status: str
    architecture: str
    mode: str
    round: int
    rounds: int
    loss: float | None
    budget: int
    escrow: int


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the node's own log, for the screen."""

    time: float
    tag: str
    text: str


@dataclass(frozen=True, slots=True)
class LoopStatus:
    """How long one task of this process kept the others waiting, in seconds."""

    hold_p50: float
    hold_p99: float
    """Of the longest holds in each tenth of a second of the last busy minute."""
    hold_max: float


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """Everything a face may show of a node."""

    time: float
    identity: Identity
    state: StateCode
    since: float
    reasons: tuple[Reason, ...]
    network: PeerToPeerStatus
    chain: ChainStatus
    consensus: ConsensusStatus | None
    miner: MinerStatus | None
    devices: tuple[DeviceStatus, ...]
    tasks: tuple[TaskLine, ...]
    balance: int
    log: tuple[LogLine, ...]
    advice: str | None
    """The one most important thing the owner can do."""
    loop: LoopStatus | None = None
    auditing: int = 0
    """Replays that the state asks of this node now."""
