"""
Blocks: a body that an author signs, a frame that the first primary adds, a seal by a quorum.

The block hash covers body, author's signature and frame, so that a re-proposal in a later view
keeps all three. The frame of h is executed first thing in h+1: the state root in the body of h
does not depend on who proposes it (DESIGN section 4).
"""

from dataclasses import dataclass
from typing import Annotated, Final

from potp2p.foundation.limits import (
    BLOCK_TRANSACTIONS_MAX,
    DIGEST_BYTES,
    TRANSACTION_BYTES_MAX,
    VALIDATORS_MAX,
)
from potp2p.foundation.types import Digest, Rank
from potp2p.protocol.wire.fields import (
    CycleField,
    DigestField,
    EpochField,
    HeightField,
    MillisecondsField,
    NodeField,
    RankField,
    SignatureField,
    ValidatorField,
    ViewField,
)
from potp2p.protocol.wire.schema import Many, Octets, Uint

BLOCK_VERSION: Final = 1
RANK_NONE: Final = Rank(255)
"""The primary's own block: no author reward, any height."""
NO_DIGEST: Final = Digest(bytes(DIGEST_BYTES))
"""Stands for the hash of nothing: the parent's seal of the first block."""
BLOCK_DOMAIN: Final = "potp2p/block/1"
BODY_DOMAIN: Final = "potp2p/body/1"
SEAL_DOMAIN: Final = "potp2p/seal/1"
COMMIT_DOMAIN: Final = "potp2p/consensus/commit/1"

TransactionBytes = Annotated[bytes, Octets(1, TRANSACTION_BYTES_MAX)]


@dataclass(frozen=True, slots=True)
class BlockBody:
    """What the author fixes and signs."""

    version: Annotated[int, Uint(2)]
    height: HeightField
    previous_hash: DigestField
    previous_seal_hash: DigestField
    """Digest of the parent's seal carried in this block; NO_DIGEST at height 1."""
    epoch: EpochField
    cycle: CycleField
    author: NodeField
    rank: RankField
    transactions_root: DigestField
    """Merkle root over the SHA-256 of each transaction's bytes, in order."""
    state_root: DigestField
    """After executing the parent's frame and this block's transactions."""
    next_validators_hash: DigestField
    certificate_hash: DigestField
    time_milliseconds: MillisecondsField
    """The author's clock: information, never a rule."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What the first primary that proposes the body adds."""

    primary: ValidatorField
    view: ViewField
    """View of the first proposal: the primaries of the views below it missed their turn."""
    reveal: DigestField
    """Preimage in the primary's beacon chain at the depth of this height; zeros without anchor."""


@dataclass(frozen=True, slots=True)
class Header:
    """All that the block hash covers."""

    body: BlockBody
    author_signature: SignatureField
    frame: Frame


@dataclass(frozen=True, slots=True)
class CommitSignature:
    """One validator's commit, as kept in a seal."""

    signer: ValidatorField
    signature: SignatureField


@dataclass(frozen=True, slots=True)
class Seal:
    """A quorum of commit signatures on one block: it stands for itself."""

    epoch: EpochField
    height: HeightField
    view: ViewField
    """View in which the commits were cast."""
    block_hash: DigestField
    signatures: Annotated[tuple[CommitSignature, ...], Many(VALIDATORS_MAX)]
    """Distinct signers in ascending order."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block as it travels and as it is stored, without its own seal."""

    header: Header
    previous_seal: Seal | None
    transactions: Annotated[tuple[TransactionBytes, ...], Many(BLOCK_TRANSACTIONS_MAX)]


@dataclass(frozen=True, slots=True)
class AuthoredBody:
    """What a ranked author hands to the validators: a block still without frame."""

    body: BlockBody
    author_signature: SignatureField
    previous_seal: Seal | None
    transactions: Annotated[tuple[TransactionBytes, ...], Many(BLOCK_TRANSACTIONS_MAX)]


@dataclass(frozen=True, slots=True)
class CommitStatement:
    """The bytes under one commit signature."""

    epoch: EpochField
    height: HeightField
    view: ViewField
    signer: ValidatorField
    block_hash: DigestField
