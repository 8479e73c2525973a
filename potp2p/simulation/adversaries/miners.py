"""Miners that hand in something else than what their lease asks for."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Final

import numpy as np

from potp2p.foundation.types import MicroNats, TaskId
from potp2p.protocol.wire.tasks import TaskRules
from potp2p.protocol.wire.verification import Trace
from potp2p.simulation.adversaries.cheat import Cheat, Run, expect
from potp2p.simulation.adversaries.forgery import (
    alter,
    dice,
    layout_of,
    noise_like,
    read_update,
    write_update,
)
from potp2p.simulation.adversaries.kinds import Kind
from potp2p.training.commands import Train
from potp2p.training.reports import Trained
from potp2p.training.tensors import Float32

FLIPPED: Final = np.float32(-10)
DOUBLED: Final = np.float32(2)
NOISE_SHARE: Final = 0.05
"""Of the update's norm: the smallest noise that the reference calls a cheat in every class."""


@dataclass(slots=True)
class FreeRider(Cheat):
    """
    Trains once, and from then on hands in random payloads of the right norm with recycled losses.

    Hopes for a miner's pay without a miner's work: one lease of work instead of hundreds. Stopped
    by the audit: no random payload lies within the tolerance of a replay, and no recycled trace.
    """

    KIND: ClassVar = Kind.FREE_RIDER
    _learned: dict[TaskId, tuple[Trained, float]] = field(
        default_factory=dict[TaskId, tuple[Trained, float]]
    )
    """Of each task: what honest work looked like, and the norm of its update."""

    async def train(self, command: Train, run: Run) -> Trained:
        """Hand in chance."""
        self.commit(command.lease)
        theta, payload = Path(command.theta), Path(command.payload)
        layout, task = layout_of(theta, command.rules), command.lease.task
        if task not in self._learned:
            honest = expect(await run(command), Trained)
            self._learned[task] = (honest, read_norm(payload, theta, command.rules))
        known, norm = self._learned[task]
        random = dice(command.lease, "free-rider")
        raw_P = random.standard_normal(layout.parameter_count)
        update_P = (raw_P * (norm / float(np.linalg.norm(raw_P)))).astype(np.float32)
        write_update(
            payload, command.lease, layout, update_P, np.zeros(layout.buffer_count, np.float32)
        )
        claimed = replace(known, milliseconds=0)
        self.league.tell(command.lease, claimed)
        return claimed


def read_norm(payload: Path, theta: Path, rules: TaskRules) -> float:
    """Return the norm of the update that a payload stands for."""
    update_P, _ = read_update(payload, layout_of(theta, rules))
    return float(np.linalg.norm(update_P))


@dataclass(slots=True)
class StaleWeights(Cheat):
    """
    Trains from the weights of the round before.

    Hopes to save the fetch of every new checkpoint, and to work ahead while others wait. Stopped by
    the audit: an update from other weights lies far from the replay.
    """

    KIND: ClassVar = Kind.STALE_WEIGHTS
    _thetas: dict[TaskId, Path] = field(default_factory=dict[TaskId, Path])
    _round: dict[TaskId, int] = field(default_factory=dict[TaskId, int])
    _older: dict[TaskId, Path] = field(default_factory=dict[TaskId, Path])

    async def train(self, command: Train, run: Run) -> Trained:
        """Train from what was current a round ago; honest in the first round, for want of any."""
        task, round_ = command.lease.task, command.lease.round
        if self._round.get(task) != round_:
            self._round[task] = round_
            if task in self._thetas:
                self._older[task] = self._thetas[task]
            self._thetas[task] = self._keep(Path(command.theta))
        stale = self._older.get(task)
        if stale is None:
            return expect(await run(command), Trained)
        self.commit(command.lease)
        return expect(await run(replace(command, theta=str(stale))), Trained)

    def _keep(self, theta: Path) -> Path:
        """Copy a checkpoint: the node forgets those of old rounds."""
        kept = self.league.folder / "stale" / theta.name
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(theta.read_bytes())
        return kept


@dataclass(slots=True)
class HalfWork(Cheat):
    """
    Trains half of the steps, or of the micro-batches where there is one step, and claims all.

    Hopes for full pay for half of the work. Stopped by the audit: distance, and a trace of which
    half is a repetition.
    """

    KIND: ClassVar = Kind.HALF_WORK

    async def train(self, command: Train, run: Run) -> Trained:
        """Do half, and repeat the trace of it."""
        self.commit(command.lease)
        whole = command.rules.batch
        half = (
            replace(whole, steps=whole.steps // 2)
            if whole.steps > 1
            else replace(whole, micro_batches=max(1, whole.micro_batches // 2))
        )
        done = expect(
            await run(replace(command, rules=replace(command.rules, batch=half))), Trained
        )
        wanted = whole.steps * whole.micro_batches
        entries = (done.trace.entries * wanted)[:wanted]
        return replace(done, samples=wanted * whole.micro_batch, trace=Trace(entries))


@dataclass(slots=True)
class WrongShard(Cheat):
    """
    Trains the first shard it ever fetched, whatever shard is leased to it.

    Hopes to save the fetch of data, or the data it would rather not touch. Stopped by the audit.
    """

    KIND: ClassVar = Kind.WRONG_SHARD
    _first: dict[TaskId, Path] = field(default_factory=dict[TaskId, Path])

    async def train(self, command: Train, run: Run) -> Trained:
        """Train another shard than the leased one."""
        first = self._first.setdefault(command.lease.task, Path(command.shard))
        if first != Path(command.shard):
            self.commit(command.lease)
        return expect(await run(replace(command, shard=str(first))), Trained)


@dataclass(slots=True)
class Altering(Cheat):
    """Trains honestly and alters the payload; subclasses say how."""

    async def train(self, command: Train, run: Run) -> Trained:
        """Hand in an altered update with the honest losses and trace."""
        self.commit(command.lease)
        report = expect(await run(command), Trained)
        layout = layout_of(Path(command.theta), command.rules)
        alter(
            Path(command.payload),
            command.lease,
            layout,
            lambda update_P: self.change(update_P, command),
        )
        return report

    def change(self, update_P: Float32, command: Train) -> Float32:
        """Return what is handed in instead of an update."""
        raise NotImplementedError


@dataclass(slots=True)
class SignFlip(Altering):
    """
    Hands in minus ten times its update.

    Hopes to turn the model around. Bounded by the norm clip, which leaves it one median norm;
    flagged by the alignment screen, so that the audit is certain.
    """

    KIND: ClassVar = Kind.SIGN_FLIP

    def change(self, update_P: Float32, command: Train) -> Float32:
        """Point the other way, ten times as far."""
        return (update_P * FLIPPED).astype(np.float32)


@dataclass(slots=True)
class Scaled(Altering):
    """
    Hands in twice its update.

    Hopes for more weight in the mean than others have. Bounded by the norm clip; stopped by the
    audit: chunk exponents one too large are never honest.
    """

    KIND: ClassVar = Kind.SCALED

    def change(self, update_P: Float32, command: Train) -> Float32:
        """Go twice as far."""
        return (update_P * DOUBLED).astype(np.float32)


@dataclass(slots=True)
class Noise(Altering):
    """
    Adds noise of a twentieth of its norm.

    Hopes to hide other work, or harm, inside what honest rounding allows. Stopped by the audit:
    what exceeds half a quantisation step counts, and this does.
    """

    KIND: ClassVar = Kind.NOISE

    def change(self, update_P: Float32, command: Train) -> Float32:
        """Add noise."""
        random = dice(command.lease, "noise")
        return (update_P + noise_like(update_P, NOISE_SHARE, random)).astype(np.float32)


@dataclass(slots=True)
class FalseLoss(Cheat):
    """
    Trains honestly and claims half the loss that it reached.

    Hopes for a higher score, and with it pay and lottery weight. Stopped by the audit, which
    measures the claimed losses too; bounded by the clamp of the gain.
    """

    KIND: ClassVar = Kind.FALSE_LOSS

    async def train(self, command: Train, run: Run) -> Trained:
        """Claim more than was gained."""
        self.commit(command.lease)
        report = expect(await run(command), Trained)
        return replace(report, loss_after=MicroNats(report.loss_after // 2))
