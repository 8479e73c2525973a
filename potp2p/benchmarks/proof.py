"""
`bench proof`: honest and cheating miners in simulated networks with real training.

Networks run in processes of their own, several at once: each on a virtual clock, with training in
worker processes. What comes out of a run depends on its seed; how long it takes does not matter.
"""

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Final

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
from potp2p.benchmarks.proof_runs import Run, Runner, Shelf
from potp2p.benchmarks.proof_world import WorldPlan
from potp2p.benchmarks.replay import ReplayPlan, measure_replays
from potp2p.benchmarks.replay_recipes import recipes_named

Document = dict[str, object]
SCHEMA: Final = "potp2p.bench-proof/1"
WORLD: Final = (sys.executable, "-m", "potp2p.benchmarks.proof_world")
ACCURACY: Final = (sys.executable, "-m", "potp2p.benchmarks.proof_accuracy")
ACCURACY_NAME: Final = "accuracy"
ACCURACY_ROUNDS: Final = 16
ACCURACY_STEPS: Final = 20
ACCURACY_SEEDS: Final = 3
"""In a full run: the accuracies of one seed are a multiple of half a point."""
HONEST_REPLAYS: Final = 2_000
"""At least, over all recipes together, in a full run."""


async def measure_proof(
    plan: ProofPlan, tell: Callable[[str], None], folder: Path | None = None
) -> Document:
    """
    Run every network and return all figures; `tell` hears of each that begins and ends.

    A run that fails is named, and the figures are those of the others; finished ones are kept in
    the folder, if there is one, and found there the next time.
    """
    machine = Machine.look()
    started = trio.current_time()
    runner = Runner(Shelf(folder), plan.jobs, tell)
    worlds = (profit_worlds(plan), certain_worlds(plan), cost_worlds(plan))
    runs = [_run_of(each) for some in worlds for each in some]
    # The longest begin first; that of the accuracy is one of them.
    await runner.carry_out([_accuracy_run(plan), *runs])
    replays = [] if plan.quick else await _replay(plan, runner)
    profit, certain, cost = (
        [runner.answers[each.name] for each in some if each.name in runner.answers]
        for some in worlds
    )
    document: Document = {
        "schema": SCHEMA,
        "quick": plan.quick,
        "machine": machine.document(),
        "honest": honest_figures([*certain, *profit, *cost], replays),
        "adversaries": adversary_figures(plan, certain, profit),
        "accuracy": runner.answers.get(ACCURACY_NAME),
        **cost_figures(cost),
        "failed": [{"run": each.name, "error": each.words} for each in runner.failures],
        "seconds": round(trio.current_time() - started, 1),
    }
    return {**document, "is_within_targets": is_within_targets(document)}


def _run_of(world: WorldPlan) -> Run:
    return Run(world.name, WORLD, asdict(world), _about(world.kinds))


def _about(kinds: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(kinds)) or "honest miners alone"


def _accuracy_run(plan: ProofPlan) -> Run:
    kinds = tuple(str(kind) for kind in poisons(plan))
    question = {
        "kinds": kinds,
        "rounds": ACCURACY_ROUNDS,
        "steps": ACCURACY_STEPS,
        "seed": plan.seed,
        "repeats": 1 if plan.quick else ACCURACY_SEEDS,
    }
    return Run(ACCURACY_NAME, ACCURACY, question, _about(kinds))


async def _replay(plan: ProofPlan, runner: Runner) -> list[Document]:
    """Replay honest leases across threads and instruction sets, one recipe after the other."""
    recipes = recipes_named(())
    count = -(-HONEST_REPLAYS // len(recipes))
    found: list[Document] = []
    for number, recipe in enumerate(recipes, 1):
        name = f"replays-{recipe.name}"
        question = {"recipe": recipe.name, "count": count, "seed": plan.seed}
        place = f"{number}/{len(recipes)} {name}: {count} honest ones"
        await runner.answer(place, name, question, partial(_replay_one, plan, recipe.name, count))
        found += [runner.answers[name]] if name in runner.answers else []
    return found


async def _replay_one(plan: ProofPlan, recipe: str, count: int) -> Document:
    with tempfile.TemporaryDirectory(prefix="potp2p-proof-") as folder:
        where = Path(folder) / "replays"
        return await measure_replays(
            ReplayPlan((recipe,), count, cheats=False, seed=plan.seed, folder=where)
        )
