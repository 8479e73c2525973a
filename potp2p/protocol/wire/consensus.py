"""
What validators say to each other: signed statements, their proofs, and pulls of missing blocks.

A statement is what a signature covers; its domain is its own, so none can be replayed as another.
A proof travels beside the statement, outside the signature. Every statement begins with epoch,
height, view and signer. A commit's signed bytes are those of `CommitStatement`, so that its
signature is the one that a seal keeps.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, TypeAlias

from potp2p.foundation.limits import (
    BLOCK_BYTES_MAX,
    BLOCK_OVERHEAD_BYTES_MAX,
    BLOCK_TRANSACTIONS_MAX,
    MESSAGE_BYTES_MAX,
    SHORT_ID_BYTES,
    VALIDATORS_MAX,
)
from potp2p.foundation.types import Signature
from potp2p.protocol.wire.blocks import (
    COMMIT_DOMAIN,
    CommitSignature,
    Header,
    Seal,
    TransactionBytes,
)
from potp2p.protocol.wire.fields import (
    DigestField,
    EpochField,
    HeightField,
    SignatureField,
    ValidatorField,
    ViewField,
)
from potp2p.protocol.wire.schema import Many, Octets, decode, encode

CONSENSUS_FRAME_BYTES_MAX: Final = MESSAGE_BYTES_MAX

BitmapField = Annotated[bytes, Octets(0, (VALIDATORS_MAX + 7) // 8)]
"""Bit i of byte i // 8, low bits first; no trailing zero byte."""


@dataclass(frozen=True, slots=True)
class Prepare:
    """The signer executed the proposal of this view and found it right."""

    KIND: ClassVar = 1
    DOMAIN: ClassVar = "potp2p/consensus/prepare/1"
    epoch: EpochField
    height: HeightField
    view: ViewField
    signer: ValidatorField
    block_hash: DigestField


@dataclass(frozen=True, slots=True)
class Commit:
    """The signer holds a quorum of prepares; its bytes are those of `CommitStatement`."""

    KIND: ClassVar = 2
    DOMAIN: ClassVar = COMMIT_DOMAIN
    epoch: EpochField
    height: HeightField
    view: ViewField
    signer: ValidatorField
    block_hash: DigestField


@dataclass(frozen=True, slots=True)
class PreparedClaim:
    """The highest view of a height in which the signer held a quorum of prepares."""

    view: ViewField
    block_hash: DigestField


@dataclass(frozen=True, slots=True)
class ViewChange:
    """The signer enters this view and will act in no lower one."""

    KIND: ClassVar = 3
    DOMAIN: ClassVar = "potp2p/consensus/view-change/1"
    epoch: EpochField
    height: HeightField
    view: ViewField
    signer: ValidatorField
    head_hash: DigestField
    """Parent of the height: two validators on different chains never help each other."""
    prepared: PreparedClaim | None


@dataclass(frozen=True, slots=True)
class Propose:
    """The primary's choice for its view."""

    KIND: ClassVar = 4
    DOMAIN: ClassVar = "potp2p/consensus/propose/1"
    epoch: EpochField
    height: HeightField
    view: ViewField
    signer: ValidatorField
    block_hash: DigestField


Statement: TypeAlias = Prepare | Commit | ViewChange | Propose


@dataclass(frozen=True, slots=True)
class PreparedCertificate:
    """A quorum of prepares for one block in one view: the proof of a claim."""

    epoch: EpochField
    height: HeightField
    view: ViewField
    block_hash: DigestField
    signatures: Annotated[tuple[CommitSignature, ...], Many(VALIDATORS_MAX)]
    """Signatures of prepares; distinct signers in ascending order."""


@dataclass(frozen=True, slots=True)
class SignedViewChange:
    """A view change without the proof of its claim, as a proposal lists it."""

    statement: ViewChange
    signature: SignatureField


@dataclass(frozen=True, slots=True)
class SignedPrepare:
    """A prepare on its way."""

    KIND: ClassVar = 1
    statement: Prepare
    signature: SignatureField


@dataclass(frozen=True, slots=True)
class SignedCommit:
    """A commit on its way."""

    KIND: ClassVar = 2
    statement: Commit
    signature: SignatureField


@dataclass(frozen=True, slots=True)
class ProvenViewChange:
    """A view change with the proof of its claim; without claim there is none."""

    KIND: ClassVar = 3
    statement: ViewChange
    signature: SignatureField
    certificate: PreparedCertificate | None


@dataclass(frozen=True, slots=True)
class Proposal:
    """
    A primary's choice and its right to make it.

    From view 1 on, a quorum of view changes for exactly this view, and the certificate of the
    highest claim among them, if any (QBFT's arrangement: two quorums of checks, not a squared one).
    """

    KIND: ClassVar = 4
    statement: Propose
    signature: SignatureField
    view_changes: Annotated[tuple[SignedViewChange, ...], Many(VALIDATORS_MAX)]
    """Distinct signers in ascending order; empty in view 0."""
    certificate: PreparedCertificate | None


SignedMessage: TypeAlias = SignedPrepare | SignedCommit | ProvenViewChange | Proposal


@dataclass(frozen=True, slots=True)
class Status:
    """What the sender holds of its height, so that a peer can send exactly what is missing."""

    KIND: ClassVar = 5
    height: HeightField
    view: ViewField
    has_proposal: bool
    """Of this view."""
    prepares: BitmapField
    """Signers of prepares held for this view."""
    commits: BitmapField
    view_changes: BitmapField
    """Signers of whom a view change for this view or a higher one is held."""


@dataclass(frozen=True, slots=True)
class SealNotice:
    """A height is decided; the seal stands for itself."""

    KIND: ClassVar = 6
    seal: Seal


@dataclass(frozen=True, slots=True)
class BlockRequest:
    """Asks for a proposed or just decided block."""

    KIND: ClassVar = 7
    height: HeightField
    block_hash: DigestField


@dataclass(frozen=True, slots=True)
class BlockPush:
    """A block, ahead of its proposal or on request."""

    KIND: ClassVar = 8
    height: HeightField
    block: Annotated[bytes, Octets(1, BLOCK_BYTES_MAX + BLOCK_OVERHEAD_BYTES_MAX)]
    """Canonical bytes of a Block."""


@dataclass(frozen=True, slots=True)
class BlockSketch:
    """A block ahead of its proposal, its transactions by short id: most of them wait everywhere."""

    KIND: ClassVar = 9
    header: Header
    previous_seal: Seal | None
    short_ids: Annotated[bytes, Octets(0, SHORT_ID_BYTES * BLOCK_TRANSACTIONS_MAX)]
    """One after another, in the order of the block; no two are equal."""


@dataclass(frozen=True, slots=True)
class TransactionsRequest:
    """Asks the bearer of a sketch for what is missing here."""

    KIND: ClassVar = 10
    height: HeightField
    block_hash: DigestField
    missing: Annotated[bytes, Octets(1, (BLOCK_TRANSACTIONS_MAX + 7) // 8)]
    """Bit i of byte i // 8, low bits first: places in the block."""


@dataclass(frozen=True, slots=True)
class TransactionsReply:
    """The transactions asked for, in the order of the block."""

    KIND: ClassVar = 11
    height: HeightField
    block_hash: DigestField
    transactions: Annotated[tuple[TransactionBytes, ...], Many(BLOCK_TRANSACTIONS_MAX)]


ConsensusFrame: TypeAlias = (
    SignedPrepare
    | SignedCommit
    | ProvenViewChange
    | Proposal
    | Status
    | SealNotice
    | BlockRequest
    | BlockPush
    | BlockSketch
    | TransactionsRequest
    | TransactionsReply
)


@dataclass(frozen=True, slots=True)
class ConsensusEnvelope:
    """The only thing that crosses the consensus stream."""

    frame: ConsensusFrame


def encode_frame(frame: ConsensusFrame) -> bytes:
    """Return a frame's bytes on the consensus stream."""
    return encode(ConsensusEnvelope(frame))


def decode_frame(encoded: bytes) -> ConsensusFrame:
    """Parse untrusted bytes as one frame, raising PeerError on any defect."""
    return decode(ConsensusEnvelope, encoded, bytes_max=CONSENSUS_FRAME_BYTES_MAX).frame


def signed_parts(message: SignedMessage) -> tuple[tuple[Statement, Signature], ...]:
    """Return every statement that must verify before the message may be believed."""
    parts: list[tuple[Statement, Signature]] = [(message.statement, message.signature)]
    if isinstance(message, Proposal):
        parts += [(each.statement, each.signature) for each in message.view_changes]
    if isinstance(message, Proposal | ProvenViewChange) and message.certificate is not None:
        parts += certified_parts(message.certificate)
    return tuple(parts)


def certified_parts(certificate: PreparedCertificate) -> list[tuple[Statement, Signature]]:
    """Return the prepares that a certificate stands for."""
    return [
        (
            Prepare(
                certificate.epoch,
                certificate.height,
                certificate.view,
                each.signer,
                certificate.block_hash,
            ),
            each.signature,
        )
        for each in certificate.signatures
    ]
