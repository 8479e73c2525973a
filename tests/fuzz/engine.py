"""Runs decoders on valid, damaged and heavy inputs, and says what broke which promise."""

import time
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Final

from potp2p.foundation.errors import PeerError, RejectionReason
from tests.fuzz.disk_targets import disk_targets
from tests.fuzz.mutations import mutate
from tests.fuzz.network_targets import network_targets
from tests.fuzz.targets import Target
from tests.fuzz.text_targets import text_targets
from tests.fuzz.training_targets import training_targets
from tests.fuzz.wire_targets import wire_targets

MEMORY_PER_BYTE: Final = 10
POOL: Final = 24
"""Valid inputs of one target that are kept and damaged again and again."""
FRESH: Final = 0.05
"""Share of executions that renew one of them."""
HEAVY: Final = 0.01
WEIGHED: Final = 0.1
"""Share of executions whose memory is traced; heavy ones always are."""
FAILURES_KEPT: Final = 5
HEX_MAX: Final = 4_000


@dataclass(frozen=True, slots=True)
class Failure:
    """One broken promise, with everything that shows it again."""

    target: str
    promise: str
    input: bytes


@dataclass(slots=True)
class Tally:
    """What one target went through."""

    executions: int = 0
    accepted: int = 0
    weighed: int = 0
    memory_worst: float = 0.0
    """Largest peak beyond the allowance, in bytes per byte of input."""
    failures: list[Failure] = field(default_factory=list[Failure])
    failed: int = 0


def all_targets(folder: Path) -> tuple[Target, ...]:
    """Return every decoder there is; `folder` is for those that read files."""
    return (
        *wire_targets(),
        *network_targets(),
        *disk_targets(folder),
        *text_targets(folder),
        *training_targets(folder),
    )


def check(target: Target, encoded: bytes, tally: Tally, *, weigh: bool = False) -> None:
    """Run a decoder once and note every promise that it breaks."""
    tally.executions += 1
    if weigh:
        tracemalloc.start()
    try:
        answer, broken = _answer(target, encoded)
        peak = tracemalloc.get_traced_memory()[1] if weigh else 0
    finally:
        if weigh:
            tracemalloc.stop()
    if answer is not None:
        tally.accepted += 1
        if target.encode is not None and target.encode(answer[0]) != encoded:
            broken = "what it decoded encodes to other bytes"
    if weigh:
        tally.weighed += 1
        ratio = (peak - target.memory_free) / max(1, len(encoded))
        tally.memory_worst = max(tally.memory_worst, ratio)
        if ratio > MEMORY_PER_BYTE:
            broken = broken or f"{peak} bytes of memory for an input of {len(encoded)}"
    if broken is not None:
        tally.failed += 1
        if len(tally.failures) < FAILURES_KEPT:
            tally.failures.append(Failure(target.name, broken, encoded))


def _answer(target: Target, encoded: bytes) -> tuple[tuple[object] | None, str | None]:
    """Return what a decoder answers, in a tuple of one, or which promise it broke, or neither."""
    try:
        return (target.decode(encoded),), None
    except target.rejections as error:
        if isinstance(error, PeerError) and not isinstance(error.reason, RejectionReason):
            return None, f"refused without a reason: {error!r}"
        return None, None
    except Exception as error:  # noqa: BLE001  # finding any other kind is what this is for
        return None, f"raised {type(error).__name__}: {error!s:.200}"


@dataclass(slots=True)
class Stream:
    """The inputs of one target, fixed by a seed."""

    target: Target
    random: Random
    pool: list[bytes] = field(default_factory=list[bytes])

    def step(self, tally: Tally) -> None:
        """Make one input and run it."""
        random, target = self.random, self.target
        if len(self.pool) < POOL or random.random() < FRESH:
            self._renew(tally)
            return
        if target.heavy is not None and random.random() < HEAVY:
            check(target, target.heavy(random), tally, weigh=True)
            return
        first, other = random.choice(self.pool), random.choice(self.pool)
        encoded = mutate(first, other, random, target.mutators)
        check(target, encoded, tally, weigh=random.random() < WEIGHED)

    def _renew(self, tally: Tally) -> None:
        encoded = self.target.seed(self.random)
        check(self.target, encoded, tally)
        if len(self.pool) < POOL:
            self.pool.append(encoded)
        else:
            self.pool[self.random.randrange(POOL)] = encoded


def stream_of(target: Target, seed: int) -> Stream:
    """Return the inputs of a target; its name takes part, so that targets do not share them."""
    digest = sha256(f"{seed} {target.name}".encode()).digest()
    return Stream(target, Random(digest))


def run_executions(targets: Sequence[Target], seed: int, executions: int) -> dict[str, Tally]:
    """Run every target so many times."""
    tallies = {target.name: Tally() for target in targets}
    for target in targets:
        stream, tally = stream_of(target, seed), tallies[target.name]
        for _ in range(executions):
            stream.step(tally)
    return tallies


def run_seconds(targets: Sequence[Target], seed: int, seconds: float) -> dict[str, Tally]:
    """Run all targets in turn, each as long as any other, until the time is over."""
    tallies = {target.name: Tally() for target in targets}
    streams = {target.name: stream_of(target, seed) for target in targets}
    slice_seconds = min(0.25, seconds / len(targets) / 4)
    end = time.monotonic() + seconds
    for target in _in_turn(targets):
        now = time.monotonic()
        if now >= end:
            break
        stream, tally = streams[target.name], tallies[target.name]
        while time.monotonic() < min(end, now + slice_seconds):
            stream.step(tally)
    return tallies


def _in_turn(targets: Sequence[Target]) -> Iterator[Target]:
    while True:
        yield from targets
