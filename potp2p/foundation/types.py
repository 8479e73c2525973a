"""Domain names for plain values: an index, a count and a size are different things."""

from dataclasses import dataclass
from typing import Final, NewType

NodeId = NewType("NodeId", bytes)
"""Compressed secp256k1 public key, 33 bytes: a node's libp2p identity and its signing key."""

AccountId = NewType("AccountId", bytes)
"""First 20 bytes of SHA-256 over the compressed public key; shown as bech32m with prefix `pot`."""

Digest = NewType("Digest", bytes)
"""SHA-256 output, 32 bytes."""

BlobId = NewType("BlobId", Digest)
"""Content address of a file: the digest of its chunk manifest."""

TaskId = NewType("TaskId", Digest)
"""Identifier of the transaction that submitted the task."""

ChainId = NewType("ChainId", Digest)
"""SHA-256 of the genesis document."""

Signature = NewType("Signature", bytes)
"""Compact low-S ECDSA signature, 64 bytes."""

Amount = NewType("Amount", int)
"""Money in base units; one POT is 10^9 of them."""

Height = NewType("Height", int)
"""Position of a block in the chain; genesis has height 0 and no block."""

View = NewType("View", int)
"""PBFT view within one height."""

Epoch = NewType("Epoch", int)
"""Number of the validator set in force."""

Cycle = NewType("Cycle", int)
"""Number of the span of blocks over which scores add up to lottery weights."""

Rank = NewType("Rank", int)
"""Place in a height's draw of authors, 0 to 2; `RANK_NONE` is a primary's own block."""

Round = NewType("Round", int)
"""Synchronous step of a task, from 0."""

ShardIndex = NewType("ShardIndex", int)
"""Zero-based cut of a task's dataset."""

ValidatorIndex = NewType("ValidatorIndex", int)
"""Zero-based seat in the validator list of one epoch."""

MicroNats = NewType("MicroNats", int)
"""A loss in millionths of a nat."""

PartsPerMillion = NewType("PartsPerMillion", int)
"""A ratio in millionths."""

GENESIS_HEIGHT: Final = Height(0)
FIRST_VIEW: Final = View(0)
POT: Final = 1_000_000_000
"""Base units in one POT."""


@dataclass(frozen=True, slots=True)
class TrustedCheckpoint:
    """A decided block that an operator vouches for: what newer history must contain."""

    height: Height
    block_hash: Digest
