"""What a local network is asked to be."""

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

EXAMPLES: Final = ("digits", "text")
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
    programs: Programs = field(default_factory=Programs)


def verify_plan(plan: Plan) -> None:
    """Raise ConfigurationError with one line for a network that cannot be started here."""
    if plan.example not in EXAMPLES:
        raise ConfigurationError(f"--example {plan.example}: choose digits or text")
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
    if plan.folder.exists() and (not plan.folder.is_dir() or any(plan.folder.iterdir())):
        raise ConfigurationError(f"--datadir {plan.folder} is not an empty folder")
