"""Runs seeds, ends them on a signal, prints verdicts and how to see a failure again."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import trio

from cli.exits import ExitCode, UsageError
from cli.options import LevelChoice
from cli.output import print_document, print_lines, say
from cli.work.signals import run_until_signal
from potp2p.foundation.errors import ConfigurationError
from potp2p.simulation.campaign import (
    SEEDS_MAX,
    VALIDATORS_MAX,
    VALIDATORS_MIN,
    Campaign,
    CampaignPlan,
    cores,
    replay_command,
    run_campaign,
    verdict_of,
    verify_campaign,
)
from potp2p.simulation.plans import Choices, Fault, Level
from potp2p.simulation.reports import SeedReport
from potp2p.simulation.run import run_seed
from potp2p.simulation.withholding.figures import measure_all, table_of

Document = dict[str, object]
PROGRESS_PARTS = 10


@dataclass(frozen=True, slots=True)
class SimulateChoices:
    """What the command line said."""

    seeds: str
    level: LevelChoice
    validators: int
    miners: int
    heights: int
    faults: str
    jobs: int | None
    trace: Path | None
    json_output: bool


def run(choices: SimulateChoices) -> int:
    """Run the seeds; exit 1 when one is not sound."""
    first, end = _range_of(choices.seeds)
    if choices.level is not LevelChoice.NODES and (choices.trace or choices.faults != "all"):
        raise UsageError("--trace and --faults are for whole nodes: --level nodes")
    if choices.level is LevelChoice.WITHHOLDING:
        return _withholding(choices, range(first, end))
    plan = CampaignPlan(
        first,
        end,
        Choices(
            choices.validators,
            choices.miners,
            choices.heights,
            _faults_of(choices.faults),
            Level(choices.level),
        ),
        cores() if choices.jobs is None else choices.jobs,
    )
    verify_campaign(plan)
    if choices.trace is not None:
        return _replay(plan, choices.trace, json_output=choices.json_output)
    teller = _tell_nothing if choices.json_output else _teller(plan)

    async def work() -> Document:
        return (await run_campaign(plan, teller)).document()

    document = trio.run(run_until_signal, work)
    if choices.json_output:
        print_document(document)
    else:
        print_lines(*_summary(document))
    return _exit_of(document)


def _withholding(choices: SimulateChoices, seeds: range) -> int:
    """Measure what a league of primaries gains; exit 1 where it is more than the bound allows."""
    least, most = VALIDATORS_MIN, VALIDATORS_MAX
    if not least <= choices.validators <= most:
        raise ConfigurationError(f"--validators {choices.validators}: choose {least} to {most}")
    if not 0 < len(seeds) <= SEEDS_MAX:
        raise ConfigurationError(f"--seeds {choices.seeds}: an ascending range from 0")
    if choices.jobs is not None:
        raise UsageError("--jobs: what withheld reveals gain is measured in one process")
    document = measure_all(choices.validators, seeds)
    if choices.json_output:
        print_document(document)
    else:
        print_lines(*table_of(document))
    return ExitCode.DONE if document["is_within_bound"] else ExitCode.ERROR


def _range_of(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([0-9]{1,15}):([0-9]{1,15})", text)
    if found is None:
        raise UsageError(f"--seeds {text}: write A:B, such as 0:200")
    return int(found[1]), int(found[2])


def _faults_of(text: str) -> tuple[Fault, ...]:
    if text in {"all", "none"}:
        return tuple(Fault) if text == "all" else ()
    wanted = {word.strip() for word in text.split(",")}
    unknown = wanted - {str(fault) for fault in Fault}
    if unknown:
        raise UsageError(f"--faults {', '.join(sorted(unknown))}: choose of {', '.join(Fault)}")
    return tuple(fault for fault in Fault if str(fault) in wanted)


def _tell_nothing(campaign: Campaign, report: SeedReport) -> None:
    """Say nothing: the document says it all."""


def _teller(plan: CampaignPlan) -> Callable[[Campaign, SeedReport], None]:
    """Return what tells of failures at once, and of progress now and then."""
    every = max(1, (plan.end - plan.first) // PROGRESS_PARTS)

    def tell(campaign: Campaign, report: SeedReport) -> None:
        if not report.is_sound:
            print_lines(*_failure(report, replay_command(report.seed, plan.choices)))
        if len(campaign.reports) % every == 0:
            failed = len(campaign.failures())
            print_lines(
                f"{len(campaign.reports):>8} of {plan.end - plan.first} seeds, {failed} bad"
            )

    return tell


def _failure(report: SeedReport, command: str) -> list[str]:
    detail = report.violations[0] if report.violations else f"stands at height {report.height}"
    return [
        f"seed {report.seed}  {verdict_of(report)}  {detail}",
        f"  faults  {', '.join(report.faults) or 'none'}",
        f"  replay  {command}",
    ]


def _summary(document: Document) -> list[str]:
    return [
        f"seeds       {document['seeds']} at {document['seeds_per_second']} per second, "
        f"{document['validators']} validators, {document['heights']} heights",
        f"violations  {document['violations']}",
        f"unconverged {document['unconverged']}, the others at most "
        f"{document['converge_seconds_max']} s after the last fault",
        f"trace       {document['trace_hash']}",
    ]


def _exit_of(document: Document) -> int:
    sound = document["violations"] == 0 and document["unconverged"] == 0
    return ExitCode.DONE if sound else ExitCode.ERROR


def _replay(plan: CampaignPlan, path: Path, *, json_output: bool) -> int:
    """Run one seed here and write down all that happens in it."""
    if plan.end - plan.first != 1:
        raise UsageError("--trace: name one seed, such as --seeds 7:8")
    campaign = Campaign(plan)
    try:
        with path.open("w", encoding="utf-8") as file:
            report = run_seed(plan.first, plan.choices, _writer(file))
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    campaign.reports[report.seed] = report
    document = campaign.document()
    if json_output:
        print_document(document)
    else:
        if not report.is_sound:
            print_lines(*_failure(report, replay_command(report.seed, plan.choices)))
        print_lines(*_summary(document))
    say(f"the trace is in {path}")
    return _exit_of(document)


def _writer(file: TextIO) -> Callable[[str], None]:
    def write(line: str) -> None:
        file.write(f"{line}\n")

    return write
