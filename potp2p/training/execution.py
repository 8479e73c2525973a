"""Carries out commands on one device: reads the files they name, computes, reports."""

import time
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import assert_never

import torch

from potp2p.foundation.errors import OperatingError, PeerError, RejectionReason
from potp2p.foundation.limits import CONFIGURATION_BYTES_MAX
from potp2p.foundation.types import Digest
from potp2p.protocol.verification.tolerance import tolerance_of
from potp2p.protocol.wire.tasks import ModelRule, TaskRules
from potp2p.training.aggregation import aggregate
from potp2p.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from potp2p.training.commands import (
    Aggregate,
    Cancel,
    CheckPayload,
    Command,
    Evaluate,
    Inspect,
    Lease,
    Replay,
    Train,
)
from potp2p.training.compression import d8
from potp2p.training.data import read_samples, samples_per_lease
from potp2p.training.evaluation import evaluate
from potp2p.training.faults import COMPUTATION_ERRORS, describe, printable
from potp2p.training.held import PayloadFile, open_payload, read_bounded
from potp2p.training.inspection import inspect
from potp2p.training.layout import Layout
from potp2p.training.model import Model, build_model
from potp2p.training.nudging import apart, is_near, nudge
from potp2p.training.replay import measure
from potp2p.training.reports import (
    Aggregated,
    Checked,
    Evaluated,
    Inspected,
    Replayed,
    Report,
    Trained,
)
from potp2p.training.screening import screen
from potp2p.training.step import StepDone, compute_lease, loss_after
from potp2p.training.tensors import write_file


@dataclass(slots=True)
class Executor:
    """One device and the model last used on it: tasks send many leases of the same model."""

    device: torch.device
    _key: tuple[Digest, ModelRule] | None = None
    model: Model | None = field(default=None)
    """The one last built; None after one was refused."""

    def execute(self, command: Command, step_done: StepDone) -> Report:
        """Carry out one command; PeerError or OperatingError say why it cannot be done."""
        match command:
            case Train():
                return self._train(command, step_done)
            case CheckPayload():
                return _check_payload(command)
            case Aggregate():
                return self._aggregate(command, step_done)
            case Replay():
                return self._replay(command, step_done)
            case Evaluate():
                return self._evaluate(command, step_done)
            case Inspect():
                return self._inspect(command, step_done)
            case Cancel():
                raise AssertionError("cancelling is the reader's part")
            case _:
                assert_never(command)

    def _train(self, command: Train, step_done: StepDone) -> Trained:
        started = time.monotonic()
        model, checkpoint = self._open(command.model, command.theta, command.rules)
        samples = read_samples(Path(command.shard), command.rules.model.objective)
        work = compute_lease(model, checkpoint, command.rules, command.lease, samples, step_done)
        encoded = d8.encode(command.lease, checkpoint.layout, work.update_P, work.buffers_B)
        payload = d8.decode(encoded, checkpoint.layout)
        after = loss_after(
            model, checkpoint, command.rules, command.lease, samples, payload, step_done
        )
        write_file(Path(command.payload), encoded)
        return Trained(
            samples=samples_per_lease(command.rules),
            loss_before=work.loss_before,
            loss_after=after,
            diverged=work.diverged,
            trace=work.trace,
            milliseconds=_milliseconds_since(started),
        )

    def _replay(self, command: Replay, step_done: StepDone) -> Replayed:
        started = time.monotonic()
        rules = command.rules
        model, checkpoint = self._open(command.model, command.theta, rules)
        samples = read_samples(Path(command.shard), rules.model.objective)
        payload = _read_payload(Path(command.payload), checkpoint.layout, command.lease)
        work = compute_lease(model, checkpoint, rules, command.lease, samples, step_done)
        tolerance = tolerance_of(rules.model.tolerance, rules.mode)
        distances = measure(checkpoint.layout, payload, work, tolerance)
        after = loss_after(model, checkpoint, rules, command.lease, samples, payload, step_done)
        instability = None
        if command.always or not is_near(distances, tolerance):
            nudged = nudge(checkpoint, command.nudge)
            again = compute_lease(model, nudged, rules, command.lease, samples, step_done)
            instability = apart(checkpoint.layout, command.lease, (work, again), tolerance)
        return Replayed(
            loss_before=work.loss_before,
            loss_after=after,
            diverged=work.diverged,
            trace=work.trace,
            distances=distances,
            instability=instability,
            milliseconds=_milliseconds_since(started),
        )

    def _aggregate(self, command: Aggregate, step_done: StepDone) -> Aggregated:
        started = time.monotonic()
        rules = command.rules
        model, checkpoint = self._open(command.model, command.theta, rules)
        layout = checkpoint.layout
        held: list[PayloadFile] = []
        for index, path in enumerate(command.payloads):
            held.append(_open_payload_of_round(Path(path), layout, command, held))
            step_done(index + 1, len(command.payloads), None)
        heights = command.heights or (0,) * len(held)
        if len(heights) != len(held):
            raise PeerError(RejectionReason.MALFORMED, "heights of other payloads")
        screened = screen(layout, held, heights, step_done)
        kept = [payload for place, payload in enumerate(held) if place not in screened.dropped]
        after = aggregate(rules, command.round, checkpoint, kept)
        write_checkpoint(Path(command.result), after)
        samples = read_samples(Path(command.evaluation), rules.model.objective)
        evaluated = evaluate(model, after, rules, samples, step_done)
        return Aggregated(
            evaluated.loss,
            evaluated.accuracy,
            _milliseconds_since(started),
            flagged=screened.flagged,
            dropped=screened.dropped,
        )

    def _evaluate(self, command: Evaluate, step_done: StepDone) -> Evaluated:
        model, checkpoint = self._open(command.model, command.theta, command.rules)
        samples = read_samples(Path(command.evaluation), command.rules.model.objective)
        return evaluate(model, checkpoint, command.rules, samples, step_done)

    def _inspect(self, command: Inspect, step_done: StepDone) -> Inspected:
        try:
            model, checkpoint = self._open(command.model, command.theta, command.rules)
            return inspect(command, model, checkpoint, step_done)
        except PeerError as error:
            fault = printable(str(error))
        except COMPUTATION_ERRORS as error:
            # The package's doing, so a verdict: the same files would fail again and anywhere.
            fault = describe(error)
        # Nobody trains what was refused, and it may be large.
        self.model, self._key = None, None
        return Inspected(fault, command.rules.model.parameters, None, None)

    def _open(self, model_path: str, theta_path: str, rules: TaskRules) -> tuple[Model, Checkpoint]:
        model = self._build(Path(model_path), rules.model)
        checkpoint = read_checkpoint(Path(theta_path), rules)
        if checkpoint.layout != model.layout:
            raise PeerError(RejectionReason.BAD_TASK, "the weights belong to another model")
        return model, checkpoint

    def _build(self, path: Path, rule: ModelRule) -> Model:
        try:
            with path.open("rb") as file:
                # One byte more than a configuration may have: `build_model` refuses those.
                encoded = file.read(CONFIGURATION_BYTES_MAX + 1)
        except OSError as error:
            raise OperatingError(f"cannot read {path}: {error.strerror}") from error
        key = (Digest(sha256(encoded).digest()), rule)
        if self.model is None or self._key != key:
            # The old model goes first: two of them may not fit a device.
            self.model, self._key = None, None
            self.model, self._key = build_model(path, rule, self.device), key
        return self.model


def _check_payload(command: CheckPayload) -> Checked:
    layout = read_checkpoint(Path(command.theta), command.rules).layout
    try:
        payload = _read_payload(Path(command.payload), layout, command.lease)
        is_zero = not payload.values_P.any()
        if is_zero is not command.diverged:
            detail = "all zero" if is_zero else "not zero although it diverged"
            raise PeerError(RejectionReason.BAD_PAYLOAD, detail)
    except PeerError as error:
        return Checked(printable(str(error)))
    return Checked(None)


def _read_payload(path: Path, layout: Layout, lease: Lease) -> d8.Payload:
    payload = d8.decode(read_bounded(path, d8.file_bytes_max(layout)), layout)
    if payload.lease != lease:
        raise PeerError(RejectionReason.BAD_PAYLOAD, "made for another lease")
    return payload


def _open_payload_of_round(
    path: Path, layout: Layout, command: Aggregate, earlier: list[PayloadFile]
) -> PayloadFile:
    payload = open_payload(path, layout)
    lease = payload.lease
    if (lease.task, lease.round) != (command.task, command.round):
        raise PeerError(RejectionReason.BAD_PAYLOAD, "made for another round")
    if earlier and lease.shard <= earlier[-1].lease.shard:
        raise PeerError(RejectionReason.BAD_PAYLOAD, "payloads are not in the order of shards")
    return payload


def _milliseconds_since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
