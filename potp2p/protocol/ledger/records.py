"""What the state holds, record by record; keys are in `keys.py`."""

from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Annotated, Final

from potp2p.foundation.limits import (
    MINERS_MAX,
    ROUNDS_MAX,
    SHARDS_MAX,
    SHARDS_PER_ROUND_MAX,
    TASKS_ACTIVE_MAX,
    VALIDATORS_MAX,
)
from potp2p.foundation.types import Amount, Digest
from potp2p.protocol.ledger.round_records import (
    Attestation,
    Beaten,
    Fine,
    LeaseRow,
    ResultBond,
    ResultVote,
)
from potp2p.protocol.ledger.seat_records import Barred, Seat
from potp2p.protocol.wire.blocks import NO_DIGEST
from potp2p.protocol.wire.fields import (
    AccountField,
    AmountField,
    BlobField,
    CountField,
    CycleField,
    DigestField,
    EpochField,
    HeightField,
    LossField,
    NodeField,
    PpmField,
    RoundField,
    ShardField,
    TaskField,
    ValidatorField,
)
from potp2p.protocol.wire.schema import Many, Octets, Text, Uint
from potp2p.protocol.wire.tasks import TaskRules

NOTHING: Final = Amount(0)
LOSSES_KEPT: int = 256
"""Evaluation losses a task record keeps; older ones are in its receipts."""
DUE_MAX: int = 2_000
"""Unbondings that may end at one height: as many as a block can ask for."""
UNBONDINGS_MAX: int = 16
"""Unbondings that one account may have asked for."""
FINES_MAX: int = 2
"""Claims that one shard may have in a round: its holder's and a stand-in's."""
RELATED_MAX: int = 6
"""Account, payout and sponsor of a miner and of its client."""
ROUNDS_OPEN_MAX: int = 64
"""Rounds of one task that wait for their audits; the next round waits beyond that."""


@dataclass(frozen=True, slots=True)
class Unbonding:
    """Part of a bond on its way back."""

    amount: AmountField
    due: HeightField


@dataclass(frozen=True, slots=True)
class Account:
    """Money of one account."""

    balance: AmountField
    nonce: CountField
    bond: AmountField
    unbonding: Annotated[tuple[Unbonding, ...], Many(UNBONDINGS_MAX + 1)]
    """One more than anyone may ask for: what starts by itself when a seat is left."""
    locked: AmountField = NOTHING
    """Part of the bond that is staked on open challenges: neither free to leave nor to stake."""
    backer: AccountField | None = None
    """Who put most into the bond besides the owner."""
    backed: AmountField = NOTHING
    """How much that was."""


@dataclass(frozen=True, slots=True)
class PassedOver:
    """
    Primaries that passed over a ranked author in this cycle.

    An epoch begins with a cycle, so that no seat number outlives its seats.
    """

    author: AccountField
    primaries: Annotated[tuple[ValidatorField, ...], Many(VALIDATORS_MAX)]


@dataclass(frozen=True, slots=True)
class Chain:
    """The one record about the chain as a whole."""

    beacon: DigestField
    """beacon(h-1) while block h executes."""
    epoch: EpochField
    cycle: CycleField
    seats: Annotated[tuple[Seat, ...], Many(VALIDATORS_MAX)]
    next_seats: Annotated[tuple[NodeField, ...], Many(VALIDATORS_MAX)]
    """Of the next epoch; empty until the last block of this one opens."""
    tasks: Annotated[tuple[TaskField, ...], Many(TASKS_ACTIVE_MAX)]
    """Tasks that are not over, in order of submission."""
    unsettled: Annotated[tuple[TaskField, ...], Many(TASKS_ACTIVE_MAX)]
    """Tasks that are over but still have rounds under audit."""
    miners: Annotated[tuple[AccountField, ...], Many(MINERS_MAX)]
    """Registered miners, ascending."""
    supply: AmountField
    """All money that exists: balances, bonds, escrows."""
    burned: AmountField
    """All money ever burned."""
    burned_in_cycle: AmountField
    burned_by_cycle: Annotated[tuple[AmountField, ...], Many(1 << 10)]
    """Of the last lottery_cycles cycles, oldest first."""
    issued: AmountField
    """All subsidy ever paid."""
    passed_over: Annotated[tuple[PassedOver, ...], Many(MINERS_MAX)]
    """Ascending by author; emptied with the cycle. As many as may hold a weight can be absent."""
    barred: Annotated[tuple[Barred, ...], Many(MINERS_MAX)]
    """Ascending by author; emptied with the cycle."""
    pending_tips: AmountField
    """The part of the last block's tips that its primary gets when its frame is executed."""
    base_fee: AmountField
    """Per byte of paid transactions of the next block; burned."""


@dataclass(frozen=True, slots=True)
class Weight:
    """A miner's weight."""

    miner: NodeField
    weight: AmountField


@dataclass(frozen=True, slots=True)
class CycleWeights:
    """Lottery weights, ascending by miner: of a cycle's results, or frozen for a cycle's draws."""

    weights: Annotated[tuple[Weight, ...], Many(MINERS_MAX)]


@dataclass(frozen=True, slots=True)
class Miner:
    """A registered rig."""

    node: NodeField
    payout: AccountField
    devices: Annotated[int, Uint(65)]
    memory_bytes: CountField
    classes: Annotated[int, Uint(256)]
    lowest_price: AmountField
    name: Annotated[str, Text(32)]
    registered: HeightField
    live: bool
    ready_cycle: CycleField
    """Last cycle in which it said ready."""
    rate: Annotated[int, Uint(SHARDS_PER_ROUND_MAX + 1)]
    """Shards it may be leased per round: one at first, at most doubled, halved by a miss."""
    accepted: CountField
    rejected: CountField
    missed: CountField
    earned: AmountField
    banned_until: HeightField
    stamp: Annotated[bytes, Octets(8)]
    """Of the last registration; the next one must be larger, so that no old one can be replayed."""
    changed: HeightField
    """Last height at which it said what draws look at: offer, ready, a bond that suffices."""
    seen: HeightField
    """Last height at which it offered, said ready, or was leased to."""
    rounds_open: CountField
    """Rounds in the state in which it has a lease: its record is kept while there are any."""
    suspended: CountField = 0
    """Provisional rulings against it that are open: it gets no lease while there is one."""


@dataclass(frozen=True, slots=True)
class Due:
    """Accounts whose unbonding ends at one height, in order of asking."""

    accounts: Annotated[tuple[AccountField, ...], Many(DUE_MAX + VALIDATORS_MAX)]


@unique
class TaskStatus(IntEnum):
    """Where a task stands."""

    ATTESTING = 0
    """Waits for f+1 validators to hold the package."""
    RUNNING = 1
    FINISHED = 2
    EXPIRED = 3
    """The package could not be had in time, or no miner for it; refunded."""
    REFUSED = 4
    """f+1 validators found that the package breaks its rules; refunded."""
    CANCELLED = 5
    FAILED = 6
    """Diverged, or three rounds in a row without a result."""
    UNSTABLE = 7
    """Honest replays drift apart: judges found so of several contributions; refunded."""


@dataclass(frozen=True, slots=True)
class PackageAttestation:
    """What one validator said about a package."""

    validator: NodeField
    fits: bool


@dataclass(frozen=True, slots=True)
class Task:
    """One order for training."""

    client: NodeField
    package_root: BlobField
    rules: TaskRules
    budget: AmountField
    escrow: AmountField
    """What is left of the budget."""
    status: TaskStatus
    submitted: HeightField
    attestations: Annotated[tuple[PackageAttestation, ...], Many(VALIDATORS_MAX)]
    round: RoundField
    """The round in work, or the number of rounds done when over."""
    theta: BlobField
    """Checkpoint of the round in work; the package's initial weights are known as NO_DIGEST."""
    best: BlobField
    best_loss: LossField
    losses: Annotated[tuple[LossField, ...], Many(LOSSES_KEPT)]
    """Evaluation loss after each round, newest last."""
    empty_rounds: Annotated[int, Uint(1 << 16)]
    """Rounds in a row without an update."""
    stale_rounds: Annotated[int, Uint(ROUNDS_MAX)]
    """Results in a row without a better evaluation loss."""
    cancelled: bool
    open_rounds: Annotated[tuple[RoundField, ...], Many(ROUNDS_OPEN_MAX + 1)]
    """Rounds whose record is kept: the one in work and those under audit."""
    passes: Annotated[tuple[CountField, ...], Many(SHARDS_MAX)]
    """Accepted leases of each shard; empty once the task is over and settled."""
    receipts_root: DigestField
    """Hash chain over the receipts of settled rounds."""
    paid: AmountField
    audit_pool: AmountField
    """Part of the escrow that settled leases have put aside for their auditors."""
    ended: HeightField
    """Height at which it was over; zero before."""
    waiting: HeightField
    """Height since which no miner could take its next round; zero: one can, or none was needed."""
    unstable: CountField
    """Final rulings that are void because honest replays drift apart."""


@unique
class RoundPhase(IntEnum):
    """Where a round stands."""

    CLAIMS = 0
    ATTESTING = 1
    """Claims have ended; attestations still count."""
    RESULT = 2
    """The set is fixed; validators compute theta(t+1)."""
    AUDIT = 3
    """The result stands; audits run."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a miner claimed for a lease."""

    payload: BlobField
    trace_commitment: DigestField
    samples: CountField
    loss_before: LossField
    loss_after: LossField
    diverged: bool
    height: HeightField


@dataclass(frozen=True, slots=True)
class StandIn:
    """An idle miner that may compute a shard too, which had no claim at half time."""

    shard: ShardField
    miner: NodeField
    claim: Claim | None


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """One round of a task while it is open."""

    phase: RoundPhase
    theta: BlobField
    """Checkpoint that the round starts from; NO_DIGEST for the initial weights."""
    started: HeightField
    """The seats of this height's epoch judge the round to its end."""
    phase_started: HeightField
    leases: Annotated[tuple[LeaseRow, ...], Many(SHARDS_PER_ROUND_MAX)]
    """Ascending by shard."""
    stand_ins: Annotated[tuple[StandIn, ...], Many(SHARDS_PER_ROUND_MAX)]
    """From half time until the set is fixed; in bitmaps of attestations they follow the leases."""
    claims: CountField
    """Shards that have a claim, or whose miner was convicted meanwhile."""
    attestations: Annotated[tuple[Attestation, ...], Many(VALIDATORS_MAX)]
    commitments: Annotated[tuple[ResultBond, ...], Many(VALIDATORS_MAX)]
    revealing: bool
    """Commitments to the result have ended: results are taken."""
    results: Annotated[tuple[ResultVote, ...], Many(VALIDATORS_MAX)]
    flagged: Annotated[tuple[ShardField, ...], Many(SHARDS_PER_ROUND_MAX)]
    """Leases that the agreed screens suspect: audited for certain. Ascending."""
    dropped: Annotated[tuple[ShardField, ...], Many(SHARDS_PER_ROUND_MAX)]
    """Leases that the agreed screens took out of the set: void. Ascending."""
    result_earners: Annotated[tuple[NodeField, ...], Many(VALIDATORS_MAX)]
    """Validators of the quorum that had committed in time: they share the pay of a result."""
    fixed: HeightField
    """Height at which the set was fixed; zero before."""
    revealers: Annotated[tuple[NodeField, ...], Many(VALIDATORS_MAX)]
    """Distinct primaries that revealed since the set was fixed, until the audits are drawn."""
    draw_beacons: Annotated[tuple[DigestField, ...], Many(VALIDATORS_MAX)]
    """
    What draws its audits: the first beacon with f+1 secrets since the set was fixed, and those that
    followed until there is one for each of its judges.
    """
    drawn: bool
    """Audits have been drawn."""
    advanced: bool
    """A quorum agreed on the result."""
    audits: Annotated[tuple[ShardField, ...], Many(SHARDS_PER_ROUND_MAX)]
    """Leases whose audit is open."""
    challenge_until: HeightField
    """Last height at which a contribution that was not drawn may be challenged; zero before."""
    result_height: HeightField
    """Height at which the result became final or was given up; zero before."""
    result_revealers: Annotated[tuple[NodeField, ...], Many(VALIDATORS_MAX)]
    """Distinct primaries that revealed since then, until the weights are booked."""
    booked: bool
    """Its weights count in a cycle; a settlement waits for that."""
    booked_cycle: CycleField

    @property
    def draw_beacon(self) -> Digest:
        """Return the first beacon that draws its audits; NO_DIGEST before."""
        return self.draw_beacons[0] if self.draw_beacons else NO_DIGEST


@unique
class LeaseStatus(IntEnum):
    """What became of a lease."""

    OPEN = 0
    CLAIMED = 1
    ACCEPTED = 2
    """In the round's set."""
    MISSED = 3
    """No claim, or a claim that was not attested."""
    AUDITED = 4
    """In the set, and under an audit whose ruling is not final."""
    PASSED = 5
    """In the set, not drawn or found honest: its pay is due once its round is settled."""
    VOID = 6
    """In the set, but unpaid: no verdict, or all open pay of its miner was forfeited."""
    REJECTED = 7
    """In the set, but its audit failed: unpaid and slashed."""


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """One lease and its contribution."""

    miner: NodeField
    status: LeaseStatus
    claim: Claim | None
    score: AmountField
    weight: AmountField
    """Lottery weight booked for it; zero before, and after a rejection in time."""
    audited: bool
    """An audit was drawn for it, or a challenge called for one."""
    probability: PpmField
    """Of its audit, as it was when its set was fixed; zero before."""
    fines: Annotated[tuple[Fine, ...], Many(FINES_MAX)] = ()
    """Of its claims that were not attested, in the order of bitmaps."""
    beaten: Beaten | None = None
    """Whose place in the set another's claim took, once that is fixed."""
    related: Annotated[tuple[AccountField, ...], Many(RELATED_MAX)] = ()
    """
    Whom its miner and its client acted for as its set was fixed, ascending: none of them audits it.

    Asked as late as the draw, a miner that knows the beacon could name one auditor after another
    as its payout, until those that are left suit it.
    """
