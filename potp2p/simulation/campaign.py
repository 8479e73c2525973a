"""Many seeds on several processes; what comes out depends on the seeds alone."""

import hashlib
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import trio

from potp2p.foundation.errors import ConfigurationError, OperatingError
from potp2p.simulation.plans import Choices, Fault, Level
from potp2p.simulation.reports import SeedReport
from potp2p.simulation.worker import WORKER, report_of, request_of

VALIDATORS_MIN: Final = 4
VALIDATORS_MAX: Final = 31
MINERS_MAX: Final = 16
HEIGHTS_MAX: Final = 10_000
SEEDS_MAX: Final = 10_000_000
JOBS_MAX: Final = 256
SEED_SECONDS_MAX: Final = 600.0
"""A seed takes seconds; one that takes this long turns in a circle."""
READ_BYTES: Final = 1 << 16

Document = dict[str, object]


@dataclass(frozen=True, slots=True)
class CampaignPlan:
    """Which seeds, of what, on how many processes."""

    first: int
    end: int
    """The first seed that is not run any more."""
    choices: Choices
    jobs: int


@dataclass(slots=True)
class Campaign:
    """The reports as they come in."""

    plan: CampaignPlan
    started: float = field(default_factory=time.monotonic)
    reports: dict[int, SeedReport] = field(default_factory=dict[int, SeedReport])

    def failures(self) -> list[SeedReport]:
        """Return what is wrong, in the order of seeds."""
        return [report for _, report in sorted(self.reports.items()) if not report.is_sound]

    def document(self) -> Document:
        """Return the whole outcome."""
        ordered = [self.reports[seed] for seed in sorted(self.reports)]
        seconds = max(time.monotonic() - self.started, 1e-9)
        return {
            "level": str(self.plan.choices.level),
            "seeds": len(ordered),
            "violations": sum(bool(each.violations) for each in ordered),
            "unconverged": sum(verdict_of(each) == "unconverged" for each in ordered),
            "converge_seconds_max": max(
                (each.converge_seconds or 0.0 for each in ordered), default=0.0
            ),
            "trace_hash": hash_of(ordered),
            "validators": self.plan.choices.validators,
            "heights": self.plan.choices.heights,
            "messages": sum(each.messages for each in ordered),
            "jobs": self.plan.jobs,
            "seconds": round(seconds, 3),
            "seeds_per_second": round(len(ordered) / seconds, 3),
            "failures": [
                {
                    "seed": each.seed,
                    "verdict": verdict_of(each),
                    "violations": list(each.violations),
                    "height": each.height,
                    "faults": list(each.faults),
                    "replay": replay_command(each.seed, self.plan.choices),
                }
                for each in self.failures()
            ],
            **self._of_whole_nodes(ordered),
        }

    def _of_whole_nodes(self, ordered: Sequence[SeedReport]) -> Document:
        if self.plan.choices.level is not Level.NODES:
            return {}
        return {
            "miners": self.plan.choices.miners,
            "faults": [str(each) for each in self.plan.choices.faults],
            "heights_in_faults": sum(each.calm_height for each in ordered),
        }


def verify_campaign(plan: CampaignPlan) -> None:
    """Raise ConfigurationError unless a campaign can be run."""
    choices = plan.choices
    bounds = (
        ("--validators", choices.validators, VALIDATORS_MIN, VALIDATORS_MAX),
        ("--miners", choices.miners, 0, MINERS_MAX),
        ("--heights", choices.heights, 1, HEIGHTS_MAX),
        ("--jobs", plan.jobs, 1, JOBS_MAX),
    )
    for flag, value, least, most in bounds:
        if not least <= value <= most:
            raise ConfigurationError(f"{flag} {value}: choose {least} to {most}")
    if not 0 <= plan.first < plan.end or plan.end - plan.first > SEEDS_MAX:
        raise ConfigurationError(f"--seeds {plan.first}:{plan.end}: an ascending range from 0")


def cores() -> int:
    """Return how many processes can work at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def verdict_of(report: SeedReport) -> str:
    """Return one word for a report."""
    if report.violations:
        return "violation"
    return "sound" if report.converge_seconds is not None else "unconverged"


def replay_command(seed: int, choices: Choices) -> str:
    """Return what runs one seed again and writes down what happens in it."""
    words = [f"potp2p simulate --seeds {seed}:{seed + 1} --validators {choices.validators}"]
    words.append(f"--heights {choices.heights}")
    if choices.level is not Level.NODES:
        return " ".join([*words, f"--level {choices.level}"])
    words.append(f"--miners {choices.miners}")
    if choices.faults != tuple(Fault):
        words.append(f"--faults {','.join(choices.faults) or 'none'}")
    return " ".join([*words, f"--trace seed-{seed}.txt"])


def hash_of(reports: Sequence[SeedReport]) -> str:
    """Return one hash over the traces of all seeds, in their order."""
    return hashlib.sha256("".join(each.trace_hash for each in reports).encode()).hexdigest()


async def run_campaign(
    plan: CampaignPlan, tell: Callable[[Campaign, SeedReport], None]
) -> Campaign:
    """Run every seed on its processes; `tell` hears of each report as it comes."""
    campaign = Campaign(plan)
    seeds = iter(range(plan.first, plan.end))
    # Workers may be killed in the middle of a seed: what they leave lies here and goes with us.
    with tempfile.TemporaryDirectory(
        prefix="potp2p-simulate-", ignore_cleanup_errors=True
    ) as folder:
        async with trio.open_nursery() as nursery:
            for _ in range(min(plan.jobs, plan.end - plan.first)):
                nursery.start_soon(_work, campaign, seeds, tell, folder)
    return campaign


async def _work(
    campaign: Campaign,
    seeds: Iterator[int],
    tell: Callable[[Campaign, SeedReport], None],
    folder: str,
) -> None:
    """Keep one process busy until no seed is left."""
    async with trio.open_nursery() as nursery:
        process: trio.Process = await nursery.start(
            partial(
                trio.run_process,
                WORKER,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                check=False,
                env={**os.environ, "TMPDIR": folder},
                # Ctrl-C is for us: we end the workers.
                start_new_session=True,
                deliver_cancel=_kill,
            )
        )
        assert process.stdin is not None
        assert process.stdout is not None
        replies = _Lines(process.stdout)
        for seed in seeds:
            with trio.move_on_after(SEED_SECONDS_MAX) as scope:
                try:
                    await process.stdin.send_all(request_of(seed, campaign.plan.choices).encode())
                    report = report_of(await replies.next())
                except (trio.BrokenResourceError, trio.EndOfChannel) as error:
                    raise OperatingError(f"the process that ran seed {seed} ended") from error
                campaign.reports[seed] = report
                tell(campaign, report)
            if scope.cancelled_caught:
                raise OperatingError(f"seed {seed} does not end within {SEED_SECONDS_MAX:.0f} s")
        await process.stdin.aclose()


async def _kill(process: trio.Process) -> None:
    process.kill()
    await trio.lowlevel.checkpoint()


@dataclass(slots=True)
class _Lines:
    """Lines from a pipe."""

    stream: trio.abc.ReceiveStream
    _kept: bytes = b""

    async def next(self) -> bytes:
        """Return the next whole line; EndOfChannel when there is none."""
        while b"\n" not in self._kept:
            more = await self.stream.receive_some(READ_BYTES)
            if not more:
                raise trio.EndOfChannel
            self._kept += more
        line, _, self._kept = self._kept.partition(b"\n")
        return line
