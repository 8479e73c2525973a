"""Whole networks with adversaries in them: who is paid, who is not, and that money stays money."""

from dataclasses import replace
from pathlib import Path

from potp2p.foundation.types import POT, Amount
from potp2p.protocol.ledger.records import TaskStatus
from potp2p.protocol.wire.genesis import Genesis
from potp2p.simulation.adversaries.arena import Arena, ArenaPlan, ArenaReport
from potp2p.simulation.adversaries.kinds import Kind, Place
from potp2p.simulation.adversaries.linear import LinearWorkers, write_linear_package
from potp2p.simulation.packages import make_rules


def short_bans(genesis: Genesis) -> Genesis:
    return replace(genesis, money=replace(genesis.money, ban_blocks=5))


def play(
    folder: Path, *kinds: Kind, rounds: int = 2, honest: int = 3, audit_rate: int = 1_000_000
) -> ArenaReport:
    shards = honest + len(kinds)
    rules = make_rules(rounds=rounds, shards=shards, shards_per_round=shards)
    write_linear_package(folder / "package", rules)
    plan = ArenaPlan(
        kinds,
        rules,
        Amount(rounds * shards * POT // 2),
        honest=honest,
        audit_rate=audit_rate,
        change=short_bans,
    )
    return Arena(plan, folder / "net", folder / "package", LinearWorkers).run()


def assert_the_honest_are_whole(report: ArenaReport) -> None:
    for row in report.rows:
        if row.kind is None and row.place is Place.MINER:
            assert row.rejected == 0, row
            assert row.gain > 0, row
    assert report.is_money_conserved


def test_every_altered_or_invented_payload_that_is_audited_costs_its_miner_the_bond(
    tmp_path: Path,
) -> None:
    kinds = (Kind.FREE_RIDER, Kind.HALF_WORK, Kind.SIGN_FLIP, Kind.FALSE_LOSS, Kind.NO_REVEAL)
    report = play(tmp_path, *kinds)
    assert report.status is TaskStatus.FINISHED
    assert_the_honest_are_whole(report)
    for kind in kinds:
        (row,) = report.of(kind)
        assert row.rejected > 0, row
        assert row.accepted == 0, row
        assert row.gain < 0, row
        assert row.banned_in_round is not None


def test_copies_are_never_paid_and_what_is_withheld_is_never_in_the_set(tmp_path: Path) -> None:
    report = play(tmp_path, Kind.COPIER, Kind.PERTURBED_COPIER, Kind.WITHHOLDER)
    assert_the_honest_are_whole(report)
    for kind in (Kind.COPIER, Kind.PERTURBED_COPIER):
        (row,) = report.of(kind)
        assert row.deeds["copied"] > 0, "it found nothing to copy"
        assert row.paid == 0, row
        assert row.gain <= 0, row
    (row,) = report.of(Kind.WITHHOLDER)
    assert (row.accepted, row.audited, row.missed > 0) == (0, 0, True)
    assert row.gain <= 0
