"""What a local network is asked to be."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from potp2p.foundation.errors import ConfigurationError
from potp2p.foundation.limits import (
    DEVNET_BLOCK_MILLISECONDS_MAX,
    DEVNET_BLOCK_MILLISECONDS_MIN,
    DEVNET_MINERS_MAX,
    DEVNET_VALIDATORS_MAX,
    ROUNDS_MAX,
)
from potp2p.processes.programs import Programs
from potp2p.simulation.adversaries.kinds import Kind, Place, parse_kind
from potp2p.simulation.adversaries.roster import parts_of

EXAMPLES: Final = ("digits", "digits-resnet", "images-resnet50", "text")
MODES: Final = ("local", "gradient")
SEED_BOUND: Final = 1 << 48


@dataclass(frozen=True, slots=True)
class Plan:
    """One run, from the first process to the fetched model."""

    example: str
    mode: str
    validators: int
    miners: int
    rounds: int | None
    """None: as many as the example says."""
    seed: int | None
    """None: fresh keys, and weights from seed 0."""
    out: Path
    folder: Path
    """Where the nodes live."""
    text_dir: Path | None = None
    block_milliseconds: int | None = None
    """None: the devnet's own block interval."""
    adversaries: tuple[tuple[Kind, int], ...] = ()
    """Who cheats, and how many of each: seats among the validators, miners besides."""
    programs: Programs = field(default_factory=Programs)


def parse_adversaries(texts: Sequence[str]) -> tuple[tuple[Kind, int], ...]:
    """Read `KIND=COUNT` texts; ConfigurationError says in one line what is wrong with one."""
    counts: dict[Kind, int] = {}
    for text in texts:
        name, equals, number = text.partition("=")
        kind = parse_kind(name)
        if equals and re.fullmatch(r"[1-9][0-9]{0,8}", number) is None:
            raise ConfigurationError(
                f"--adversary {kind}={number[:20]}: write KIND=COUNT, COUNT from 1"
            )
        counts[kind] = counts.get(kind, 0) + (int(number) if equals else 1)
    return tuple(counts.items())


def verify_adversaries(plan: Plan) -> None:
    """Refuse more liars among the validators than a committee can bear, or too many of others."""
    seats = sum(count for kind, count in plan.adversaries if Place.SEAT in parts_of(kind))
    bearable = (plan.validators - 1) // 3
    if seats > bearable:
        raise ConfigurationError(
            f"--adversary: {seats} of {plan.validators} validators would cheat; "
            f"a committee of this size bears {bearable}"
        )
    miners = plan.miners + sum(
        count for kind, count in plan.adversaries if Place.MINER in parts_of(kind)
    )
    if miners > DEVNET_MINERS_MAX:
        raise ConfigurationError(f"--adversary: {miners} miners, at most {DEVNET_MINERS_MAX}")
    for kind, count in plan.adversaries:
        if not parts_of(kind) and count > 1:
            raise ConfigurationError(f"--adversary {kind}={count}: a network has one such client")


def verify_plan(plan: Plan) -> None:
    """Raise ConfigurationError with one line for a network that cannot be started here."""
    if plan.example not in EXAMPLES:
        known = ", ".join(EXAMPLES)
        raise ConfigurationError(f"--example {plan.example}: choose one of {known}")
    if plan.mode not in MODES:
        raise ConfigurationError(f"--mode {plan.mode}: choose local or gradient")
    if not 1 <= plan.validators <= DEVNET_VALIDATORS_MAX:
        raise ConfigurationError(
            f"--validators {plan.validators}: from 1 to {DEVNET_VALIDATORS_MAX} "
            "(4 is the least that survives the loss of one)"
        )
    if not 1 <= plan.miners <= DEVNET_MINERS_MAX:
        raise ConfigurationError(f"--miners {plan.miners}: from 1 to {DEVNET_MINERS_MAX}")
    if plan.rounds is not None and not 1 <= plan.rounds <= ROUNDS_MAX:
        raise ConfigurationError(f"--rounds {plan.rounds}: from 1 to {ROUNDS_MAX}")
    if plan.seed is not None and not 0 <= plan.seed < SEED_BOUND:
        raise ConfigurationError(f"--seed {plan.seed}: from 0 to {SEED_BOUND - 1}")
    interval = plan.block_milliseconds
    least, most = DEVNET_BLOCK_MILLISECONDS_MIN, DEVNET_BLOCK_MILLISECONDS_MAX
    if interval is not None and not least <= interval <= most:
        raise ConfigurationError(f"--block-milliseconds {interval}: from {least} to {most}")
    if plan.text_dir is not None and not plan.text_dir.is_dir():
        raise ConfigurationError(f"--text-dir {plan.text_dir} is not a folder")
    if plan.text_dir is not None and plan.example != "text":
        raise ConfigurationError("--text-dir goes with --example text")
    if plan.out.exists() and not plan.out.is_dir():
        raise ConfigurationError(f"--out {plan.out} is not a folder")
    verify_adversaries(plan)
    if plan.folder.exists() and (not plan.folder.is_dir() or any(plan.folder.iterdir())):
        raise ConfigurationError(f"--datadir {plan.folder} is not an empty folder")
