"""
Gradient mode on the real network against one central process.

The network must give the central process's weights, bit for bit, whatever the number of miners; and
its evaluation loss must lie near that of plain float averaging, without codec and clip.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

import trio

from potp2p.benchmarks.machine import Machine
from potp2p.benchmarks.training_runs import RUN_SECONDS, DevnetRun, report_of, start_run
from potp2p.foundation.errors import ConfigurationError, OperatingError
from potp2p.foundation.limits import ROUNDS_MAX
from potp2p.processes.documents import Document, parse_document
from potp2p.processes.fleet import Fleet
from potp2p.processes.programs import Programs

MINERS: Final = (3, 2)
VALIDATORS: Final = 4
LOSS_DEVIATION_MAX: Final = 0.01


@dataclass(frozen=True, slots=True)
class ModesPlan:
    """One comparison."""

    rounds: int
    seed: int
    folder: Path
    programs: Programs = field(default_factory=Programs)


@dataclass(frozen=True, slots=True)
class Central:
    """What one process found."""

    checkpoint: str
    loss: float


def verify_modes_plan(plan: ModesPlan) -> None:
    """Raise ConfigurationError for a comparison that cannot be made."""
    if not 1 <= plan.rounds <= ROUNDS_MAX:
        raise ConfigurationError(f"--rounds {plan.rounds}: from 1 to {ROUNDS_MAX}")
    if not 0 <= plan.seed < 1 << 48:
        raise ConfigurationError(f"--seed {plan.seed}: from 0 to {(1 << 48) - 1}")


async def compare_modes(plan: ModesPlan) -> Document:
    """Run the network with each number of miners, then the central process; no process stays."""
    machine = Machine.look()
    logs = plan.folder / "logs"
    logs.mkdir(parents=True)
    fleet = Fleet(logs)
    try:
        reports = [await _network(plan, fleet, miners) for miners in MINERS]
        package, task = _run_of(plan, MINERS[0]).package, str(reports[0]["task"])
        central = await _central(plan, fleet, package, task, "central")
        plain = await _central(plan, fleet, package, task, "plain", "--plain")
    finally:
        await fleet.stop()
    return comparison(plan, machine, reports, central, plain)


def comparison(
    plan: ModesPlan, machine: Machine, reports: list[Document], central: Central, plain: Central
) -> Document:
    """Set what was found side by side."""
    checkpoints = {
        **{f"{miners} miners": str(report["checkpoint"]) for miners, report in _paired(reports)},
        "central": central.checkpoint,
    }
    losses = [cast("list[float]", report["evaluation_loss"])[-1] for report in reports]
    ratio = losses[0] / plain.loss if plain.loss else math.inf
    is_equal = len(set(checkpoints.values())) == 1
    is_near = all(abs(loss - plain.loss) <= LOSS_DEVIATION_MAX * plain.loss for loss in losses)
    return {
        "schema": "potp2p.bench-modes/1",
        "machine": machine.document(),
        "rounds": plan.rounds,
        "rounds_done": [report["rounds"] for report in reports],
        "seed": plan.seed,
        "checkpoints": checkpoints,
        "checkpoints_equal": is_equal,
        "weights_sha256": [report["weights_sha256"] for report in reports],
        "loss": losses[0],
        "losses": losses,
        "central_loss": central.loss,
        "plain_loss": plain.loss,
        "loss_ratio": round(ratio, 6),
        "seconds": [report["seconds"] for report in reports],
        "targets": {"checkpoints_equal": True, "loss_deviation": LOSS_DEVIATION_MAX},
        "is_within_targets": is_equal and is_near,
    }


def modes_lines(document: Document) -> list[str]:
    """Return the figures for a person."""
    checkpoints = cast("dict[str, str]", document["checkpoints"])
    lines = [f"{name:<10} checkpoint {checkpoint}" for name, checkpoint in checkpoints.items()]
    lines.append("equal" if document["checkpoints_equal"] is True else "DIFFERENT")
    lines.append(
        f"evaluation loss after {document['rounds']} rounds: {document['loss']:.6f}, plain float"
        f" averaging {document['plain_loss']:.6f}, ratio {document['loss_ratio']:.4f}"
    )
    return lines


def _paired(reports: list[Document]) -> list[tuple[int, Document]]:
    return list(zip(MINERS, reports, strict=True))


def _run_of(plan: ModesPlan, miners: int) -> DevnetRun:
    name = f"devnet-{miners}"
    return DevnetRun(
        name, "gradient", VALIDATORS, miners, plan.seed, plan.rounds, plan.folder / name
    )


async def _network(plan: ModesPlan, fleet: Fleet, miners: int) -> Document:
    child = start_run(fleet, plan.programs, _run_of(plan, miners))
    report = await report_of(child)
    fleet.forget(child)
    return report


async def _central(
    plan: ModesPlan, fleet: Fleet, package: Path, task: str, name: str, *flags: str
) -> Central:
    arguments = ("--package", str(package), "--task", task, "--rounds", str(plan.rounds))
    child = fleet.start(name, (*plan.programs.central, *arguments, *flags))
    with trio.move_on_after(RUN_SECONDS):
        code = await child.ended()
        fleet.forget(child)
        if code != 0:
            raise OperatingError(f"{name}: {child.last_words()}")
        return central_of(child.output.read_bytes(), name)
    raise OperatingError(f"{name} did not end within {RUN_SECONDS:.0f} s")


def central_of(output: bytes, name: str) -> Central:
    """Return the last round's loss and the checkpoint that a central process printed."""
    lines = [parse_document(line, name) for line in output.splitlines()]
    if len(lines) < 2:  # noqa: PLR2004  # a round and the result
        raise OperatingError(f"{name} printed {len(lines)} lines")
    checkpoint, loss = lines[-1].get("checkpoint"), lines[-2].get("evaluation_loss")
    if not isinstance(checkpoint, str) or not isinstance(loss, float):
        raise OperatingError(f"{name} printed neither checkpoint nor loss")
    return Central(checkpoint, loss)
