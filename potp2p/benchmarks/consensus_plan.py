"""What is measured of consensus, and what is expected of it."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from potp2p.foundation.committee import faulty_max
from potp2p.foundation.errors import ConfigurationError
from potp2p.foundation.limits import BLOCK_PAID_TRANSACTIONS_MAX, DEVNET_VALIDATORS_MAX
from potp2p.processes.documents import Document
from potp2p.processes.programs import Programs

WARM_UP_SECONDS: Final = 5.0
SECONDS_MIN, SECONDS_MAX = 5, 600
RATE_MAX: Final = 20_000

FINALITY_TRANSACTIONS: Final = 100
FINALITY_SECONDS_MAX: Final = 0.1
EMPTY_BLOCKS_MIN: Final = 10.0
LOOP_HOLD_SECONDS_MAX: Final = 0.05
LOST_PRIMARY_SECONDS_MAX: Final = 2.5
RESTART_SECONDS_MAX: Final = 3.0
"""Targets of a machine with two cores and four validators."""


@dataclass(frozen=True, slots=True)
class ConsensusPlan:
    """One measurement."""

    validators: int
    transactions_per_block: int
    """The bound of every author; 0: empty blocks."""
    seconds: int
    folder: Path
    """Where the nodes live; the caller removes it."""
    dead: int = 0
    rate: int = 0
    """Transactions a second, open loop; 0: saturation."""
    latency_milliseconds: int = 0
    bandwidth_megabits: int = 0
    lose_primary: bool = False
    restart: bool = False
    warm_up_seconds: float = WARM_UP_SECONDS
    programs: Programs = field(default_factory=Programs)


def verify_consensus_plan(plan: ConsensusPlan) -> None:
    """Raise ConfigurationError for a measurement that cannot be made."""
    bounds = (
        ("--validators", plan.validators, 1, DEVNET_VALIDATORS_MAX),
        ("--transactions-per-block", plan.transactions_per_block, 0, BLOCK_PAID_TRANSACTIONS_MAX),
        ("--seconds", plan.seconds, SECONDS_MIN, SECONDS_MAX),
        ("--dead", plan.dead, 0, faulty_max(plan.validators)),
        ("--rate", plan.rate, 0, RATE_MAX),
        ("--latency-milliseconds", plan.latency_milliseconds, 0, 2_000),
        ("--bandwidth-megabits", plan.bandwidth_megabits, 0, 10_000),
    )
    for flag, value, least, most in bounds:
        if not least <= value <= most:
            raise ConfigurationError(f"{flag} {value}: from {least} to {most}")
    if plan.rate and not plan.transactions_per_block:
        raise ConfigurationError("--rate needs blocks with transactions")
    if plan.lose_primary and plan.restart:
        raise ConfigurationError("--lose-primary and --restart are two measurements")
    if (plan.lose_primary or plan.restart) and plan.dead >= faulty_max(plan.validators):
        raise ConfigurationError("no validator is left that the network could lose")


def with_targets(plan: ConsensusPlan, document: Document) -> Document:
    """Add the targets that were set for measurements of this kind, and whether all are met."""
    most: dict[str, float] = {"loop_hold_p99_seconds": LOOP_HOLD_SECONDS_MAX}
    least: dict[str, float] = {}
    is_local = not plan.latency_milliseconds and not plan.bandwidth_megabits
    if is_local and not plan.dead and not plan.rate:
        if plan.transactions_per_block == FINALITY_TRANSACTIONS:
            most["finality_p50_seconds"] = FINALITY_SECONDS_MAX
        if not plan.transactions_per_block:
            least["blocks_per_second"] = EMPTY_BLOCKS_MIN
    if plan.lose_primary:
        most["lost_primary_seconds"] = LOST_PRIMARY_SECONDS_MAX
    if plan.restart:
        most["restart_to_voting_seconds"] = RESTART_SECONDS_MAX
    is_met = all(_known(document, name) <= bound for name, bound in most.items()) and all(
        _known(document, name) >= bound for name, bound in least.items()
    )
    targets: Document = {"at_most": most, "at_least": least}
    return document | {"targets": targets, "is_within_targets": is_met}


def _known(document: Document, name: str) -> float:
    value = document[name]
    return value if isinstance(value, int | float) else math.nan


def consensus_lines(document: Document) -> list[str]:
    """Return the figures for a person."""
    lines = [
        f"{name:<24} {document[name]}"
        for name in (
            "blocks_per_second",
            "transactions_per_second",
            "finality_p50_seconds",
            "finality_p99_seconds",
            "submission_p50_seconds",
            "submission_p99_seconds",
            "loop_hold_p50_seconds",
            "loop_hold_p99_seconds",
            "rss_bytes_max",
            "cpu_cores_mean",
            "views_beyond_first",
            "lost_primary_seconds",
            "restart_to_block_seconds",
            "restart_to_voting_seconds",
        )
        if name in document
    ]
    processes = document["processes"]
    assert isinstance(processes, list)
    lines += [
        f"{each['name']:<14} {each['rss_bytes_max'] / 1e6:>7.1f} MB resident"
        f" {each['cpu_cores']:>6.2f} cores"
        for each in processes
    ]
    return lines
