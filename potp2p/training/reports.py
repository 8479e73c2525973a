"""What a worker process says back: it is ours, but decoded with bounds all the same."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from potp2p.foundation.limits import SHARDS_PER_ROUND_MAX
from potp2p.protocol.wire.fields import CountField, LossField, PpmField
from potp2p.protocol.wire.schema import Many, Text, Uint
from potp2p.protocol.wire.verification import Distances, Instability, Trace

PlacesField = Annotated[
    tuple[Annotated[int, Uint(SHARDS_PER_ROUND_MAX)], ...], Many(SHARDS_PER_ROUND_MAX)
]
"""Some of a round's payloads, by their places in the command, in rising order."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The worker has loaded torch, passed the known-answer check and holds its device."""

    KIND: ClassVar = 1
    device: Annotated[str, Text(64)]
    """torch name: `cpu`, `cuda:0`."""
    name: Annotated[str, Text(128)]
    memory_bytes: CountField
    torch: Annotated[str, Text(64)]


@dataclass(frozen=True, slots=True)
class Progress:
    """Heartbeat of a running command: one step of so many is done."""

    KIND: ClassVar = 2
    step: CountField
    steps: CountField
    loss: LossField | None


@dataclass(frozen=True, slots=True)
class Trained:
    """Outcome of Train; the payload file is on disk and synced."""

    KIND: ClassVar = 3
    samples: CountField
    loss_before: LossField
    loss_after: LossField
    diverged: bool
    trace: Trace
    milliseconds: CountField


@dataclass(frozen=True, slots=True)
class Checked:
    """Outcome of CheckPayload: None when the payload is acceptable, else the reason."""

    KIND: ClassVar = 4
    fault: Annotated[str, Text(256)] | None


@dataclass(frozen=True, slots=True)
class Aggregated:
    """Outcome of Aggregate; the checkpoint is written and its root measured from its bytes."""

    KIND: ClassVar = 5
    evaluation_loss: LossField
    accuracy: PpmField | None
    milliseconds: CountField
    flagged: PlacesField = ()
    """Payloads that the screens want audited for sure."""
    dropped: PlacesField = ()
    """Payloads that repeat an earlier claim: the checkpoint was computed without them."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """Outcome of Replay: the auditor's own trace and loss claims, and the distances it measured."""

    KIND: ClassVar = 6
    loss_before: LossField
    loss_after: LossField
    diverged: bool
    trace: Trace
    distances: Distances
    instability: Instability | None
    """Of a second replay from nudged weights; None where the payload is near the first."""
    milliseconds: CountField


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Outcome of Evaluate; accuracy only where the task classifies."""

    KIND: ClassVar = 7
    loss: LossField
    accuracy: PpmField | None


@dataclass(frozen=True, slots=True)
class Inspected:
    """Outcome of Inspect: None when the package is acceptable, else the reason."""

    KIND: ClassVar = 8
    fault: Annotated[str, Text(512)] | None
    parameters: CountField
    distance_all: PpmField | None
    distance_tensor: PpmField | None


@dataclass(frozen=True, slots=True)
class Failed:
    """The command could not be carried out; the worker lives on."""

    KIND: ClassVar = 9
    message: Annotated[str, Text(512)]


@dataclass(frozen=True, slots=True)
class Unfit:
    """In place of Ready: this machine computes other bits than everyone else, and never may."""

    KIND: ClassVar = 10
    message: Annotated[str, Text(512)]


Report = (
    Ready
    | Progress
    | Trained
    | Checked
    | Aggregated
    | Replayed
    | Evaluated
    | Inspected
    | Failed
    | Unfit
)


@dataclass(frozen=True, slots=True)
class ReportFrame:
    """One report and the number of the command it answers; 0 before any command."""

    number: CountField
    report: Report
