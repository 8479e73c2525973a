"""What a node may ask of a worker process; paths name files that were verified by hash before."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from potp2p.foundation.limits import SHARDS_MAX, SHARDS_PER_ROUND_MAX
from potp2p.protocol.wire.fields import (
    AccountField,
    CountField,
    DigestField,
    HeightField,
    RoundField,
    ShardField,
    TaskField,
)
from potp2p.protocol.wire.schema import Many, Text
from potp2p.protocol.wire.tasks import TaskRules

PathField = Annotated[str, Text(4096)]


@dataclass(frozen=True, slots=True)
class Lease:
    """The identity that a payload and its trace commitment hash in."""

    miner: AccountField
    task: TaskField
    round: RoundField
    shard: ShardField


@dataclass(frozen=True, slots=True)
class Train:
    """Compute the contribution of one lease and write the payload file."""

    KIND: ClassVar = 1
    lease: Lease
    rules: TaskRules
    model: PathField
    """config.json of the package."""
    theta: PathField
    """Checkpoint file of theta(t)."""
    shard: PathField
    """safetensors file of the shard."""
    payload: PathField
    """Where the payload is written, atomically and synced."""


@dataclass(frozen=True, slots=True)
class CheckPayload:
    """Check what needs no other payload: length, header, ranges, norm, not all zero."""

    KIND: ClassVar = 2
    lease: Lease
    rules: TaskRules
    theta: PathField
    payload: PathField
    diverged: bool = False
    """The claim says that the lease diverged: then the payload must be all zero."""


@dataclass(frozen=True, slots=True)
class Aggregate:
    """Compute theta(t+1) exactly from the round's set, in the order of shards."""

    KIND: ClassVar = 3
    rules: TaskRules
    task: TaskField
    round: RoundField
    model: PathField
    theta: PathField
    payloads: Annotated[tuple[PathField, ...], Many(SHARDS_PER_ROUND_MAX)]
    """In the order of shards; those that are all zero, of leases that diverged, are left out."""
    result: PathField
    """Where the next checkpoint is written."""
    evaluation: PathField
    """safetensors file of the evaluation set."""
    heights: Annotated[tuple[HeightField, ...], Many(SHARDS_PER_ROUND_MAX)] = ()
    """Of each payload's claim: of equal payloads the first stays. None: the order of shards."""


@dataclass(frozen=True, slots=True)
class Replay:
    """
    Run a claimed lease again and measure the distance to the decoded payload.

    Once more from nudged weights where that is not near: how far do honest replays drift apart?
    """

    KIND: ClassVar = 4
    lease: Lease
    rules: TaskRules
    model: PathField
    theta: PathField
    shard: PathField
    payload: PathField
    nudge: DigestField
    """Seed of the second replay's nudge."""
    always: bool = False
    """Measure the instability also where the payload is near: a bench wants to know it."""


@dataclass(frozen=True, slots=True)
class Evaluate:
    """Measure mean loss and accuracy of a checkpoint on a data file."""

    KIND: ClassVar = 5
    rules: TaskRules
    model: PathField
    theta: PathField
    evaluation: PathField


@dataclass(frozen=True, slots=True)
class Inspect:
    """Check that a package is what its rules say and that its honest distance fits its class."""

    KIND: ClassVar = 6
    rules: TaskRules
    model: PathField
    theta: PathField
    shards: Annotated[tuple[PathField, ...], Many(SHARDS_MAX)]
    evaluation: PathField
    calibrate: bool
    """Also run one lease with 1 and 2 threads and measure the distance (expensive)."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Give up a command at its next step; it then ends in Failed. Overtakes what waits."""

    KIND: ClassVar = 7
    number: CountField
    """The command meant, by the number of its frame."""


Command = Train | CheckPayload | Aggregate | Replay | Evaluate | Inspect | Cancel


@dataclass(frozen=True, slots=True)
class CommandFrame:
    """One command with the number that its reports repeat."""

    number: CountField
    command: Command
