"""Tasks that replays are measured on: of every tolerance class, in both modes."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from potp2p.foundation.errors import ConfigurationError, OperatingError
from potp2p.processes.fleet import Fleet

PREPARE: Final = (sys.executable, "-m", "potp2p.training.prepare")
PREPARE_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """One task by name: an example with its options, or a package folder of one's own."""

    name: str
    arguments: tuple[str, ...] = ()
    folder: Path | None = None


RECIPES: Final = tuple(
    Recipe(name, ("--example", example, "--mode", mode, *more))
    for name, example, mode, more in (
        ("digits-local", "digits", "local", ()),
        ("digits-gradient", "digits", "gradient", ()),
        ("text-local", "text", "local", ()),
        ("text-gradient", "text", "gradient", ()),
        ("resnet-local", "digits-resnet", "local", ()),
        ("resnet-gradient", "digits-resnet", "gradient", ()),
        ("digits-bf16", "digits", "gradient", ("--tolerance", "bf16")),
        ("text-bf16", "text", "gradient", ("--tolerance", "bf16")),
    )
)
"""A ViT and a GPT-2 with smooth activations, a ResNet with ReLU and batch-norm."""
UNSTABLE: Final = tuple(
    Recipe(name, ("--example", "text", "--mode", "local", "--epsilon", "1000000", *rate))
    for name, rate in (
        ("text-local-unstable", ("--learning-rate", "2000000")),
        ("text-local-chaotic", ("--learning-rate", "12000000")),
    )
)
"""
Nobody should order these: with the first honest machines drift percents apart late in training now
and then; with six times its rate it shows sooner.
"""


def recipes_named(names: tuple[str, ...]) -> tuple[Recipe, ...]:
    """Return recipes by name, all of them by none; a path is a package folder or its task file."""
    if not names:
        return RECIPES
    known = {recipe.name: recipe for recipe in (*RECIPES, *UNSTABLE)}
    return tuple(known.get(name) or _own(name) for name in names)


def _own(name: str) -> Recipe:
    path = Path(name)
    folder = path.parent if path.name == "task.toml" else path
    if not (folder / "task.toml").is_file():
        known = ", ".join(recipe.name for recipe in RECIPES)
        raise ConfigurationError(f"--task {name}: no package there, and none of {known}")
    return Recipe(folder.resolve().name, folder=folder.resolve())


async def package_of(recipe: Recipe, fleet: Fleet, folder: Path, seed: int) -> Path:
    """Return a recipe's package folder, made first where it is an example."""
    if recipe.folder is not None:
        return recipe.folder
    out = folder / f"package-{recipe.name}"
    arguments = (*recipe.arguments, "--seed", str(seed), "--out", str(out))
    child = fleet.start(f"prepare-{recipe.name}", (*PREPARE, *arguments))
    with trio.move_on_after(PREPARE_SECONDS):
        code = await child.ended()
        fleet.forget(child)
        if code != 0:
            raise OperatingError(f"{recipe.name}: {child.last_words()}")
        return out
    raise OperatingError(f"{recipe.name} was not ready within {PREPARE_SECONDS:.0f} s")
