"""Results: committed to before anyone shows one, decided by a quorum, paid to who was in time."""

from dataclasses import replace

import pytest

from potp2p.foundation.errors import RejectionReason
from potp2p.foundation.types import MicroNats, Round, ShardIndex, TaskId
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.ledger.contributions import bitmap_of
from potp2p.protocol.ledger.duties import validator_duties
from potp2p.protocol.ledger.receipt_records import ReceiptKind
from potp2p.protocol.ledger.records import LeaseStatus, RoundPhase, RoundRecord
from potp2p.protocol.verification.results import commit_to
from potp2p.protocol.wire.blocks import NO_DIGEST
from potp2p.protocol.wire.transactions import ResultCommit, RoundResult
from tests.doubles.ledger_world import (
    BUDGET,
    FORGED,
    HONEST,
    RULES,
    LedgerWorld,
    build_world,
    key_pair,
    result_of,
    with_audits,
    with_large_bonds,
    without_tips,
)

PATIENT = replace(RULES, rounds=replace(RULES.rounds, result_deadline=12))
HALF = PATIENT.rounds.result_deadline // 2


@pytest.fixture
def world() -> LedgerWorld:
    """Return a network whose round 0 has a set, with no word about its result."""
    return world_in_result()


def world_in_result() -> LedgerWorld:
    world = build_world()
    world.run(2)
    world.silent = lambda _node, action: isinstance(action, ResultCommit | RoundResult)
    task = world.submit(PATIENT)
    world.run_until(lambda: 0 in world.task(task).open_rounds)
    world.run_until(lambda: record_of(world).phase is RoundPhase.RESULT)
    return world


def task_of(world: LedgerWorld) -> TaskId:
    return world.state.chain().tasks[0]


def record_of(world: LedgerWorld) -> RoundRecord:
    return world.state.round(task_of(world), Round(0))


def commits(world: LedgerWorld, shown: RoundResult, *seats: int) -> list[bytes]:
    picked = [world.validators[seat] for seat in seats]
    return [world.free(keys, commit_to(keys.node_id, shown)) for keys in picked]


def shows(world: LedgerWorld, shown: RoundResult, *seats: int) -> list[bytes]:
    return [world.free(world.validators[seat], shown) for seat in seats]


def test_nobody_shows_a_result_while_commitments_are_taken(world: LedgerWorld) -> None:
    shown = result_of(task_of(world), b"root")
    world.block(*commits(world, shown, 0, 1))
    assert world.refusal(shows(world, shown, 0)[0]) is RejectionReason.TOO_EARLY
    world.block(*commits(world, shown, 2))
    assert world.refusal(shows(world, shown, 0)[0]) is None, "a quorum has committed"


def test_commitment_after_the_first_chance_to_show_is_late(world: LedgerWorld) -> None:
    shown = result_of(task_of(world), b"root")
    # In the block that completes the quorum the fourth is in time: nothing was shown yet.
    world.block(*commits(world, shown, 0, 1, 2, 3))
    assert len(record_of(world).commitments) == 4
    world = world_in_result()
    world.block(*commits(world, shown, 0, 1, 2))
    assert world.refusal(commits(world, shown, 3)[0]) is RejectionReason.TOO_LATE


def test_results_are_shown_after_half_of_the_deadline_whoever_has_not_committed(
    world: LedgerWorld,
) -> None:
    fixed, shown = record_of(world).fixed, result_of(task_of(world), b"root")
    world.run(fixed + HALF - 1 - world.height)
    assert world.refusal(shows(world, shown, 0)[0]) is RejectionReason.TOO_EARLY
    world.run(1)
    assert world.refusal(shows(world, shown, 0)[0]) is None
    assert world.refusal(commits(world, shown, 0)[0]) is RejectionReason.TOO_LATE
    world.block(*shows(world, shown, 0, 1, 2))
    assert world.task(task_of(world)).round == 1, "a quorum that never committed is one"
    assert record_of(world).result_earners == ()


def test_commitment_binds_a_seat_once_and_only_in_its_time(world: LedgerWorld) -> None:
    shown = result_of(task_of(world), b"root")
    outsider = world.miners[0]
    bound = commit_to(outsider.node_id, shown)
    assert world.refusal(world.free(outsider, bound)) is RejectionReason.WRONG_SENDER
    empty = ResultCommit(task_of(world), Round(0), NO_DIGEST)
    refused = world.refusal(world.free(world.validators[0], empty))
    assert refused is RejectionReason.OUT_OF_BOUNDS
    world.block(*commits(world, shown, 0))
    for second in (shown, result_of(task_of(world), b"second thoughts")):
        assert world.refusal(commits(world, second, 0)[0]) is RejectionReason.DUPLICATE
    early = replace(commit_to(outsider.node_id, shown), round=Round(1))
    assert world.refusal(world.free(world.validators[1], early)) is RejectionReason.TOO_EARLY


def test_result_comes_from_seats_once(world: LedgerWorld) -> None:
    shown = result_of(task_of(world), b"root")
    world.block(*commits(world, shown, 0, 1, 2))
    outsider = world.free(world.miners[0], shown)
    assert world.refusal(outsider) is RejectionReason.WRONG_SENDER
    world.block(*shows(world, shown, 0))
    for again in (shown, result_of(task_of(world), b"second thoughts")):
        assert world.refusal(shows(world, again, 0)[0]) is RejectionReason.DUPLICATE


@pytest.mark.parametrize(
    ("flagged", "dropped", "reason"),
    [
        (b"\x40", b"", RejectionReason.OUT_OF_BOUNDS),
        (b"", b"\x40", RejectionReason.OUT_OF_BOUNDS),
        (b"\x00", b"", RejectionReason.MALFORMED),
        (b"", b"\x01\x00", RejectionReason.MALFORMED),
    ],
)
def test_bitmaps_of_a_result_are_over_the_set_and_have_one_spelling(
    world: LedgerWorld, flagged: bytes, dropped: bytes, reason: RejectionReason
) -> None:
    shown = result_of(task_of(world), b"root", flagged=flagged, dropped=dropped)
    world.block(*commits(world, shown, 0, 1, 2))
    assert world.refusal(shows(world, shown, 0)[0]) is reason


def test_quorum_decides_and_its_lower_median_is_the_loss(world: LedgerWorld) -> None:
    task = task_of(world)
    heard = [result_of(task, b"root", loss=loss) for loss in (900, 100, 300)]
    for seat, shown in enumerate(heard):
        world.block(*commits(world, shown, seat))
    for seat, shown in enumerate(heard):
        assert world.task(task).round == 0
        world.block(*shows(world, shown, seat))
    assert world.task(task).round == 1
    assert world.task(task).theta == heard[0].root
    assert world.task(task).losses == (300,)


@pytest.mark.parametrize("part", ["root", "flagged", "dropped"])
def test_two_against_two_is_no_quorum_and_the_round_ends_without_update(
    world: LedgerWorld, part: str
) -> None:
    task = task_of(world)
    one = result_of(task, b"root")
    other = {
        "root": result_of(task, b"another root"),
        "flagged": result_of(task, b"root", flagged=b"\x01"),
        "dropped": result_of(task, b"root", dropped=b"\x01"),
    }[part]
    world.block(*commits(world, one, 0, 1), *commits(world, other, 2, 3))
    world.block(*shows(world, one, 0, 1), *shows(world, other, 2, 3))
    world.run_until(lambda: world.task(task).round == 1)
    assert world.height == record_of(world).fixed + PATIENT.rounds.result_deadline
    assert world.task(task).theta == bytes(32)
    assert world.task(task).empty_rounds == 1
    assert record_of(world).result_earners == ()
    assert record_of(world).dropped == ()


def test_only_who_opens_its_own_timely_commitment_earns(world: LedgerWorld) -> None:
    task = task_of(world)
    shown, blind = result_of(task, b"root"), result_of(task, b"a guess")
    thief = world.validators[2]
    # Seat 2 commits to a guess, seat 3 repeats the commitment of seat 0: both copy in the end.
    stolen = commit_to(world.validators[0].node_id, shown)
    world.block(
        *commits(world, shown, 0, 1),
        world.free(thief, commit_to(thief.node_id, blind)),
        world.free(world.validators[3], stolen),
    )
    world.block(*shows(world, shown, 0, 1, 2, 3))
    record = record_of(world)
    assert record.advanced
    assert record.result_earners == tuple(each.node_id for each in world.validators[:2])
    assert [each.timely for each in record.results] == [True, True, False, False]


def test_another_salt_opens_no_commitment(world: LedgerWorld) -> None:
    shown = result_of(task_of(world), b"root")
    world.block(*commits(world, shown, 0, 1, 2))
    resalted = result_of(task_of(world), b"root", salt=bytes(32))
    world.block(*shows(world, shown, 0, 1), *shows(world, resalted, 2))
    assert len(record_of(world).result_earners) == 2


def test_wrong_result_in_time_earns_nothing(world: LedgerWorld) -> None:
    task = task_of(world)
    shown, wrong = result_of(task, b"root"), result_of(task, b"poison")
    world.block(*commits(world, shown, 0, 1, 2), *commits(world, wrong, 3))
    world.block(*shows(world, wrong, 3), *shows(world, shown, 0, 1, 2))
    earners = record_of(world).result_earners
    assert earners == tuple(each.node_id for each in world.validators[:3])


def test_dropped_leases_are_void_and_count_for_nothing() -> None:
    world = build_world(change=with_audits(1))
    world.dropped = bitmap_of((1, 4))
    world.run(2)
    task = world.submit(replace(RULES, rounds=replace(RULES.rounds, rounds=1)))
    world.run_until(lambda: world.task(task).round == 1)
    record = world.state.round(task, Round(0))
    assert record.dropped == (1, 4)
    statuses = [world.state.lease(task, Round(0), ShardIndex(shard)).status for shard in range(6)]
    assert [statuses[1], statuses[4]] == [LeaseStatus.VOID] * 2
    assert world.task(task).passes == (1, 0, 1, 1, 0, 1)
    weights = [world.state.lease(task, Round(0), ShardIndex(shard)).weight for shard in range(6)]
    assert [weight > 0 for weight in weights] == [True, False, True, True, False, True]
    price = 1_000_000_000 * 3
    assert world.state.chain().burned == 4 * price * 5 // 100, "the share of four leases"
    bonds = [world.account(each).bond for each in world.miners]
    world.run_until(lambda: world.task(task).escrow == 0)
    void = [each.shard for each in world.receipts if each.kind is ReceiptKind.VOID]
    assert void == [1, 4]
    assert [world.account(each).bond for each in world.miners] == bonds, "nobody is slashed"


def test_what_was_dropped_is_audited_and_a_copy_costs_its_bond() -> None:
    world = build_world(change=with_audits(1))
    world.dropped = bitmap_of((1, 4))
    world.run(2)
    task = world.submit(replace(RULES, rounds=replace(RULES.rounds, rounds=1)))
    world.run_until(lambda: world.task(task).round == 1)
    copier = world.state.lease(task, Round(0), ShardIndex(1)).miner
    honest = world.state.lease(task, Round(0), ShardIndex(4)).miner
    assert copier != honest
    world.measure = lambda _auditor, lease: FORGED if lease.miner == copier else HONEST
    world.run_until(lambda: world.task(task).escrow == 0)
    ends = {each.shard: each for each in world.receipts}
    assert ends[1].kind is ReceiptKind.REJECTED
    assert ends[4].kind is ReceiptKind.VOID
    assert (ends[1].audited, ends[4].audited) == (True, True)
    bonds = {each.node_id: world.account(each).bond for each in world.miners}
    assert bonds[copier] < bonds[honest]


def test_flagged_leases_are_written_down() -> None:
    world = build_world()
    world.flagged = bitmap_of((0, 5))
    world.run(2)
    task = world.submit()
    world.run_until(lambda: world.task(task).round == 1)
    assert world.state.round(task, Round(0)).flagged == (0, 5)


def test_validator_is_asked_to_commit_then_to_show_then_for_nothing(world: LedgerWorld) -> None:
    seat, shown = world.validators[0], result_of(task_of(world), b"root")

    def asked() -> list[bool]:
        duties = validator_duties(world.state, seat.node_id, world.genesis)
        return [each.revealing for each in duties.results]

    assert asked() == [False]
    world.block(*commits(world, shown, 0))
    assert asked() == [], "it waits for the others"
    world.block(*commits(world, shown, 1, 2))
    assert asked() == [True]
    world.block(*shows(world, shown, 0))
    assert asked() == []


def test_validator_that_never_committed_is_asked_to_show_all_the_same(world: LedgerWorld) -> None:
    world.block(*commits(world, result_of(task_of(world), b"root"), 1, 2, 3))
    duties = validator_duties(world.state, world.validators[0].node_id, world.genesis)
    assert [each.revealing for each in duties.results] == [True]
    stranger = key_pair("stranger").node_id
    assert validator_duties(world.state, stranger, world.genesis).results == ()


def test_one_block_result_deadline_still_takes_results() -> None:
    world = build_world()
    world.run(2)
    task = world.submit(replace(RULES, rounds=replace(RULES.rounds, result_deadline=1)))
    world.run_until(lambda: world.task(task).round == 1)
    assert world.task(task).losses == (MicroNats(1_900_000),)


def settled(world: LedgerWorld, task: TaskId) -> list[int]:
    """Return what each validator was paid once a task is settled."""
    world.run_until(lambda: world.task(task).escrow == 0)
    return [world.account(each).balance for each in world.validators]


def test_those_that_found_the_result_in_time_share_a_tenth_of_the_auditors_share() -> None:
    # At a rate of one in a million nobody is audited: what validators get is for results.
    world = build_world(change=lambda genesis: without_tips(with_large_bonds(genesis)))
    late = world.validators[3]
    world.silent = lambda node, action: node == late.node_id and isinstance(action, ResultCommit)
    world.run(2)
    task = world.submit()
    balances = settled(world, task)
    assert not any(each.audited for each in world.receipts)
    share = BUDGET * 20 // 100 // 10
    assert balances == [share // 3, share // 3, share // 3, 0]


def test_pay_of_results_comes_out_of_what_auditors_would_get() -> None:
    world = build_world(change=with_audits(1_000_000))
    world.run(2)
    task = world.submit()
    settled(world, task)
    miners = sum(each.paid for each in world.receipts)
    assert miners == BUDGET * 735 // 1_000
    others = world.task(task).paid - miners - BUDGET * (15 + 50) // 1_000
    # Without tips and what is burned: miners are drawn as auditors too.
    assert others == pytest.approx(BUDGET * 20 // 100, abs=200)


def test_nobody_is_paid_for_a_result_that_had_no_quorum() -> None:
    world = build_world(change=lambda genesis: without_tips(with_large_bonds(genesis)))
    world.root_of = lambda validator, root: sha256(root + validator)
    before = world.account(world.client).balance
    world.run(2)
    balances = settled(world, world.submit())
    assert balances == [0, 0, 0, 0]
    spent = before - world.account(world.client).balance
    assert spent == BUDGET * 80 // 100, "what auditors did not earn goes back"
