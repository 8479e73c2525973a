"""The life of a task: who may order, attest and cancel, and where its money goes in each ending."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from potp2p.foundation.errors import RejectionReason
from potp2p.foundation.limits import TASKS_ACTIVE_MAX
from potp2p.foundation.types import POT, Amount, BlobId, MicroNats, TaskId
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.ledger.receipt_records import ReceiptKind
from potp2p.protocol.ledger.records import RoundPhase, TaskStatus
from potp2p.protocol.wire.tasks import FinishRule, TaskRules
from potp2p.protocol.wire.transactions import (
    AttestPackage,
    CancelTask,
    Contribute,
    RoundResult,
    SubmitTask,
    Transfer,
)
from tests.doubles.ledger_world import (
    BUDGET,
    RULES,
    LedgerWorld,
    build_world,
    key_pair,
    with_audits,
)

RICH = 1_000 * POT


def ready_world(**changes: object) -> LedgerWorld:
    world = build_world(**changes)
    world.run(2)
    return world


def order(world: LedgerWorld, rules: TaskRules = RULES, budget: int = BUDGET) -> bytes:
    package = BlobId(sha256(b"package"))
    return world.paid(world.client, SubmitTask(package, Amount(budget), rules))


def mute_packages(world: LedgerWorld) -> None:
    world.silent = lambda _node, action: isinstance(action, AttestPackage)


def with_rounds(**changes: int) -> TaskRules:
    return replace(RULES, rounds=replace(RULES.rounds, **changes))


def test_budget_is_escrowed_at_submission() -> None:
    world = ready_world()
    task = world.submit()
    assert world.account(world.client).balance == RICH - BUDGET
    assert world.task(task).escrow == BUDGET


@pytest.mark.parametrize(
    ("rules", "budget", "reason"),
    [
        (RULES, RICH + 1, RejectionReason.INSUFFICIENT_FUNDS),
        (RULES, 17, RejectionReason.BAD_TASK),
        (with_rounds(deadline=90), BUDGET, RejectionReason.BAD_TASK),
        (with_rounds(attest_window=3), BUDGET, RejectionReason.BAD_TASK),
        (with_rounds(shards_per_round=5), BUDGET, RejectionReason.BAD_TASK),
        (
            replace(RULES, model=replace(RULES.model, parameters=300_000_000)),
            BUDGET,
            RejectionReason.BAD_TASK,
        ),
        (
            replace(RULES, model=replace(RULES.model, parameters=50_000_000)),
            BUDGET,
            RejectionReason.BAD_TASK,
        ),
    ],
    ids=["overspend", "a unit per lease", "deadlines", "window", "gradient", "model", "cap"],
)
def test_order_that_cannot_be_kept_is_refused(
    rules: TaskRules, budget: int, reason: RejectionReason
) -> None:
    world = ready_world(change=with_audits(120_000, audit_deadline=12))
    assert world.refusal(order(world, rules, budget)) is reason


def test_no_more_tasks_than_the_chain_record_holds() -> None:
    world = ready_world(miners=0)
    mute_packages(world)
    place = world.account(world.client).nonce
    package = BlobId(sha256(b"package"))
    orders = [
        world.paid(world.client, SubmitTask(package, Amount(POT), RULES), nonce=place + number)
        for number in range(TASKS_ACTIVE_MAX + 1)
    ]
    world.block(*orders[:-1])
    assert world.refusal(orders[-1]) is RejectionReason.RATE
    world.run(world.genesis.training.package_deadline)
    assert world.refusal(orders[-1]) is None, "expired tasks make room"


def test_package_nobody_attests_expires_and_is_refunded() -> None:
    world = ready_world()
    mute_packages(world)
    task = world.submit()
    world.run(world.genesis.training.package_deadline - 1)
    assert world.task(task).status is TaskStatus.ATTESTING
    world.run(1)
    assert world.task(task).status is TaskStatus.EXPIRED
    assert world.account(world.client).balance == RICH
    assert world.state.chain().tasks == world.state.chain().unsettled == ()
    late = world.free(world.validators[0], AttestPackage(task, True))
    assert world.refusal(late) is RejectionReason.TOO_LATE


@pytest.mark.parametrize(
    ("says", "status"),
    [
        ((True,), TaskStatus.ATTESTING),
        ((True, True), TaskStatus.RUNNING),
        ((False,), TaskStatus.ATTESTING),
        ((False, True), TaskStatus.ATTESTING),
        ((False, False), TaskStatus.REFUSED),
        ((True, False, True), TaskStatus.RUNNING),
    ],
)
def test_f_plus_one_decide_about_a_package(says: tuple[bool, ...], status: TaskStatus) -> None:
    world = ready_world(miners=0)
    task = world.submit()
    words = zip(world.validators, says, strict=False)
    world.block(*(world.free(keys, AttestPackage(task, fits)) for keys, fits in words))
    assert world.task(task).status is status
    refunded = status is TaskStatus.REFUSED
    assert world.account(world.client).balance == (RICH if refunded else RICH - BUDGET)


def test_package_is_attested_by_seats_and_once() -> None:
    world = ready_world()
    task = world.submit()
    seat, word = world.validators[0], AttestPackage(task, True)
    assert world.refusal(world.free(world.client, word)) is RejectionReason.WRONG_SENDER
    world.block(world.free(seat, word))
    again = world.free(seat, AttestPackage(task, False))
    assert world.refusal(again) is RejectionReason.DUPLICATE
    nowhere = world.free(seat, AttestPackage(TaskId(sha256(b"none")), True))
    assert world.refusal(nowhere) is RejectionReason.NOT_FOUND


def in_attesting(_: LedgerWorld, __: TaskId) -> bool:
    return True


def in_phase(phase: RoundPhase) -> Callable[[LedgerWorld, TaskId], bool]:
    def reached(world: LedgerWorld, task: TaskId) -> bool:
        found = world.task(task)
        return (
            found.round in found.open_rounds and world.state.round(task, found.round).phase is phase
        )

    return reached


def between_rounds(world: LedgerWorld, task: TaskId) -> bool:
    found = world.task(task)
    return found.status is TaskStatus.RUNNING and found.round not in found.open_rounds


@pytest.mark.parametrize(
    ("reached", "mute", "rounds_paid"),
    [
        (in_attesting, AttestPackage, 0),
        (in_phase(RoundPhase.CLAIMS), Contribute, 0),
        (in_phase(RoundPhase.CLAIMS), None, 1),
        (in_phase(RoundPhase.ATTESTING), None, 1),
        (in_phase(RoundPhase.RESULT), None, 1),
    ],
    ids=["attesting", "nobody claims", "claims", "attest window", "result"],
)
def test_cancelled_task_finishes_its_round_and_refunds_the_rest(
    reached: Callable[[LedgerWorld, TaskId], bool], mute: type | None, rounds_paid: int
) -> None:
    world = ready_world()
    world.silent = lambda _node, action: mute is not None and isinstance(action, mute)
    task = world.submit()
    world.run_until(lambda: reached(world, task))
    cancel = CancelTask(task)
    assert world.refusal(world.paid(world.validators[0], cancel)) is RejectionReason.WRONG_SENDER
    world.block(world.paid(world.client, cancel))
    if world.task(task).status in (TaskStatus.ATTESTING, TaskStatus.RUNNING):
        again = world.paid(world.client, cancel)
        assert world.refusal(again) is RejectionReason.DUPLICATE
    world.run_until(lambda: world.task(task).escrow == 0)

    assert world.task(task).status is TaskStatus.CANCELLED
    assert world.refusal(world.paid(world.client, cancel)) is RejectionReason.TOO_LATE
    spent = RICH - world.account(world.client).balance
    paid = [each for each in world.receipts if each.kind is ReceiptKind.PAID]
    assert len(paid) == 6 * rounds_paid
    assert spent == world.task(task).paid
    assert BUDGET * 80 // 100 * rounds_paid // 3 <= spent <= BUDGET * rounds_paid // 3


def test_task_cancelled_while_it_waits_for_miners_ends_at_once() -> None:
    world = ready_world(miners=0)
    task = world.submit()
    world.run(3)
    assert between_rounds(world, task)
    world.block(world.paid(world.client, CancelTask(task)))
    assert world.task(task).status is TaskStatus.CANCELLED
    assert world.account(world.client).balance == RICH


def test_target_loss_ends_a_task_after_its_minimum_of_passes() -> None:
    finish = FinishRule(min_passes=2, target_loss=MicroNats(1_900_000), patience=0)
    world = ready_world()
    task = world.submit(replace(RULES, finish=finish))
    world.run_until(lambda: world.task(task).status is TaskStatus.FINISHED)
    assert world.task(task).round == 2, "met in round 0, but every shard needs two passes"


def test_patience_ends_a_task_whose_loss_stays() -> None:
    world = ready_world()
    told = world._validate

    def flat(state: object, keys: object) -> object:
        for action in told(state, keys):
            is_result = isinstance(action, RoundResult)
            yield replace(action, evaluation_loss=MicroNats(1_000)) if is_result else action

    world._validate = flat
    rules = replace(with_rounds(rounds=9), finish=FinishRule(0, MicroNats(0), 2))
    task = world.submit(rules)
    world.run_until(lambda: world.task(task).status is TaskStatus.FINISHED)
    assert world.task(task).round == 3
    assert world.task(task).best_loss == 1_000


def test_three_rounds_in_a_row_without_a_quorum_end_the_task_but_pay_its_miners() -> None:
    world = ready_world()
    world.root_of = lambda validator, root: sha256(root + validator)
    task = world.submit(with_rounds(rounds=9))
    world.run_until(lambda: world.task(task).escrow == 0)
    found = world.task(task)
    assert found.status is TaskStatus.FAILED
    assert found.round == 3
    assert found.losses == ()
    assert found.theta == bytes(32), "theta stays"
    assert [each.kind for each in world.receipts] == [ReceiptKind.PAID] * 18
    cycles = range(world.state.chain().cycle + 1)
    assert all(world.state.result_weights(each).weights == () for each in cycles)


def test_round_whose_leases_all_missed_costs_nothing_and_miners_must_say_ready() -> None:
    world = ready_world()
    world.silent = lambda _node, action: isinstance(action, Contribute)
    task = world.submit()
    world.run_until(lambda: world.task(task).round == 1)
    assert world.task(task).paid == 0
    assert not any(world.miner(each).live for each in world.miners)
    world.silent = lambda _node, _action: False
    world.run_until(lambda: world.task(task).escrow == 0)
    assert world.task(task).status is TaskStatus.FINISHED
    kinds = [each.kind for each in world.receipts]
    assert kinds.count(ReceiptKind.MISSED) == 6
    assert kinds.count(ReceiptKind.PAID) == 12
    assert RICH - world.account(world.client).balance <= BUDGET * 2 // 3


def test_f_liars_about_the_result_change_nothing_and_the_loss_is_a_lower_median() -> None:
    world = ready_world()
    liar = world.validators[2].node_id
    world.root_of = lambda validator, root: sha256(root) if validator == liar else root
    task = world.submit()
    world.run_until(lambda: world.task(task).status is TaskStatus.FINISHED)
    assert len(world.task(task).losses) == 3


def test_client_may_be_a_miner_of_its_own_task() -> None:
    world = ready_world(change=with_audits(1_000_000))
    rig, rich = world.miners[0], key_pair("client")
    world.keys[rich.node_id] = rich
    world.block(world.paid(rich, Transfer(account_of(rig.node_id), BUDGET)))
    world.client = rig
    task = world.submit()
    world.run_until(lambda: world.task(task).escrow == 0)
    assert world.task(task).status is TaskStatus.FINISHED
    assert {each.kind for each in world.receipts} == {ReceiptKind.PAID}


def test_rounds_wait_while_too_many_of_them_are_under_audit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("potp2p.protocol.ledger.leasing.ROUNDS_OPEN_MAX", 2)
    world = ready_world(change=with_audits(1_000_000, audit_deadline=12))
    away = world.validators[0].node_id
    world.silent = lambda node, action: node == away and type(action).__name__ == "AuditCommit"
    task = world.submit()
    most = 0
    while world.task(task).escrow:
        world.run(1)
        most = max(most, len(world.task(task).open_rounds))
    assert most == 2
    assert world.task(task).status is TaskStatus.FINISHED
