"""
Devices without torch: results that depend on the inputs' bytes, the same on every machine.

A payload names its lease and the digests of what it was computed from; a replay computes it again
and compares. Commands take virtual seconds, so that services meet them unfinished.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import trio
from safetensors.numpy import load_file, save_file

from potp2p.foundation.errors import OperatingError
from potp2p.foundation.types import MicroNats, PartsPerMillion
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.ledger.tasks import samples_of
from potp2p.protocol.wire.schema import encode
from potp2p.protocol.wire.tasks import TaskRules
from potp2p.protocol.wire.verification import Distances, Instability, Trace, TraceEntry
from potp2p.training.commands import (
    Aggregate,
    CheckPayload,
    Command,
    Inspect,
    Lease,
    Replay,
    Train,
)
from potp2p.training.reports import (
    Aggregated,
    Checked,
    Inspected,
    Progress,
    Replayed,
    Report,
    Trained,
)
from potp2p.workers.ports import OnProgress, WorkerFacts, WorkerState

FIRST_LOSS: Final = MicroNats(2_300_000)
FAR: Final = PartsPerMillion(900_000)
"""Distance, in ppm, of a payload that was not computed."""
STABLE: Final = Instability(
    Distances(PartsPerMillion(0), PartsPerMillion(0), exponents_fit=True), PartsPerMillion(0)
)
"""Two replays that agree bit for bit."""


def payload_of(lease: Lease, theta: str, shard: str) -> bytes:
    """Return the one honest payload of a lease."""
    inputs = sha256(Path(theta).read_bytes()) + sha256(Path(shard).read_bytes())
    return encode(lease) + inputs


def trace_of(lease: Lease, rules: TaskRules, theta: str, shard: str) -> Trace:
    """Return a trace that cannot be guessed without the inputs."""
    seed = sha256(payload_of(lease, theta, shard))
    entries = rules.batch.steps * rules.batch.micro_batches
    return Trace(
        tuple(
            TraceEntry(MicroNats(FIRST_LOSS + seed[i % 32]), 1 + seed[-1 - i % 32])
            for i in range(entries)
        )
    )


@dataclass(slots=True)
class FakeWorkers:
    """One device that computes cheaply and honestly; subclasses lie."""

    seconds: float = 0.2
    """Virtual duration of a command."""
    failures: dict[type[Command], int] = field(default_factory=dict[type[Command], int])
    """How often a kind of command still fails."""
    done: Counter[type[Command]] = field(default_factory=Counter[type[Command]])
    ready_at: float = 0.0
    """Virtual time at which the device is known."""

    async def execute(
        self,
        command: Command,
        progress: OnProgress | None = None,
        device: int = 0,
        priority: int | None = None,
    ) -> Report:
        """Carry out one command."""
        del device, priority
        if progress is not None:
            progress(Progress(1, 2, FIRST_LOSS))
        await trio.sleep(self.seconds)
        kind = type(command)
        if self.failures.get(kind, 0):
            self.failures[kind] -= 1
            raise OperatingError("the device fell silent")
        self.done[kind] += 1
        match command:
            case Train():
                return self.train(command)
            case CheckPayload():
                return self.check(command)
            case Aggregate():
                return self.aggregate(command)
            case Replay():
                return self.replay(command)
            case Inspect():
                return self.inspect(command)
            case _:
                raise AssertionError(f"nobody asks for {kind.__name__}")

    def facts(self) -> tuple[WorkerFacts, ...]:
        """Return the one device, unknown before `ready_at`."""
        ready = trio.current_time() >= self.ready_at
        state = WorkerState.IDLE if ready else WorkerState.STARTING
        memory = 8 << 30 if ready else None
        return (WorkerFacts("cpu", "fake", memory, 1, 0, state, None, 0, None, None, None),)

    def train(self, command: Train) -> Trained:
        """Write the honest payload."""
        Path(command.payload).write_bytes(payload_of(command.lease, command.theta, command.shard))
        return self.trained(command)

    def trained(self, command: Train) -> Trained:
        """Return the report of an honest run."""
        trace = trace_of(command.lease, command.rules, command.theta, command.shard)
        before = trace.entries[0].loss
        samples = samples_of(command.rules)
        return Trained(
            samples, before, MicroNats(before // 2), diverged=False, trace=trace, milliseconds=200
        )

    def check(self, command: CheckPayload) -> Checked:
        """Look at the header alone, as a validator can without training."""
        content = Path(command.payload).read_bytes()
        whole = content.startswith(encode(command.lease))
        fits = len(content) == len(encode(command.lease)) + 64
        return Checked(None if whole and fits else "payload of another lease or length")

    def aggregate(self, command: Aggregate) -> Aggregated:
        """Write a checkpoint that depends on every payload and on the last checkpoint."""
        inputs = [Path(command.theta), *(Path(each) for each in command.payloads)]
        digest = sha256(b"".join(sha256(path.read_bytes()) for path in inputs))
        write_checkpoint(Path(command.result), digest)
        return Aggregated(
            MicroNats(FIRST_LOSS // (command.round + 2)), PartsPerMillion(500_000), milliseconds=10
        )

    def replay(self, command: Replay) -> Replayed:
        """Compute again and compare."""
        honest = payload_of(command.lease, command.theta, command.shard)
        trace = trace_of(command.lease, command.rules, command.theta, command.shard)
        distance = PartsPerMillion(0) if Path(command.payload).read_bytes() == honest else FAR
        before = trace.entries[0].loss
        return Replayed(
            before,
            MicroNats(before // 2),
            diverged=False,
            trace=trace,
            distances=Distances(distance, distance, exponents_fit=distance == 0),
            instability=None if distance == 0 else STABLE,
            milliseconds=200,
        )

    def inspect(self, command: Inspect) -> Inspected:
        """Take every package whose model file says that it is one."""
        known = Path(command.model).read_bytes().startswith(b"{")
        return Inspected(
            None if known else "not a configuration", 1_000, PartsPerMillion(0), PartsPerMillion(0)
        )


@dataclass(slots=True)
class Garbler(FakeWorkers):
    """A miner whose payloads are noise."""

    content: Callable[[Train], bytes] = lambda command: b"\xa5" * 300

    def train(self, command: Train) -> Trained:
        """Write noise and claim honest losses."""
        Path(command.payload).write_bytes(self.content(command))
        return self.trained(command)


def right_header(command: Train) -> bytes:
    """Return a payload that looks right and was never computed."""
    return encode(command.lease) + sha256(b"no") + sha256(b"work")


def write_checkpoint(path: Path, digest: bytes) -> None:
    """Write a model of 32 parameters."""
    weight = np.frombuffer(digest, dtype=np.uint8).astype(np.float32)
    save_file({"parameter/weight": weight, "optimizer/weight": weight}, path)


def read_weights(path: Path) -> bytes:
    """Return the parameters of a written model as the digest they came from."""
    return bytes(load_file(path)["weight"].astype(np.uint8).tobytes())
