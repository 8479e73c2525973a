"""Field types that many messages share, each with its bound on the wire."""

from typing import Annotated, Final

from potp2p.foundation.limits import (
    ACCOUNT_BYTES,
    AMOUNT_BOUND,
    DIGEST_BYTES,
    HEIGHT_BOUND,
    NODE_ID_BYTES,
    ROUNDS_MAX,
    SHARDS_MAX,
    SIGNATURE_BYTES,
    VALIDATORS_MAX,
    VIEW_BOUND,
)
from potp2p.foundation.types import (
    AccountId,
    Amount,
    BlobId,
    ChainId,
    Cycle,
    Digest,
    Epoch,
    Height,
    MicroNats,
    NodeId,
    PartsPerMillion,
    Rank,
    Round,
    ShardIndex,
    Signature,
    TaskId,
    ValidatorIndex,
    View,
)
from potp2p.protocol.wire.schema import Int, Octets, Uint

DigestField = Annotated[Digest, Octets(DIGEST_BYTES)]
BlobField = Annotated[BlobId, Octets(DIGEST_BYTES)]
TaskField = Annotated[TaskId, Octets(DIGEST_BYTES)]
ChainField = Annotated[ChainId, Octets(DIGEST_BYTES)]
NodeField = Annotated[NodeId, Octets(NODE_ID_BYTES)]
AccountField = Annotated[AccountId, Octets(ACCOUNT_BYTES)]
SignatureField = Annotated[Signature, Octets(SIGNATURE_BYTES)]
AmountField = Annotated[Amount, Uint(AMOUNT_BOUND)]
HeightField = Annotated[Height, Uint(HEIGHT_BOUND)]
ViewField = Annotated[View, Uint(VIEW_BOUND)]
EpochField = Annotated[Epoch, Uint(HEIGHT_BOUND)]
CycleField = Annotated[Cycle, Uint(HEIGHT_BOUND)]
RankField = Annotated[Rank, Uint(256)]
RoundField = Annotated[Round, Uint(ROUNDS_MAX)]
ShardField = Annotated[ShardIndex, Uint(SHARDS_MAX)]
ValidatorField = Annotated[ValidatorIndex, Uint(VALIDATORS_MAX)]
LossField = Annotated[MicroNats, Uint(1 << 40)]
"""A loss up to a million nats; one that is not finite is said by a flag beside it."""
PPM_BOUND: Final = 1 << 40
PpmField = Annotated[PartsPerMillion, Uint(PPM_BOUND)]
SignedPpmField = Annotated[PartsPerMillion, Int(1 << 40)]
CountField = Annotated[int, Uint(1 << 48)]
MillisecondsField = Annotated[int, Uint(1 << 48)]
