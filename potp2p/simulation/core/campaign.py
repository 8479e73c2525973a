"""Many seeds of pure committees: what each came to, and what all of them came to."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from random import Random
from typing import Final, Literal

from potp2p.simulation.core.cluster import Cluster
from potp2p.simulation.core.faults import draw_faults
from potp2p.simulation.core.liars import LIARS
from potp2p.simulation.core.twins import twins_cluster

Level = Literal["core", "twins"]
FAILURES_SHOWN: Final = 10
CONVERGENCE_MILLISECONDS_MAX: Final = 120_000
"""Twice the longest way of dispersed views back to one (consensus.md 4.1), with room."""
HEIGHT_MILLISECONDS_MAX: Final = 20_000
"""A height whose every liar leads a view of its own: f is at most 3 here."""
MORE_HEIGHTS: Final = 10
"""Decided after healing, at least, before a seed counts as converged."""


@dataclass(frozen=True, slots=True)
class CorePlan:
    """What every seed of a campaign has in common."""

    validators: int = 4
    heights: int = 20
    level: Level = "core"


@dataclass(frozen=True, slots=True)
class SeedReport:
    """What one seed came to; plain, so that it travels between processes."""

    seed: int
    violations: tuple[str, ...]
    converged: bool
    converge_milliseconds: int
    """From the end of all faults until every honest member had decided what any worked on then."""
    heights: int
    views_max: int
    """Highest view that sealed a block."""
    deliveries: int
    trace: str
    """SHA-256 over every delivery, decision and crash, in hex."""


@dataclass(frozen=True, slots=True)
class CampaignReport:
    """What many seeds came to."""

    seeds: int
    violations: int
    unconverged: int
    converge_seconds_max: float
    views_max: int
    deliveries: int
    trace_hash: str
    seconds: float
    seeds_per_second: float
    failures: tuple[SeedReport, ...]
    """The first of them."""


def cluster_of(seed: int, plan: CorePlan) -> Cluster:
    """Return the committee of a seed, with everything that will happen to it."""
    if plan.level == "twins":
        return twins_cluster(plan.validators, seed)
    faults = draw_faults(plan.validators, Random(seed), tuple(LIARS))
    tamper = LIARS[faults.liar]() if faults.liar else None
    return Cluster(plan.validators, seed, faults, tamper=tamper)


def run_seed(seed: int, plan: CorePlan) -> SeedReport:
    """Run one committee through its faults, heal it, and let it go on for ten heights or more."""
    cluster = cluster_of(seed, plan)
    troubled = max(plan.heights - MORE_HEIGHTS - 1, 1)
    cluster.run(troubled, until=cluster.faults.calm_at)
    cluster.calm_down()
    calm_at, top = cluster.now, max(member.height for member in cluster.members)
    limit = calm_at + CONVERGENCE_MILLISECONDS_MAX
    converged = cluster.resume(top, until=limit)
    took = cluster.now - calm_at
    goal = max(plan.heights, top + MORE_HEIGHTS)
    converged = converged and cluster.resume(goal, until=limit + goal * HEIGHT_MILLISECONDS_MAX)
    cluster.forget()
    digest = sha256(cluster.trace)
    return SeedReport(
        seed=seed,
        violations=tuple(cluster.oracle.violations),
        converged=converged or bool(cluster.oracle.violations),
        converge_milliseconds=took,
        heights=min(member.height for member in cluster.honest) - 1,
        views_max=max(cluster.oracle.views, default=0),
        deliveries=cluster.deliveries,
        trace=digest.hexdigest(),
    )


def run_campaign(seeds: Sequence[int], plan: CorePlan | None = None) -> CampaignReport:
    """Run seeds one after another in this process."""
    chosen = plan or CorePlan()
    started = time.perf_counter()
    reports = [run_seed(seed, chosen) for seed in seeds]
    return summarise(reports, time.perf_counter() - started)


def summarise(reports: Iterable[SeedReport], seconds: float) -> CampaignReport:
    """Join what seeds came to, in whatever order they come; the result is the same."""
    ordered = sorted(reports, key=lambda report: report.seed)
    trace = sha256()
    for report in ordered:
        trace.update(bytes.fromhex(report.trace))
    failures = [each for each in ordered if each.violations or not each.converged]
    return CampaignReport(
        seeds=len(ordered),
        violations=sum(bool(each.violations) for each in ordered),
        unconverged=sum(not each.converged for each in ordered),
        converge_seconds_max=max((each.converge_milliseconds for each in ordered), default=0)
        / 1000,
        views_max=max((each.views_max for each in ordered), default=0),
        deliveries=sum(each.deliveries for each in ordered),
        trace_hash=trace.hexdigest(),
        seconds=seconds,
        seeds_per_second=len(ordered) / seconds if seconds else 0.0,
        failures=tuple(failures[:FAILURES_SHOWN]),
    )
