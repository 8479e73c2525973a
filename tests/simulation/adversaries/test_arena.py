"""Whole networks with adversaries in them: who is paid, who is not, and that money stays money."""

from dataclasses import replace
from pathlib import Path

import pytest

from potp2p.foundation.types import POT, Amount
from potp2p.protocol.ledger.records import TaskStatus
from potp2p.protocol.wire.genesis import Genesis
from potp2p.simulation.adversaries.arena import Arena, ArenaPlan
from potp2p.simulation.adversaries.kinds import Kind, Place
from potp2p.simulation.adversaries.linear import LinearWorkers, write_linear_package
from potp2p.simulation.adversaries.outcomes import ArenaReport
from potp2p.simulation.packages import make_rules


def play(
    folder: Path, *kinds: Kind, rounds: int = 2, honest: int = 3, floor: int = POT
) -> ArenaReport:
    shards = honest + len(kinds)
    rules = make_rules(rounds=rounds, shards=shards, shards_per_round=shards)
    write_linear_package(folder / "package", rules)

    def change(genesis: Genesis) -> Genesis:
        money = replace(genesis.money, ban_blocks=5, subsidy_floor=Amount(floor))
        return replace(genesis, money=money)

    plan = ArenaPlan(
        kinds,
        rules,
        Amount(rounds * shards * POT // 2),
        honest=honest,
        audit_rate=1_000_000,
        change=change,
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


@pytest.mark.parametrize("kind", [Kind.LAZY_AUDITOR, Kind.LYING_AUDITOR])
def test_an_auditor_that_did_not_say_what_a_replay_shows_pays_for_it(
    tmp_path: Path, kind: Kind
) -> None:
    report = play(tmp_path, kind)
    assert_the_honest_are_whole(report)
    (row,) = report.of(kind)
    assert row.caught == row.tested > 0, row
    assert row.gain < 0, row
    assert all(each.void == 0 for each in report.of(None)), "a lie cost an honest miner its pay"


def test_a_friend_among_the_auditors_does_not_save_a_free_rider(tmp_path: Path) -> None:
    report = play(tmp_path, Kind.COLLUDING_PAIR, rounds=3)
    assert_the_honest_are_whole(report)
    miner, friend = sorted(report.of(Kind.COLLUDING_PAIR), key=lambda row: row.place)
    assert (miner.accepted, miner.gain < 0) == (0, True), miner
    assert friend.caught == friend.tested, friend


def test_challenges_without_cause_cost_more_than_they_bring(tmp_path: Path) -> None:
    report = play(tmp_path, Kind.SPAM_CHALLENGER, floor=0)
    assert_the_honest_are_whole(report)
    (row,) = report.of(Kind.SPAM_CHALLENGER)
    assert row.challenges_lost == row.challenges > 0, row
    assert row.gain < min(each.gain for each in report.of(None))


def test_who_orders_from_itself_gains_nothing_and_who_hides_its_data_harms_nobody(
    tmp_path: Path,
) -> None:
    report = play(tmp_path, Kind.SELF_DEALING_CLIENT, Kind.DATA_WITHHOLDING_CLIENT, floor=0)
    assert report.status is TaskStatus.FINISHED
    assert_the_honest_are_whole(report)
    (row,) = report.of(Kind.SELF_DEALING_CLIENT)
    assert row.accepted > 2, "it took its own leases"
    assert row.gain < max(each.gain for each in report.of(None))


def test_claims_that_a_rival_leaves_out_stand_later_and_their_tips_are_anothers(
    tmp_path: Path,
) -> None:
    report = play(tmp_path, Kind.RIVAL_AUTHOR, Kind.RIVAL_AUTHOR, rounds=8, floor=0)
    assert_the_honest_are_whole(report)
    rivals = report.of(Kind.RIVAL_AUTHOR)
    assert sum(row.deeds["left out"] for row in rivals) > 0
    assert sum(row.forgone for row in rivals) > 0
    assert all(row.missed == 0 for row in report.of(None)), "nobody missed a deadline by it"
    assert all(row.forgone == 0 for row in report.of(None))
