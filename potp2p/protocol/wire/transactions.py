"""
Transactions: paid ones carry nonce and fee, free ones are allowed once per lease, audit or seat.

A transaction's id hashes its body without the signature, so one statement has one id.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

from potp2p.foundation.limits import SHARDS_PER_ROUND_MAX
from potp2p.protocol.wire.blocks import BlockBody
from potp2p.protocol.wire.consensus import Statement
from potp2p.protocol.wire.fields import (
    AccountField,
    AmountField,
    BlobField,
    CountField,
    CycleField,
    DigestField,
    EpochField,
    LossField,
    NodeField,
    RoundField,
    ShardField,
    SignatureField,
    TaskField,
)
from potp2p.protocol.wire.schema import Octets, Text, Uint
from potp2p.protocol.wire.tasks import TaskRules
from potp2p.protocol.wire.verification import Distances, Instability, SaltField, Trace

TRANSACTION_DOMAIN: Final = "potp2p/transaction/1"


@dataclass(frozen=True, slots=True)
class Transfer:
    """Move money."""

    KIND: ClassVar = 0
    recipient: AccountField
    amount: AmountField


@dataclass(frozen=True, slots=True)
class Bond:
    """Lock money as anyone's bond."""

    KIND: ClassVar = 1
    beneficiary: AccountField
    amount: AmountField


@dataclass(frozen=True, slots=True)
class Unbond:
    """Ask for own bond back; paid out after the unbonding delay."""

    KIND: ClassVar = 2
    amount: AmountField


@dataclass(frozen=True, slots=True)
class SubmitTask:
    """Order a training and escrow its budget."""

    KIND: ClassVar = 3
    package_root: BlobField
    budget: AmountField
    rules: TaskRules


@dataclass(frozen=True, slots=True)
class CancelTask:
    """End an own task at the end of its round; the unspent budget goes back."""

    KIND: ClassVar = 4
    task: TaskField


@dataclass(frozen=True, slots=True)
class RegisterMiner:
    """Offer a rig; the stamp costs seconds of hashing. Saying it again updates the offer."""

    KIND: ClassVar = 16
    devices: Annotated[int, Uint(65)]
    memory_bytes: CountField
    """Smallest device."""
    classes: Annotated[int, Uint(256)]
    """Bit per tolerance class."""
    lowest_price: AmountField
    """Per lease."""
    payout: AccountField
    name: Annotated[str, Text(32)]
    stamp: Annotated[bytes, Octets(8)]


@dataclass(frozen=True, slots=True)
class Ready:
    """A miner is there; once per cycle."""

    KIND: ClassVar = 17
    cycle: CycleField


@dataclass(frozen=True, slots=True)
class AttestPackage:
    """A validator holds a task's package, its rules match and its device can judge it."""

    KIND: ClassVar = 18
    task: TaskField
    fits: bool
    """False: the package breaks its rules; f+1 of these end the task at once."""


@dataclass(frozen=True, slots=True)
class Contribute:
    """Claim a lease's result; payload id and trace commitment hash in the lease."""

    KIND: ClassVar = 19
    task: TaskField
    round: RoundField
    shard: ShardField
    payload: BlobField
    trace_commitment: DigestField
    samples: CountField
    loss_before: LossField
    loss_after: LossField
    diverged: bool


@dataclass(frozen=True, slots=True)
class Attest:
    """A validator holds and checked these payloads of a round: a bit per lease, in lease order."""

    KIND: ClassVar = 20
    task: TaskField
    round: RoundField
    bitmap: Annotated[bytes, Octets(0, SHARDS_PER_ROUND_MAX // 8)]
    """Bit i of byte i // 8, low bits first; no trailing zero byte."""


@dataclass(frozen=True, slots=True)
class RoundResult:
    """
    A validator's theta(t+1): root over parameters, buffers and optimizer state, and its loss.

    Said once reveals are taken; what was committed to before then earns a part of the pay.
    """

    KIND: ClassVar = 21
    task: TaskField
    round: RoundField
    salt: SaltField
    root: BlobField
    evaluation_loss: LossField
    flagged: Annotated[bytes, Octets(0, SHARDS_PER_ROUND_MAX // 8)]
    """Leases that the screens suspect, to be audited; a bit per lease that is aggregated."""
    dropped: Annotated[bytes, Octets(0, SHARDS_PER_ROUND_MAX // 8)]
    """Leases whose payload equals an earlier claim's: they are no part of the result."""


@dataclass(frozen=True, slots=True)
class AuditCommit:
    """A drawn auditor has replayed and binds itself to what it found."""

    KIND: ClassVar = 22
    task: TaskField
    round: RoundField
    shard: ShardField
    commitment: DigestField


@dataclass(frozen=True, slots=True)
class RevealTrace:
    """The audited miner opens its trace commitment."""

    KIND: ClassVar = 23
    task: TaskField
    round: RoundField
    shard: ShardField
    salt: SaltField
    trace: Trace


@dataclass(frozen=True, slots=True)
class RevealAudit:
    """An auditor opens its commitment: its own trace, loss claims, distances and instability."""

    KIND: ClassVar = 24
    task: TaskField
    round: RoundField
    shard: ShardField
    salt: SaltField
    trace: Trace
    loss_before: LossField
    loss_after: LossField
    distances: Distances
    instability: Instability | None
    """None where the payload lies so near that it was not measured."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """A validator registers the end of its beacon chain for the next epoch."""

    KIND: ClassVar = 25
    epoch: EpochField
    anchor: DigestField


@dataclass(frozen=True, slots=True)
class SignedStatement:
    """A vote as it was signed, without what travelled beside it."""

    statement: Statement
    signature: SignatureField


@dataclass(frozen=True, slots=True)
class DuplicateVote:
    """Two statements of one seat, of one kind, for one height and view, that differ."""

    KIND: ClassVar = 26
    first: SignedStatement
    second: SignedStatement


@dataclass(frozen=True, slots=True)
class SignedBody:
    """A block's body as its author signed it."""

    body: BlockBody
    signature: SignatureField


@dataclass(frozen=True, slots=True)
class DuplicateBody:
    """Two bodies of one author for one height."""

    KIND: ClassVar = 27
    first: SignedBody
    second: SignedBody


@dataclass(frozen=True, slots=True)
class Challenge:
    """Anyone bonded disputes what stands about a contribution, and stakes all judges' replays."""

    KIND: ClassVar = 28
    task: TaskField
    round: RoundField
    shard: ShardField
    expects_fail: bool
    """It says that the miner cheated; else that it did not."""


@dataclass(frozen=True, slots=True)
class ResultCommit:
    """A validator has a round's result and binds itself to it before anyone shows theirs."""

    KIND: ClassVar = 29
    task: TaskField
    round: RoundField
    commitment: DigestField


Evidence = DuplicateVote | DuplicateBody
Paid = Transfer | Bond | Unbond | SubmitTask | CancelTask
Free = (
    RegisterMiner
    | Ready
    | AttestPackage
    | Contribute
    | Attest
    | RoundResult
    | AuditCommit
    | RevealTrace
    | RevealAudit
    | Anchor
    | DuplicateVote
    | DuplicateBody
    | Challenge
    | ResultCommit
)
Action = (
    Transfer
    | Bond
    | Unbond
    | SubmitTask
    | CancelTask
    | RegisterMiner
    | Ready
    | AttestPackage
    | Contribute
    | Attest
    | RoundResult
    | AuditCommit
    | RevealTrace
    | RevealAudit
    | Anchor
    | DuplicateVote
    | DuplicateBody
    | Challenge
    | ResultCommit
)


@dataclass(frozen=True, slots=True)
class EvidenceNote:
    """A proof as a node keeps it until it stands on the chain."""

    evidence: Evidence


@dataclass(frozen=True, slots=True)
class TransactionBody:
    """What the sender signs."""

    sender: NodeField
    nonce: CountField
    """Next of the sender for paid actions; zero for free ones."""
    fee: AmountField
    """Zero for free actions."""
    action: Action


@dataclass(frozen=True, slots=True)
class Transaction:
    """A signed statement that changes the state."""

    body: TransactionBody
    signature: SignatureField
