"""
One process of a campaign: a line for each seed comes in, a line for each report goes out.

It ends when its input ends, so it never outlives the campaign. A seed's report depends on nothing
but the line that asked for it.
"""

import json
import sys
from dataclasses import asdict
from typing import TextIO, cast

from potp2p.simulation.plans import Choices, Fault
from potp2p.simulation.run import SeedReport, run_seed


def serve(requests: TextIO, replies: TextIO) -> None:
    """Run every seed that is asked for."""
    for line in requests:
        request = cast("dict[str, object]", json.loads(line))
        report = run_seed(cast("int", request["seed"]), choices_of(request))
        replies.write(json.dumps(asdict(report)) + "\n")
        replies.flush()


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
    )


def report_of(line: bytes) -> SeedReport:
    """Read a report back."""
    fields = cast("dict[str, object]", json.loads(line))
    return SeedReport(
        seed=cast("int", fields["seed"]),
        faults=tuple(cast("list[str]", fields["faults"])),
        height=cast("int", fields["height"]),
        converge_seconds=cast("float | None", fields["converge_seconds"]),
        violations=tuple(cast("list[str]", fields["violations"])),
        messages=cast("int", fields["messages"]),
        trace_hash=cast("str", fields["trace_hash"]),
    )


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout)
