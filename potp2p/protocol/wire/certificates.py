"""Certificates: the sealed proof of who won a height's draw, and the intervals that redo it."""

from dataclasses import dataclass
from typing import Annotated, Final

from potp2p.foundation.limits import (
    AUTHORS_RANKED,
    EPOCHS_KNOWN_MAX,
    EPOCHS_PER_FILE_MAX,
    EPOCHS_PER_REQUEST_MAX,
    SEAT_CHANGES_KEPT_MAX,
    VALIDATORS_MAX,
)
from potp2p.protocol.wire.blocks import Header, Seal
from potp2p.protocol.wire.fields import (
    AmountField,
    ChainField,
    CycleField,
    DigestField,
    EpochField,
    HeightField,
    NodeField,
)
from potp2p.protocol.wire.schema import Many, Uint

CERTIFICATE_DOMAIN: Final = "potp2p/certificate/1"
DRAWS_MAX: Final = 64
"""Draws of one height: ranked authors and those that lost their rank for the cycle."""
WEIGHT_STEPS_MAX: Final = 16
"""Depth of a sum tree over MINERS_MAX leaves, with room."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """Who may author a height and from which frozen weights; its hash is in the header."""

    chain_id: ChainField
    cycle: CycleField
    height: HeightField
    ranking: Annotated[tuple[NodeField, ...], Many(AUTHORS_RANKED)]
    weights_root: DigestField
    """Merkle sum tree over the cycle's weights; NO_DIGEST without weights."""
    total_weight: AmountField
    beacon: DigestField
    """beacon(height - 1)."""


@dataclass(frozen=True, slots=True)
class WeightStep:
    """A sibling on the way from a leaf to the root of the sum tree."""

    on_left: bool
    sum: AmountField
    digest: DigestField


@dataclass(frozen=True, slots=True)
class WeightProof:
    """One miner's interval of the cumulative weights."""

    miner: NodeField
    weight: AmountField
    steps: Annotated[tuple[WeightStep, ...], Many(WEIGHT_STEPS_MAX)]
    """From the leaf up; the sums on the left add up to the interval's start."""


@dataclass(frozen=True, slots=True)
class DrawProof:
    """Every draw of a height in order, each with its interval."""

    draws: Annotated[tuple[WeightProof, ...], Many(DRAWS_MAX)]
    ranked: Annotated[int, Uint(AUTHORS_RANKED + 1)]
    """How many of the drawn hold a rank; the others had lost it for the cycle."""


@dataclass(frozen=True, slots=True)
class ValidatorSet:
    """Who holds the seats of an epoch, in seat order."""

    nodes: Annotated[tuple[NodeField, ...], Many(VALIDATORS_MAX)]


@dataclass(frozen=True, slots=True)
class EpochLink:
    """The last header of an epoch, which its seats sealed, and the next seats that it announces."""

    header: Header
    seal: Seal
    validators: ValidatorSet


@dataclass(frozen=True, slots=True)
class SeatRun:
    """The same seats from one epoch on."""

    first: EpochField
    nodes: Annotated[tuple[NodeField, ...], Many(VALIDATORS_MAX)]


@dataclass(frozen=True, slots=True)
class KnownSeats:
    """The seats of all epochs that a client has followed, as it keeps them for itself."""

    chain_id: ChainField
    epochs: Annotated[int, Uint(EPOCHS_KNOWN_MAX + 1)]
    """How many."""
    runs: Annotated[tuple[SeatRun, ...], Many(SEAT_CHANGES_KEPT_MAX)]
    """Ascending by epoch, the first from epoch 0 on."""


@dataclass(frozen=True, slots=True)
class EpochsRequest:
    """Links of epochs in a row."""

    first: EpochField
    count: Annotated[int, Uint(EPOCHS_PER_REQUEST_MAX + 1)]


@dataclass(frozen=True, slots=True)
class EpochsReply:
    """Links from the first epoch asked for; fewer where the chain, or what is kept of it, ends."""

    links: Annotated[tuple[EpochLink, ...], Many(EPOCHS_PER_REQUEST_MAX)]


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """The certificate of one height, with everything that proves it."""

    height: HeightField


@dataclass(frozen=True, slots=True)
class CertificateFile:
    """
    What an export holds: checked offline from the genesis document, or its epoch's keys alone.

    The header commits to the certificate's hash and to the chain before it; the seal is a quorum's
    signature on that header; the draws redo the lottery under the certificate's weights root. The
    links lead from the seats of the genesis document to those of the header's epoch.
    """

    certificate: Certificate
    header: Header
    seal: Seal
    draw: DrawProof
    links: Annotated[tuple[EpochLink, ...], Many(EPOCHS_PER_FILE_MAX)]
    """Of every epoch before the header's; empty on the network, and where they are too many."""
