"""
One network with adversaries in it, on a virtual clock, with real training in worker processes.

`python -m potp2p.benchmarks.proof_world`: a plan as one JSON object on stdin, what came
of everybody as one JSON object on stdout.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, cast

from potp2p.foundation.types import POT, Amount
from potp2p.protocol.scheduling.task_text import parse
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.manifests import RULES_FILE, TASK_FILE
from potp2p.protocol.wire.schema import encode
from potp2p.protocol.wire.tasks import TaskRules
from potp2p.simulation.adversaries.arena import Arena, ArenaPlan
from potp2p.simulation.adversaries.kinds import Kind
from potp2p.simulation.adversaries.outcomes import ArenaReport, Row
from potp2p.simulation.adversaries.trainers import RealWorkers, TrainerPool, open_trainers
from potp2p.simulation.genesis import with_audit_rate

Document = dict[str, object]
REPEATS: Final = 30
"""Leases that are timed, and as many replays."""
PRICE: Final = POT // 2
"""Budget of a lease, of which the miner's share is paid."""


@dataclass(frozen=True, slots=True)
class WorldPlan:
    """One run, as plain values."""

    name: str
    kinds: tuple[str, ...]
    rounds: int
    honest: int
    audit_rate: int
    """In ppm."""
    ban_blocks: int
    bond: int
    """Of a miner, in POT."""
    subsidy_floor: int
    """Per block, in base units: what a devnet pays its authors out of nothing."""
    reformed: bool = False
    """Everybody is honest, in the places of the adversaries."""
    processes: int = 1
    seed: int = 1

    @property
    def miners(self) -> int:
        """Return how many leases a round has: one for everybody who mines."""
        seats = (Kind.LAZY_AUDITOR, Kind.LYING_AUDITOR, Kind.DATA_WITHHOLDING_CLIENT)
        return self.honest + sum(Kind(each) not in seats for each in self.kinds)


def play(plan: WorldPlan) -> Document:
    """Run one network from the order to the last payment."""
    with tempfile.TemporaryDirectory(prefix="potp2p-proof-") as name:
        folder = Path(name)
        rules = _prepare(plan, folder / "package")
        with open_trainers(folder / "trainers", plan.processes) as pool:
            arena = Arena(
                ArenaPlan(
                    tuple(Kind(each) for each in plan.kinds),
                    rules,
                    Amount(PRICE * plan.rounds * plan.miners),
                    honest=plan.honest,
                    audit_rate=plan.audit_rate,
                    seed=plan.seed,
                    reformed=plan.reformed,
                    change=_change(plan),
                ),
                folder / "network",
                folder / "package",
                lambda: RealWorkers(pool),
            )
            return document_of(plan, arena.run(), pool)


def _prepare(plan: WorldPlan, package: Path) -> TaskRules:
    arguments = (str(plan.miners), str(plan.rounds), str(plan.seed), str(package))
    command = (sys.executable, "-m", "potp2p.benchmarks.proof_package", *arguments)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    path = package / TASK_FILE
    rules = parse(path.read_text(), str(path)).rules
    (package / RULES_FILE).write_bytes(encode(rules))
    return rules


def _change(plan: WorldPlan) -> Callable[[Genesis], Genesis]:
    def change(genesis: Genesis) -> Genesis:
        bond = Amount(plan.bond * POT)
        accounts = tuple(
            replace(each, bond=bond) if each.bond == genesis.money.miner_bond else each
            for each in genesis.accounts
        )
        money = replace(
            genesis.money,
            miner_bond=bond,
            auditor_slash=bond,
            ban_blocks=plan.ban_blocks,
            subsidy_floor=Amount(plan.subsidy_floor),
        )
        # A rarer audit covers less pay: what the bond covers is what the document may promise.
        return with_audit_rate(replace(genesis, accounts=accounts, money=money), plan.audit_rate)

    return change


def document_of(plan: WorldPlan, report: ArenaReport, pool: TrainerPool) -> Document:
    """Return everything that was counted."""
    return {
        "plan": asdict(plan),
        "rows": [_row(each) for each in report.rows],
        "rounds": report.rounds,
        "status": report.status.name,
        "losses": list(report.losses),
        "blocks": report.blocks,
        "round_starts": report.round_starts,
        "client_spent": report.client_spent,
        "is_money_conserved": report.is_money_conserved,
        "commands": dict(pool.counts),
        "replay_per_train": pool.replay_per_train(REPEATS),
    }


def _row(row: Row) -> Document:
    return {
        "name": row.name,
        "kind": None if row.kind is None else str(row.kind),
        "place": str(row.place),
        "gain": row.gain,
        "paid": row.paid,
        "accepted": row.accepted,
        "missed": row.missed,
        "void": row.void,
        "rejected": row.rejected,
        "audited": row.audited,
        "flagged": row.flagged,
        "dropped": row.dropped,
        "reports": row.reports,
        "challenges": row.challenges,
        "challenges_lost": row.challenges_lost,
        "forgone": row.forgone,
        "tested": row.tested,
        "caught": row.caught,
        "banned_in_round": row.banned_in_round,
        "deeds": dict(row.deeds),
    }


def plan_of(fields: Mapping[str, object]) -> WorldPlan:
    """Read a plan back."""
    kinds = tuple(cast("list[str]", fields["kinds"]))
    named = ("name", "kinds", "reformed")
    numbers = {name: cast("int", value) for name, value in fields.items() if name not in named}
    reformed = fields["reformed"] is True
    return WorldPlan(cast("str", fields["name"]), kinds, reformed=reformed, **numbers)


if __name__ == "__main__":
    asked = cast("dict[str, object]", json.load(sys.stdin))
    sys.stdout.write(json.dumps(play(plan_of(asked))) + "\n")
