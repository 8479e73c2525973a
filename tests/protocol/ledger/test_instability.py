"""Where honest replays drift apart nobody is convicted, and nobody gains by saying that they do."""

from dataclasses import replace

import pytest

from potp2p.foundation.committee import weak_quorum
from potp2p.foundation.errors import RejectionReason
from potp2p.foundation.types import Height, NodeId, PartsPerMillion, Round, TaskId
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.ledger.audit_duties import audit_duties
from potp2p.protocol.ledger.audit_records import Audit, AuditPhase, Conduct, Escalation
from potp2p.protocol.ledger.keys import LeasePlace
from potp2p.protocol.ledger.lease_story import story_of
from potp2p.protocol.ledger.records import LeaseStatus, TaskStatus
from potp2p.protocol.ledger.rounds import UNSTABLE_RULINGS_MAX
from potp2p.protocol.ledger.rulings import paid_for_work
from potp2p.protocol.ledger.settlement import is_settled
from potp2p.protocol.verification.commitments import LeaseKey
from potp2p.protocol.verification.verdict import Verdict
from potp2p.protocol.wire.tasks import TaskRules
from potp2p.protocol.wire.transactions import Challenge, RevealAudit
from potp2p.protocol.wire.verification import Distances, Instability
from tests.doubles.ledger_world import (
    FORGED,
    HONEST,
    NEAR,
    RULES,
    LedgerWorld,
    build_world,
    with_audits,
)

ONE_ROUND = replace(RULES, rounds=replace(RULES.rounds, rounds=1))
FIRST = Round(0)
STABLE = Instability(HONEST, PartsPerMillion(0))
UNSTABLE = Instability(
    Distances(PartsPerMillion(80_000), PartsPerMillion(300_000), exponents_fit=False),
    PartsPerMillion(380_000),
)


def world_of(rules: TaskRules = ONE_ROUND) -> tuple[LedgerWorld, TaskId]:
    """Return a network whose miners ask for no recourse, and a task that is audited throughout."""
    world = build_world(change=with_audits(1_000_000))
    world.run(2)
    task = world.submit(rules)
    world.silent = lambda _node, action: isinstance(action, Challenge)
    return world, task


def drawn(world: LedgerWorld, task: TaskId) -> LeasePlace:
    """Return a contribution whose auditors have just been drawn."""
    world.run_until(lambda: 0 in world.task(task).open_rounds)
    world.run_until(lambda: world.state.round(task, FIRST).drawn)
    return task, FIRST, world.state.round(task, FIRST).audits[0]


def closed(world: LedgerWorld, place: LeasePlace) -> Audit:
    world.run_until(lambda: world.state.audit(*place).phase is AuditPhase.FINAL, blocks=60)
    return world.state.audit(*place)


def is_about(place: LeasePlace, lease: LeaseKey) -> bool:
    return (lease.task, lease.round, lease.shard) == place


@pytest.fixture
def kept_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a round be settled later than it could be, so that a closed audit can be looked at."""
    monkeypatch.setattr(
        "potp2p.protocol.ledger.block.is_settled",
        lambda record, height: is_settled(record, Height(height - 60)),
    )


@pytest.mark.usefixtures("kept_rounds")
def test_an_honest_miner_of_an_unstable_lease_is_unpaid_and_keeps_its_bond() -> None:
    world, task = world_of()
    place = drawn(world, task)
    world.measure = lambda _node, lease: FORGED if is_about(place, lease) else HONEST
    world.instability = lambda _node, lease: UNSTABLE if is_about(place, lease) else None
    miner = world.state.lease(*place).miner
    bond = world.state.account(account_of(miner)).bond
    audit = closed(world, place)
    assert (audit.escalation, audit.final) == (Escalation.UNSTABLE, Verdict.VOID)
    assert audit.penalty is None
    assert audit.liars is None
    lease = world.state.lease(*place)
    assert lease.status is LeaseStatus.VOID
    assert lease.weight == 0
    assert world.state.account(account_of(miner)).bond >= bond
    assert world.task(task).unstable == 1
    told = story_of(place, RULES, world.state.round(task, FIRST), lease, audit, 4).audit
    assert told is not None
    assert all(line.excused and line.instability > 0 for line in (*told.auditors, *told.judges))


@pytest.mark.usefixtures("kept_rounds")
def test_a_cheat_in_a_stable_lease_is_convicted_by_its_drawn_auditors() -> None:
    world, task = world_of()
    place = drawn(world, task)
    world.measure = lambda _node, lease: FORGED if is_about(place, lease) else HONEST
    world.instability = lambda _node, lease: STABLE if is_about(place, lease) else None
    audit = closed(world, place)
    assert (audit.escalation, audit.final) == (None, Verdict.FAIL)
    assert audit.penalty is not None
    assert audit.penalty.taken > 0
    assert world.task(task).unstable == 0


@pytest.mark.usefixtures("kept_rounds")
def test_a_league_of_all_drawn_auditors_cannot_save_its_cheater_by_calling_it_unstable() -> None:
    world, task = world_of()
    place = drawn(world, task)
    league = {each.auditor for each in world.state.audit(*place).auditors}
    judging = {NodeId(each.node_id) for each in world.validators}

    def said(node: NodeId, lease: LeaseKey) -> Instability | None:
        if not is_about(place, lease):
            return None
        lies = node in league and world.state.audit(*place).escalation is None
        return UNSTABLE if lies else STABLE

    world.measure = lambda _node, lease: FORGED if is_about(place, lease) else HONEST
    world.instability = said
    audit = closed(world, place)
    assert (audit.escalation, audit.final) == (Escalation.UNSTABLE, Verdict.FAIL)
    assert all(each.conduct is Conduct.DISSENTED for each in audit.auditors)
    assert {each.auditor for each in audit.judges} == judging
    assert league.isdisjoint(paid_for_work(audit))
    table = world.state.auditors(world.state.chain().cycle)
    assert table is not None
    assert league <= set(table.lapsed)
    assert world.task(task).unstable == 0


@pytest.mark.usefixtures("kept_rounds")
def test_calling_honest_work_unstable_changes_nothing_where_it_is_near() -> None:
    world, task = world_of()
    place = drawn(world, task)
    world.instability = lambda _node, _lease: UNSTABLE
    audit = closed(world, place)
    assert (audit.escalation, audit.final) == (None, Verdict.PASS)
    assert world.task(task).unstable == 0


@pytest.mark.usefixtures("kept_rounds")
def test_too_few_judges_to_have_an_honest_one_among_them_count_nothing() -> None:
    world, task = world_of()
    place = drawn(world, task)
    few = {each.node_id for each in world.validators[: weak_quorum(len(world.validators)) - 1]}

    def is_said_by(node: NodeId, lease: LeaseKey) -> bool:
        judging = world.state.audit(*place).escalation is not None
        return is_about(place, lease) and (node in few or not judging)

    world.measure = lambda node, lease: FORGED if is_said_by(node, lease) else NEAR
    world.instability = lambda node, lease: UNSTABLE if is_said_by(node, lease) else STABLE
    audit = closed(world, place)
    assert (audit.escalation, audit.final) == (Escalation.UNSTABLE, Verdict.VOID)
    assert world.task(task).unstable == 0


def test_an_instability_that_was_not_committed_to_is_refused() -> None:
    world, task = world_of()
    place = drawn(world, task)
    world.measure = lambda _node, lease: FORGED if is_about(place, lease) else HONEST
    world.instability = lambda _node, lease: STABLE if is_about(place, lease) else None
    world.silent = lambda _node, action: isinstance(action, (RevealAudit, Challenge))
    world.run_until(lambda: world.state.audit(*place).phase is AuditPhase.REVEAL, blocks=60)
    node = world.state.audit(*place).auditors[0].auditor
    keys = world.keys[node]
    duty = next(
        each
        for each in audit_duties(world.state, node)
        if (each.task, each.round, each.shard) == place
    )
    honest = world.audit_statement(keys, duty)
    assert isinstance(honest, RevealAudit)
    for other in (UNSTABLE, None):
        changed = world.free(keys, replace(honest, instability=other))
        assert world.refusal(changed) is RejectionReason.BAD_PROOF
    assert world.refusal(world.free(keys, honest)) is None


def test_a_task_ends_after_three_rulings_and_its_client_gets_the_rest_back() -> None:
    world, task = world_of(replace(RULES, rounds=replace(RULES.rounds, rounds=40)))
    before = world.account(world.client).balance
    bonds = {each.node_id: world.account(each).bond for each in world.miners}
    drawn(world, task)
    world.measure = lambda _node, _lease: FORGED
    world.instability = lambda _node, _lease: UNSTABLE
    world.run_until(lambda: world.task(task).status is not TaskStatus.RUNNING, blocks=120)
    assert world.task(task).status is TaskStatus.UNSTABLE
    assert world.task(task).unstable >= UNSTABLE_RULINGS_MAX
    world.run_until(lambda: world.task(task).escrow == 0, blocks=120)
    assert world.account(world.client).balance > before
    for each in world.miners:
        assert world.account(each).bond >= bonds[each.node_id]
        assert world.miner(each).rejected == 0


def test_a_task_goes_on_after_fewer_rulings() -> None:
    world, task = world_of()
    spoiled = (0, 1)
    assert len(spoiled) < UNSTABLE_RULINGS_MAX
    drawn(world, task)
    world.measure = lambda _node, lease: FORGED if lease.shard in spoiled else HONEST
    world.instability = lambda _node, lease: UNSTABLE if lease.shard in spoiled else None
    world.run_until(lambda: world.task(task).status is not TaskStatus.RUNNING, blocks=120)
    world.run_until(lambda: world.task(task).escrow == 0, blocks=120)
    assert world.task(task).status is TaskStatus.FINISHED
    assert world.task(task).unstable == len(spoiled)
