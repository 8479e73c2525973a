"""Parts of a round's record: its table, and what validators said about it."""

from dataclasses import dataclass
from typing import Annotated

from potp2p.foundation.limits import SHARDS_PER_ROUND_MAX
from potp2p.protocol.wire.fields import (
    AmountField,
    BlobField,
    DigestField,
    HeightField,
    LossField,
    NodeField,
    ShardField,
)
from potp2p.protocol.wire.schema import Octets


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """One line of a round's table."""

    shard: ShardField
    miner: NodeField


@dataclass(frozen=True, slots=True)
class Fine:
    """What a claim cost whose payload too few validators could have."""

    miner: NodeField
    """Who claimed: the lease's holder, or who stood in for it."""
    amount: AmountField
    """Taken of its bond and burned; zero where nothing was left of it."""


@dataclass(frozen=True, slots=True)
class Beaten:
    """Who had a shard too when its set was fixed, and is not the one whose claim is in."""

    miner: NodeField
    stood_in: bool
    """It was called at half time; else it is the lease's holder."""
    claimed: HeightField
    """Height of its claim; zero where none came in time."""


@dataclass(frozen=True, slots=True)
class ResultBond:
    """What one validator bound itself to before any result was shown."""

    validator: NodeField
    commitment: DigestField


@dataclass(frozen=True, slots=True)
class ResultVote:
    """One validator's result of a round."""

    validator: NodeField
    root: BlobField
    evaluation_loss: LossField
    flagged: Annotated[bytes, Octets(0, SHARDS_PER_ROUND_MAX // 8)]
    dropped: Annotated[bytes, Octets(0, SHARDS_PER_ROUND_MAX // 8)]
    """Bitmaps over the leases that are aggregated, in table order."""
    timely: bool
    """It opens what this validator committed to before anyone showed a result."""


@dataclass(frozen=True, slots=True)
class Attestation:
    """One validator's bitmap over the leases of a round, in table order."""

    validator: NodeField
    bitmap: Annotated[bytes, Octets(0, SHARDS_PER_ROUND_MAX // 8)]
