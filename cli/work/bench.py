"""Runs a measurement in a folder of its own, ends it on a signal, prints the figures."""

import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import trio

from cli.exits import ExitCode
from cli.output import print_document, print_lines, say
from cli.work.signals import run_until_signal
from potp2p.benchmarks.consensus import measure_consensus
from potp2p.benchmarks.consensus_plan import (
    ConsensusPlan,
    consensus_lines,
    verify_consensus_plan,
)
from potp2p.benchmarks.crashes import (
    CrashesPlan,
    crashes_lines,
    measure_crashes,
    verify_crashes_plan,
)
from potp2p.benchmarks.footprint import (
    FootprintPlan,
    footprint_lines,
    measure_footprint,
    verify_footprint_plan,
)
from potp2p.benchmarks.memory import (
    MemoryPlan,
    measure_memory,
    memory_lines,
    verify_memory_plan,
)
from potp2p.benchmarks.modes import ModesPlan, compare_modes, modes_lines, verify_modes_plan
from potp2p.benchmarks.published import (
    PublishedPlan,
    measure_published,
    published_lines,
    verify_published_plan,
)
from potp2p.benchmarks.replay import ReplayPlan, measure_replays, verify_replay_plan
from potp2p.benchmarks.replay_lines import replay_lines
from potp2p.benchmarks.resnet import (
    ResnetFlags,
    ResnetPlan,
    measure_resnet,
    resnet_lines,
    verify_resnet_plan,
)
from potp2p.benchmarks.rounds import (
    RoundsFlags,
    RoundsPlan,
    measure_rounds,
    rounds_lines,
    verify_rounds_plan,
)
from potp2p.benchmarks.sync import SyncPlan, measure_sync, sync_lines, verify_sync_plan

Document = dict[str, object]
_Lines = Callable[[Document], list[str]]


def show_footprint(seconds: int, validators: int, miners: int, *, json_output: bool) -> int:
    """Measure idle nodes."""

    async def measure(folder: Path) -> Document:
        plan = FootprintPlan(seconds, validators, miners, folder)
        verify_footprint_plan(plan)
        return await measure_footprint(plan)

    return _show(measure, footprint_lines, json_output=json_output)


def show_memory(validators: int, miners: int, *, json_output: bool) -> int:
    """Measure a network that trains."""

    async def measure(folder: Path) -> Document:
        plan = MemoryPlan(validators, miners, folder)
        verify_memory_plan(plan)
        return await measure_memory(plan)

    return _show(measure, memory_lines, json_output=json_output)


def show_modes(rounds: int, seed: int, *, json_output: bool) -> int:
    """Compare the network with one process."""

    async def measure(folder: Path) -> Document:
        plan = ModesPlan(rounds, seed, folder)
        verify_modes_plan(plan)
        return await compare_modes(plan)

    return _show(measure, modes_lines, json_output=json_output)


@dataclass(frozen=True, slots=True)
class ConsensusFlags:
    """What the command line said."""

    validators: int
    transactions_per_block: int
    seconds: int
    dead: int
    rate: int
    latency_milliseconds: int
    bandwidth_megabits: int
    lose_primary: bool
    restart: bool


def show_consensus(flags: ConsensusFlags, *, json_output: bool) -> int:
    """Measure validators that agree."""

    async def measure(folder: Path) -> Document:
        plan = ConsensusPlan(
            validators=flags.validators,
            transactions_per_block=flags.transactions_per_block,
            seconds=flags.seconds,
            folder=folder,
            dead=flags.dead,
            rate=flags.rate,
            latency_milliseconds=flags.latency_milliseconds,
            bandwidth_megabits=flags.bandwidth_megabits,
            lose_primary=flags.lose_primary,
            restart=flags.restart,
        )
        verify_consensus_plan(plan)
        return await measure_consensus(plan)

    return _show(measure, consensus_lines, json_output=json_output)


def show_sync(
    blocks: int,
    transactions_per_block: int,
    peers: int,
    *,
    as_validator: bool,
    json_output: bool,
) -> int:
    """Measure a node that catches up."""

    async def measure(folder: Path) -> Document:
        plan = SyncPlan(blocks, transactions_per_block, peers, as_validator, folder)
        verify_sync_plan(plan)
        return await measure_sync(plan)

    return _show(measure, sync_lines, json_output=json_output)


def show_crashes(kills: int, validators: int, seed: int, *, json_output: bool) -> int:
    """Kill validators of a working network."""

    async def measure(folder: Path) -> Document:
        plan = CrashesPlan(kills, validators, seed, folder)
        verify_crashes_plan(plan)
        return await measure_crashes(plan)

    return _show(measure, crashes_lines, json_output=json_output)


def show_replay(
    tasks: tuple[str, ...], replays: int, seed: int, *, cheats: bool, json_output: bool
) -> int:
    """Measure honest replays, and cheats beside them."""

    async def measure(folder: Path) -> Document:
        plan = ReplayPlan(tasks, replays, cheats, seed, folder)
        verify_replay_plan(plan)
        return await measure_replays(plan)

    return _show(measure, replay_lines, json_output=json_output)


def show_resnet(flags: ResnetFlags, *, json_output: bool) -> int:
    """Train the published test case; rounds are told on stderr as they come."""

    async def measure(folder: Path) -> Document:
        plan = ResnetPlan(flags, folder)
        verify_resnet_plan(plan)
        return await measure_resnet(plan, say)

    return _show(measure, resnet_lines, json_output=json_output)


def show_rounds(flags: RoundsFlags, *, json_output: bool) -> int:
    """Measure what audits cost the rounds beside them; rounds are told on stderr as they come."""

    async def measure(folder: Path) -> Document:
        plan = RoundsPlan(flags, folder)
        verify_rounds_plan(plan)
        return await measure_rounds(plan, say)

    return _show(measure, rounds_lines, json_output=json_output)


def show_published(plan: PublishedPlan, *, json_output: bool) -> int:
    """Compare with the published table of the original code."""

    async def measure(_folder: Path) -> Document:
        verify_published_plan(plan)
        return await measure_published(plan)

    return _show(measure, published_lines, json_output=json_output)


def _show(
    measure: Callable[[Path], Awaitable[Document]], lines: _Lines, *, json_output: bool
) -> int:
    with tempfile.TemporaryDirectory(prefix="potp2p-bench-", ignore_cleanup_errors=True) as folder:

        async def work() -> Document:
            return await measure(Path(folder))

        document = trio.run(run_until_signal, work)
    if json_output:
        print_document(document)
    else:
        print_lines(*lines(document), _machine_line(document))
    return ExitCode.DONE if document["is_within_targets"] is True else ExitCode.ERROR


def _machine_line(document: Document) -> str:
    machine = cast("Document", document["machine"])
    before, after = (cast("list[float]", machine[f"load_{when}"]) for when in ("before", "after"))
    return (
        f"machine        {machine['cores']} cores, {machine['processor'] or machine['system']},"
        f" Python {machine['python']}, load {before[0]} before and {after[0]} after"
    )
