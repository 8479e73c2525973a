"""
Whether audits delay the next round: real rounds with and without a replay under way, in one run.

The beacon draws what is audited, so that which round has a replay in it is chance: both kinds come
from one network on one machine, in turns, and a load that changes meets both. The first rounds are
left out: newcomers are audited every time, and processes wake up.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

import trio

from potp2p.benchmarks.machine import Machine
from potp2p.benchmarks.memory import kind_of
from potp2p.benchmarks.rounds_figures import RATIO_MAX, rounds_figures
from potp2p.benchmarks.rounds_log import Happenings
from potp2p.benchmarks.rounds_processors import Processors
from potp2p.foundation.errors import ConfigurationError, OperatingError
from potp2p.foundation.limits import (
    DEVNET_BLOCK_MILLISECONDS_MAX,
    DEVNET_BLOCK_MILLISECONDS_MIN,
    DEVNET_MINERS_MAX,
    DEVNET_VALIDATORS_MAX,
)
from potp2p.processes.documents import Document, document_of
from potp2p.processes.fleet import Child, Fleet
from potp2p.processes.programs import Programs
from potp2p.processes.usage import command_of, cpu_seconds, family_of
from potp2p.settings.task_file import read_rules

EXAMPLE: Final = "text"
"""Its leases last seconds, so that rounds consist of training and not of blocks."""
ROUNDS_MIN: Final = 4
ROUNDS_MAX: Final = 400
LOOK_SECONDS: Final = 1.0
WALK_SECONDS: Final = 5.0
"""Between looks at all processes and logs, which take the cores that are measured."""
SECONDS_A_ROUND_MAX: Final = 180.0
"""Ten times what a round of the example takes on two cores."""
DATADIR: Final = "--datadir"


@dataclass(frozen=True, slots=True)
class RoundsFlags:
    """What a person decides."""

    rounds: int
    validators: int
    miners: int
    block_milliseconds: int
    seed: int


@dataclass(frozen=True, slots=True)
class RoundsPlan:
    """One run."""

    flags: RoundsFlags
    folder: Path
    programs: Programs = field(default_factory=Programs)


@dataclass(slots=True)
class Effort:
    """Processor seconds of everybody, as last seen."""

    seconds: dict[int, float] = field(default_factory=dict[int, float])
    owners: dict[int, tuple[str, str]] = field(default_factory=dict[int, tuple[str, str]])
    """Node, and what the process is to it."""

    def look(self, root: int) -> None:
        """Take one look at a process and at all that descend from it."""
        for pid in family_of(root):
            try:
                command = command_of(pid)
                self.seconds[pid] = cpu_seconds(pid)
            except OperatingError:
                continue  # it ended while we looked
            kind = kind_of(command)
            if kind == "node" and DATADIR in command:
                name = Path(command[command.index(DATADIR) + 1]).name
                self.owners[pid] = (name, kind)
                for child in family_of(pid)[1:]:
                    self.owners[child] = (name, kind_of(command_of(child)))

    def document(self) -> Document:
        """Return seconds by node and kind; all else is the client's and the run's own."""
        found: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        for pid, seconds in self.seconds.items():
            name, kind = self.owners.get(pid, ("others", "all"))
            found[name][kind] += seconds
        return {
            name: {kind: round(each, 1) for kind, each in sorted(kinds.items())}
            for name, kinds in sorted(found.items())
        }


def verify_rounds_plan(plan: RoundsPlan) -> None:
    """Raise ConfigurationError for a run that cannot be made."""
    bounds = (
        ("--rounds", plan.flags.rounds, ROUNDS_MIN, ROUNDS_MAX),
        ("--validators", plan.flags.validators, 1, DEVNET_VALIDATORS_MAX),
        ("--miners", plan.flags.miners, 1, DEVNET_MINERS_MAX),
        (
            "--block-milliseconds",
            plan.flags.block_milliseconds,
            DEVNET_BLOCK_MILLISECONDS_MIN,
            DEVNET_BLOCK_MILLISECONDS_MAX,
        ),
        ("--seed", plan.flags.seed, 0, (1 << 48) - 1),
    )
    for flag, value, least, most in bounds:
        if not least <= value <= most:
            raise ConfigurationError(f"{flag} {value}: from {least} to {most}")


async def measure_rounds(plan: RoundsPlan, say: Callable[[str], None]) -> Document:
    """Run the network to its end and return the figures; no process stays."""
    machine = Machine.look()
    network, logs = plan.folder / "network", plan.folder / "logs"
    logs.mkdir(parents=True)
    fleet, processors, effort = Fleet(logs), Processors(), Effort()
    try:
        child = fleet.start("devnet", (*plan.programs.potp2p, *_arguments(plan, network)))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_look, processors)
            nursery.start_soon(_walk, child, effort)
            nursery.start_soon(_tell, plan, network, say)
            report = await _report(plan, child)
            nursery.cancel_scope.cancel()
        rules = read_rules(network / "package" / "task.toml")
    finally:
        await fleet.stop()
    return {
        "schema": "potp2p.bench-rounds/1",
        "machine": machine.document(),
        "example": EXAMPLE,
        "validators": plan.flags.validators,
        "miners": plan.flags.miners,
        "block_milliseconds": plan.flags.block_milliseconds,
        "seed": plan.flags.seed,
        "seconds": report["seconds"],
        "state_roots_agree": report["roots_agree"],
        "processor_seconds": effort.document(),
        **rounds_figures(
            read_logs(network), processors, machine.cores, rules.rounds.shards_per_round
        ),
    }


def read_logs(network: Path) -> Happenings:
    """Return what all nodes of a network have written so far."""
    happenings = Happenings()
    for path in sorted((network / "logs").glob("*.out")):
        with path.open(encoding="utf-8", errors="replace") as lines:
            happenings.read(lines)
    return happenings


def _arguments(plan: RoundsPlan, network: Path) -> tuple[str, ...]:
    arguments = ["devnet", "--example", EXAMPLE, "--mode", "local"]
    arguments += ["--validators", str(plan.flags.validators), "--miners", str(plan.flags.miners)]
    arguments += ["--rounds", str(plan.flags.rounds), "--seed", str(plan.flags.seed)]
    arguments += ["--block-milliseconds", str(plan.flags.block_milliseconds)]
    arguments += [DATADIR, str(network), "--out", str(plan.folder / "model")]
    return (*arguments, "--ui", "none", "--json")


async def _look(processors: Processors) -> None:
    while True:
        processors.look()
        await trio.sleep(LOOK_SECONDS)


async def _walk(child: Child, effort: Effort) -> None:
    while True:
        await trio.to_thread.run_sync(effort.look, child.pid)
        await trio.sleep(WALK_SECONDS)


async def _tell(plan: RoundsPlan, network: Path, say: Callable[[str], None]) -> None:
    """Say that a round is over: minutes pass between the first and the last."""
    told = 0
    while True:
        await trio.sleep(WALK_SECONDS)
        happenings = await trio.to_thread.run_sync(read_logs, network)
        if len(happenings.done) > told:
            told = len(happenings.done)
            say(f"round {told}/{plan.flags.rounds}, {len(happenings.replays)} replays so far")


async def _report(plan: RoundsPlan, child: Child) -> Document:
    seconds = SECONDS_A_ROUND_MAX * (plan.flags.rounds + plan.flags.validators + plan.flags.miners)
    with trio.move_on_after(seconds):
        if await child.ended() != 0:
            raise OperatingError(f"{child.name}: {child.last_words()}")
        return document_of(child)
    raise OperatingError(f"{child.name} did not end within {seconds / 60:.0f} min")


def rounds_lines(document: Document) -> list[str]:
    """Return the figures for a person."""
    lines = [f"{'':<10} {'replays':>8} {'number':>7}" + _cells("median s", "p10", "p90", "mean")]
    for what in ("rounds", "leases"):
        kinds = cast("dict[str, Document]", document[what])
        for name in ("with", "without"):
            row = kinds[name]
            figures = (row["median"], row["p10"], row["p90"], row["mean"])
            lines.append(f"{what:<10} {name:>8} {row['number']:>7}" + _cells(*figures))
    cut_off = cast("Document", document["rounds"])["cut_off"]
    idle = cast("Document", document["idle_cores"])
    low, high = cast("list[object] | None", document["ratio_interval"]) or (None, None)
    spare = "spare cores" if document["had_spare_cores"] is True else "NO SPARE CORE"
    return [
        *lines,
        f"cut off    {cut_off} rounds by their deadline, which would hide what held them up",
        f"ratio      {_shown(document['round_delay_ratio'])} of medians (95 % of resamples:"
        f" {_shown(low)} to {_shown(high)}), {_shown(document['ratio_of_means'])} of means,"
        f" {_shown(document['lease_ratio'])} of leases; at most {RATIO_MAX} wanted",
        f"replays    {document['replays']} in {document['replay_seconds']} s, beside"
        f" {document['training_seconds']} s of training; gave way to it: {document['gave_way']}",
        f"idle cores {_shown(idle['without'])} without and {_shown(idle['with'])} with a replay"
        f" under way, of {idle['cores']}; replays use {document['replay_cores']}: {spare}",
    ]


def _cells(*figures: object) -> str:
    return "".join(f" {_shown(figure):>9}" for figure in figures)


def _shown(figure: object) -> str:
    return f"{figure:.3f}" if isinstance(figure, float) else "--" if figure is None else str(figure)
