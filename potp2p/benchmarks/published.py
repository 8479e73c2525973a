"""The published table of the original Proof of Training code beside ours, on a virtual clock."""

from dataclasses import dataclass, replace
from typing import Final, cast

import trio

from potp2p.benchmarks.machine import Machine
from potp2p.benchmarks.transport import measure_transport
from potp2p.foundation.errors import ConfigurationError
from potp2p.foundation.limits import MEMPOOL_PAID_MAX
from potp2p.foundation.types import POT, Amount
from potp2p.processes.documents import Document
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.crypto.identity import KeyPair
from potp2p.protocol.ledger.genesis import DevnetAccounts, devnet_genesis
from potp2p.simulation.published.costs import Costs, measure_costs
from potp2p.simulation.published.run import run_cell
from potp2p.simulation.published.setting import Setting, setting_of, wide
from potp2p.simulation.published.table import PUBLISHED, Figure, Table, markdown

SCHEMA: Final = "potp2p.bench-published/1"
SEEDS_MAX: Final = 1_000
TRANSACTIONS_MAX: Final = 100_000
INTERVAL_MAX: Final = 60_000
DEGREE_MAX: Final = 49
DIRECT_INTERVALS: Final = (450, 650)
"""Milliseconds: what a load needs to reach everyone, of 1,000 and of 10,000 transactions."""
NOTES: Final = (
    "default: 2,000 transactions or 1 MiB a block, so that 5,000 take two heights and more; a batch"
    " waits a block interval before it is gossiped, as in the node",
    "wide, direct: the limits of a block are genesis parameters of the design; the node has them"
    " as constants, and room for fewer waiting transactions",
    "wide: GossipSub sends everything over each link of the mesh: five copies of 1.5 MB are two"
    " seconds of a link of 30 Mbit/s",
    "direct: not built; every validator sends what was handed to it to all others itself",
    "the library's work for each message (Noise, Yamux, streams) is charged with --transport only:"
    " at 0.15 ms an end it adds less than 0.1 s to a cell",
    "every node checks every signature and executes every transaction; a time ends when a quorum"
    " has decided the block with the last one",
)
METHOD: Final = (
    "virtual clock; real replicas, real message sizes; processor and disk time measured on this "
    "machine and charged to one core per validator; latencies, mesh and shares from the seed"
)


@dataclass(frozen=True, slots=True)
class PublishedPlan:
    """How the published set-up is run."""

    seeds: int
    block_interval: int
    """Milliseconds, of the network with wide blocks."""
    block_transactions: int
    mesh_degree: int
    shared_links: bool
    transport: bool
    """Charge what the library needs for every message."""


def verify_published_plan(plan: PublishedPlan) -> None:
    """Raise ConfigurationError for a table that cannot be made."""
    for name, value, least, most in (
        ("--seeds", plan.seeds, 1, SEEDS_MAX),
        ("--block-interval", plan.block_interval, 0, INTERVAL_MAX),
        ("--block-transactions", plan.block_transactions, 1, TRANSACTIONS_MAX),
        ("--mesh-degree", plan.mesh_degree, 2, DEGREE_MAX),
    ):
        if not least <= value <= most:
            raise ConfigurationError(f"{name} {value}: from {least} to {most}")


def settings_of(plan: PublishedPlan) -> tuple[Setting, ...]:
    """
    Return the networks that are compared.

    As the default genesis is; with blocks that take the load; and the same with validators that
    send what was handed to them straight to every other, at intervals for small and large loads.
    The last is not what the node does: it shows what the mesh costs.
    """
    keys = [KeyPair.from_secret(sha256(b"published %d" % index)) for index in range(6)]
    money = Amount(POT)
    accounts = DevnetAccounts(keys[4].node_id, money, keys[5].node_id, money)
    genesis = devnet_genesis(keys[:4], accounts, time_milliseconds=1)
    default = setting_of(genesis.consensus)
    wider = wide(default, plan.block_interval, plan.block_transactions)
    return tuple(
        replace(each, shared_links=plan.shared_links)
        for each in (
            replace(default, mesh_degree=plan.mesh_degree),
            replace(wider, mesh_degree=plan.mesh_degree),
            *(
                replace(wider, name=f"direct {each}", mesh_degree=0, block_interval=each)
                for each in DIRECT_INTERVALS
            ),
        )
    )


async def measure_published(plan: PublishedPlan) -> Document:
    """Measure the costs, then run every cell in every network."""
    machine = Machine.look()
    costs = measure_costs()
    if plan.transport:
        transport = await measure_transport()
        costs = costs.with_transport(transport.each_end, transport.each_end)
    tables = [await _table(setting, costs, plan.seeds) for setting in settings_of(plan)]
    figures = [figure for table in tables for figure in table.figures]
    return {
        "schema": SCHEMA,
        "method": METHOD,
        "machine": machine.document(),
        "costs": costs.document(),
        "mempool_paid_max": MEMPOOL_PAID_MAX,
        "notes": list(NOTES),
        "tables": [table.document() for table in tables],
        "markdown": markdown(tables),
        "is_within_targets": all(not figure.unfinished for figure in figures),
    }


async def _table(setting: Setting, costs: Costs, seeds: int) -> Table:
    figures: list[Figure] = []
    for cell, theirs in PUBLISHED:
        runs = []
        for seed in range(seeds):
            # A run takes a second; a signal is heard between two.
            await trio.lowlevel.checkpoint()
            runs.append(run_cell(cell, setting, costs, seed))
        figures.append(Figure(cell, theirs, tuple(runs)))
    return Table(setting, tuple(figures))


def published_lines(document: Document) -> list[str]:
    """Return what people read: costs, settings, then the table."""
    costs = cast("dict[str, float]", document["costs"])
    tables = cast("list[dict[str, object]]", document["tables"])
    lines = [f"method         {document['method']}"]
    lines.append("costs          " + ", ".join(f"{key} {value}" for key, value in costs.items()))
    for table in tables:
        setting = cast("dict[str, object]", table["setting"])
        shown = ", ".join(f"{key} {value}" for key, value in setting.items() if key != "name")
        lines.append(f"{setting['name']!s:<15}{shown}")
    lines.append(
        f"mempool        the node's pool takes {document['mempool_paid_max']} paid transactions at "
        "a time; the model's takes all"
    )
    lines += [f"note           {note}" for note in NOTES]
    return [*lines, "", *cast("list[str]", document["markdown"])]
