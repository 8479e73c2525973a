"""
One process of a campaign: a line for each seed comes in, a line for each report goes out.

It ends when its input ends, so it never outlives the campaign. A seed's report depends on nothing
but the line that asked for it.
"""

import json
import sys
from dataclasses import asdict
from functools import cache
from typing import Final, TextIO, assert_never, cast

from potp2p.node.garbage import settle_garbage
from potp2p.simulation.core import campaign as core
from potp2p.simulation.core.campaign import CorePlan
from potp2p.simulation.plans import Choices, Fault, Level
from potp2p.simulation.reports import SeedReport

WORKER: Final = (sys.executable, "-m", "potp2p.simulation.worker")
"""The command that starts one."""


def serve(requests: TextIO, replies: TextIO) -> None:
    """Run every seed that is asked for."""
    settle = cache(settle_garbage)
    for line in requests:
        request = cast("dict[str, object]", json.loads(line))
        choices = choices_of(request)
        if choices.level is not Level.NODES:
            settle()  # A seed of the core leaves no circles behind.
        report = report_on(cast("int", request["seed"]), choices)
        replies.write(json.dumps(asdict(report)) + "\n")
        replies.flush()


def report_on(seed: int, choices: Choices) -> SeedReport:
    """Run one seed at the level that was chosen."""
    match choices.level:
        case Level.NODES:
            from potp2p.simulation.run import run_seed  # noqa: PLC0415  # slow; the core needs none

            return run_seed(seed, choices)
        case Level.CORE:
            return _core_report(seed, CorePlan(choices.validators, choices.heights, "core"))
        case Level.TWINS:
            return _core_report(seed, CorePlan(choices.validators, choices.heights, "twins"))
        case _:
            assert_never(choices.level)


def _core_report(seed: int, plan: CorePlan) -> SeedReport:
    found = core.run_seed(seed, plan)
    return SeedReport(
        seed=seed,
        faults=(),
        height=found.heights,
        calm_height=0,
        converge_seconds=found.converge_milliseconds / 1000 if found.converged else None,
        violations=found.violations,
        messages=found.deliveries,
        trace_hash=found.trace,
    )


def request_of(seed: int, choices: Choices) -> str:
    """Return the line that asks for a seed."""
    return json.dumps({"seed": seed, **asdict(choices)}) + "\n"


def choices_of(request: dict[str, object]) -> Choices:
    """Read back what the operator decided."""
    return Choices(
        validators=cast("int", request["validators"]),
        miners=cast("int", request["miners"]),
        heights=cast("int", request["heights"]),
        faults=tuple(Fault(each) for each in cast("list[str]", request["faults"])),
        level=Level(cast("str", request["level"])),
    )


def report_of(line: bytes) -> SeedReport:
    """Read a report back."""
    fields = cast("dict[str, object]", json.loads(line))
    return SeedReport(
        seed=cast("int", fields["seed"]),
        faults=tuple(cast("list[str]", fields["faults"])),
        height=cast("int", fields["height"]),
        calm_height=cast("int", fields["calm_height"]),
        converge_seconds=cast("float | None", fields["converge_seconds"]),
        violations=tuple(cast("list[str]", fields["violations"])),
        messages=cast("int", fields["messages"]),
        trace_hash=cast("str", fields["trace_hash"]),
    )


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout)
