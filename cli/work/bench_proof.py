"""Runs the measurement of adversaries and prints what it showed."""

from pathlib import Path

import trio

from cli.exits import ExitCode
from cli.output import print_document, print_lines, say
from cli.work.signals import run_until_signal
from potp2p.benchmarks.proof import measure_proof
from potp2p.benchmarks.proof_figures import proof_lines
from potp2p.benchmarks.proof_plan import ProofPlan, verify_proof_plan
from potp2p.simulation.adversaries.kinds import Kind, parse_kind
from potp2p.simulation.campaign import cores

Document = dict[str, object]


def show_proof(
    *,
    quick: bool,
    kinds: str | None,
    rounds: int | None,
    seed: int,
    resume: Path | None,
    json_output: bool,
) -> int:
    """Measure adversaries; exit 1 when one of them gets away with it."""
    chosen = tuple(Kind) if kinds is None else tuple(parse_kind(each) for each in kinds.split(","))
    plan = ProofPlan(quick, chosen, rounds, seed, jobs=cores())
    verify_proof_plan(plan)

    async def work() -> Document:
        return await measure_proof(plan, say, resume)

    document = trio.run(run_until_signal, work)
    if json_output:
        print_document(document)
    else:
        print_lines(*proof_lines(document))
    return ExitCode.DONE if document["is_within_targets"] is True else ExitCode.ERROR
