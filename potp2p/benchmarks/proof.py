"""
`bench proof`: honest and cheating miners in simulated networks with real training.

Networks run in processes of their own, several at once: each on a virtual clock, with training in
worker processes. What comes out of a run depends on its seed; how long it takes does not matter.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final, cast

import trio

from potp2p.benchmarks.machine import Machine
from potp2p.benchmarks.proof_figures import (
    adversary_figures,
    cost_figures,
    honest_figures,
    is_within_targets,
)
from potp2p.benchmarks.proof_plan import (
    ProofPlan,
    certain_worlds,
    cost_worlds,
    poisons,
    profit_worlds,
)
from potp2p.benchmarks.replay import ReplayPlan, measure_replays
from potp2p.benchmarks.replay_recipes import recipes_named
from potp2p.foundation.errors import OperatingError

Document = dict[str, object]
SCHEMA: Final = "potp2p.bench-proof/1"
WORLD: Final = (sys.executable, "-m", "potp2p.benchmarks.proof_world")
ACCURACY: Final = (sys.executable, "-m", "potp2p.benchmarks.proof_accuracy")
ACCURACY_ROUNDS: Final = 16
ACCURACY_STEPS: Final = 20
HONEST_REPLAYS: Final = 2_000
"""At least, over all recipes together, in a full run."""
ERROR_WORDS_MAX: Final = 300


async def measure_proof(plan: ProofPlan, tell: Callable[[str], None]) -> Document:
    """Run every network and return all figures; `tell` hears of each that is done."""
    machine = Machine.look()
    started = trio.current_time()
    limiter = trio.CapacityLimiter(plan.jobs)
    certain: list[Document] = []
    profit: list[Document] = []
    cost: list[Document] = []
    accuracies: list[Document] = []

    async def ask(command: tuple[str, ...], question: Document, found: list[Document]) -> None:
        async with limiter:
            begun = trio.current_time()
            found.append(await _ask(command, question))
            spent = trio.current_time() - begun
            what = question.get("kinds") or ["honest miners alone"]
            assert isinstance(what, Sequence)
            names = ", ".join(dict.fromkeys(str(each) for each in what))
            tell(f"{question.get('name', 'accuracy')}: {names}, {spent:.0f} s")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, ACCURACY, _accuracy_plan(plan), accuracies)
        for world, found in (
            *((each, profit) for each in profit_worlds(plan)),
            *((each, certain) for each in certain_worlds(plan)),
            *((each, cost) for each in cost_worlds(plan)),
        ):
            nursery.start_soon(ask, WORLD, asdict(world), found)
    replays = None if plan.quick else await _replays(plan)
    document: Document = {
        "schema": SCHEMA,
        "quick": plan.quick,
        "machine": machine.document(),
        "honest": honest_figures([*certain, *profit, *cost], replays),
        "adversaries": adversary_figures(plan, certain, profit),
        "accuracy": accuracies[0],
        **cost_figures(cost),
        "seconds": round(trio.current_time() - started, 1),
    }
    return {**document, "is_within_targets": is_within_targets(document)}


async def _replays(plan: ProofPlan) -> Document:
    """Replay honest leases of every recipe across threads and instruction sets."""
    with tempfile.TemporaryDirectory(prefix="potp2p-proof-") as folder:
        each = -(-HONEST_REPLAYS // len(recipes_named(())))
        return await measure_replays(
            ReplayPlan((), each, cheats=False, seed=plan.seed, folder=Path(folder) / "replays")
        )


def _accuracy_plan(plan: ProofPlan) -> Document:
    return {
        "kinds": [str(kind) for kind in poisons(plan)],
        "rounds": ACCURACY_ROUNDS,
        "steps": ACCURACY_STEPS,
        "seed": plan.seed,
    }


async def _ask(command: tuple[str, ...], question: Document) -> Document:
    """Run a process with one JSON object in and one out."""
    finished = await trio.run_process(
        command,
        stdin=json.dumps(question).encode(),
        capture_stdout=True,
        capture_stderr=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    if finished.returncode:
        words = finished.stderr.decode(errors="replace").strip()[-ERROR_WORDS_MAX:]
        raise OperatingError(f"{question.get('name', 'accuracy')}: {words}")
    return cast("Document", json.loads(finished.stdout))
