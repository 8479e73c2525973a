"""The commands that a local network consists of, and those that check it."""

import sys
from dataclasses import dataclass

_PYTHON = sys.executable


@dataclass(frozen=True, slots=True)
class Programs:
    """Command lines without their arguments; tests put others in their place."""

    potp2p: tuple[str, ...] = (_PYTHON, "-m", "cli.main")
    bootstrap: tuple[str, ...] = (_PYTHON, "-m", "bootstrap.main")
    evaluate: tuple[str, ...] = (_PYTHON, "-m", "potp2p.training.measure")
    central: tuple[str, ...] = (_PYTHON, "-m", "potp2p.training.central")
    validator: tuple[str, ...] = (_PYTHON, "-m", "potp2p.benchmarks.consensus_node")
    witness: tuple[str, ...] = (_PYTHON, "-m", "potp2p.benchmarks.crash_node")
    load: tuple[str, ...] = (_PYTHON, "-m", "potp2p.benchmarks.consensus_load")
    cheat: tuple[str, ...] = (_PYTHON, "-m", "potp2p.devnet.cheat")
    cheating_client: tuple[str, ...] = (_PYTHON, "-m", "potp2p.devnet.cheating_client")
    display: str = "potp2p"
    """How a person would type the first."""
