"""Every path through an audit: who acts, who does not, and what becomes of bond and pay."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from potp2p.foundation.errors import RejectionReason
from potp2p.foundation.types import POT, Amount, Cycle, Height, NodeId, Round, TaskId
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.crypto.identity import KeyPair, account_of
from potp2p.protocol.ledger.audit_duties import audit_duties
from potp2p.protocol.ledger.audit_reach import audit_reach
from potp2p.protocol.ledger.audit_records import (
    Audit,
    AuditPhase,
    AuditReason,
    Conduct,
    Escalation,
)
from potp2p.protocol.ledger.auditors import AuditorPool, open_pool
from potp2p.protocol.ledger.context import BlockContext
from potp2p.protocol.ledger.keys import LeasePlace
from potp2p.protocol.ledger.receipt_records import ReceiptKind
from potp2p.protocol.ledger.records import LeaseStatus
from potp2p.protocol.ledger.settlement import is_settled
from potp2p.protocol.ledger.state import State
from potp2p.protocol.verification.verdict import Verdict
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.tasks import TaskRules
from potp2p.protocol.wire.transactions import (
    AuditCommit,
    Bond,
    Challenge,
    Free,
    RevealAudit,
    RevealTrace,
    Unbond,
)
from tests.doubles.ledger_world import (
    FORGED,
    HONEST,
    NEAR,
    RULES,
    LedgerWorld,
    build_world,
    with_audits,
    with_modest_bonds,
)

ONE_ROUND = replace(RULES, rounds=replace(RULES.rounds, rounds=1))
EVERY = 1_000_000
RARELY = 1
SEAT_BOND = 1_000 * POT
RIG_BOND = 20 * POT
AUDIT_PRICE = 3 * POT // 10
"""A fifth of the 3 POT of a lease, for two auditors each time."""
AUDIT_KINDS = (AuditCommit, RevealAudit)
AUDIT_ACTIONS = (*AUDIT_KINDS, RevealTrace)

Silence = Callable[[NodeId, Free], bool]


@pytest.fixture(autouse=True)
def rounds_stay_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a round be settled later than it could be, so that a closed audit can be looked at."""
    monkeypatch.setattr(
        "potp2p.protocol.ledger.block.is_settled",
        lambda record, height: is_settled(record, Height(height - 60)),
    )


def place_of(action: AuditCommit | RevealAudit | RevealTrace | Challenge) -> LeasePlace:
    return action.task, action.round, action.shard


def drawn_world(rate: int = EVERY, **changes: object) -> tuple[LedgerWorld, TaskId]:
    """Return a network whose one round has just had its audits drawn; nobody has committed."""
    world = build_world(change=with_audits(rate, **changes))
    world.run(2)
    task = world.submit(ONE_ROUND)
    world.silent = lambda _node, action: isinstance(action, (*AUDIT_ACTIONS, Challenge))
    world.run_until(lambda: 0 in world.task(task).open_rounds)
    world.run_until(lambda: world.state.round(task, Round(0)).drawn)
    return world, task


def one_audit(world: LedgerWorld, task: TaskId) -> LeasePlace:
    return task, Round(0), world.state.round(task, Round(0)).audits[0]


def audit_of(world: LedgerWorld, place: LeasePlace) -> Audit:
    return world.state.audit(*place)


def rig_of(world: LedgerWorld, place: LeasePlace) -> KeyPair:
    return world.keys[world.state.lease(*place).miner]


def until_phase(world: LedgerWorld, place: LeasePlace, phase: AuditPhase) -> Audit:
    world.run_until(lambda: audit_of(world, place).phase is phase, blocks=60)
    return audit_of(world, place)


def until_closed(world: LedgerWorld, place: LeasePlace) -> Audit:
    return until_phase(world, place, AuditPhase.FINAL)


def without(place: LeasePlace, *who: NodeId, kinds: tuple[type, ...]) -> Silence:
    """Return a silence of some nodes about one contribution."""
    return lambda node, action: (
        isinstance(action, kinds) and node in who and place_of(action) == place
    )


def no_recourse(_node: NodeId, action: Free) -> bool:
    return isinstance(action, Challenge)


# Drawn auditors


def test_absent_auditor_is_replaced_once_by_another_and_only_the_replacement_is_paid() -> None:
    world, task = drawn_world()
    place = one_audit(world, task)
    away, there = (each.auditor for each in audit_of(world, place).auditors)
    world.silent = without(place, away, kinds=(AuditCommit,))
    world.run_until(lambda: audit_of(world, place).replaced)
    audit = audit_of(world, place)
    fresh = audit.auditors[2].auditor
    assert len(audit.auditors) == 3
    assert fresh not in (away, there)
    assert audit.auditors[0].conduct is Conduct.ABSENT
    assert audit.phase is AuditPhase.COMMIT

    audit = until_closed(world, place)
    assert (audit.final, audit.escalation) == (Verdict.PASS, None)
    assert [each.report is not None for each in audit.auditors] == [False, True, True]


def test_who_can_replace_absent_auditors_is_looked_up_once_for_a_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked_up: list[int] = []
    world, task = drawn_world()

    def counted(state: State, context: BlockContext, rules: TaskRules, cycle: Cycle) -> AuditorPool:
        looked_up.append(context.height)
        return open_pool(state, context, rules, cycle)

    monkeypatch.setattr("potp2p.protocol.ledger.audit_phases.open_pool", counted)
    place = one_audit(world, task)
    world.run_until(lambda: audit_of(world, place).replaced)
    # Twice in a block: as its author puts it together and as everyone executes it.
    assert looked_up == [world.height] * 2


def test_nobody_replaces_itself_or_another_that_was_drawn() -> None:
    world, task = drawn_world()
    places = [(task, Round(0), shard) for shard in world.state.round(task, Round(0)).audits]
    away = {place: audit_of(world, place).auditors[0].auditor for place in places}
    world.silent = lambda node, action: (
        isinstance(action, AuditCommit) and away[place_of(action)] == node
    )
    world.run_until(lambda: all(audit_of(world, place).replaced for place in places))
    for place in places:
        nodes = [each.auditor for each in audit_of(world, place).auditors]
        assert len(set(nodes)) == 3
        assert world.state.lease(*place).miner not in nodes


def test_auditor_that_was_replaced_may_not_commit_any_more() -> None:
    world, task = drawn_world()
    place = one_audit(world, task)
    away = audit_of(world, place).auditors[0].auditor
    duty = next(
        each
        for each in audit_duties(world.state, away)
        if (each.task, each.round, each.shard) == place
    )
    late = world.free(world.keys[away], world.audit_statement(world.keys[away], duty))
    world.silent = without(place, away, kinds=(AuditCommit,))
    world.run_until(lambda: audit_of(world, place).replaced)
    assert world.refusal(late) is RejectionReason.TOO_LATE


def test_second_absence_calls_all_judges() -> None:
    world, task = drawn_world()
    place = one_audit(world, task)
    first = audit_of(world, place).auditors[0].auditor
    world.silent = without(place, first, kinds=(AuditCommit,))
    world.run_until(lambda: audit_of(world, place).replaced)
    second = audit_of(world, place).auditors[2].auditor
    world.silent = lambda node, action: (
        isinstance(action, AuditCommit)
        and node in (first, second)
        and place_of(action) == place
        and audit_of(world, place).phase is AuditPhase.COMMIT
    )
    audit = until_phase(world, place, AuditPhase.COMMIT_ALL)
    assert audit.escalation is Escalation.ABSENT
    assert [each.auditor for each in audit.judges] == [each.node_id for each in world.validators]
    audit = until_closed(world, place)
    assert (audit.final, audit.provisional) == (Verdict.PASS, None)


def test_commitment_that_is_never_opened_calls_all_judges_and_replaces_nobody() -> None:
    world, task = drawn_world()
    place = one_audit(world, task)
    shy = audit_of(world, place).auditors[1].auditor
    world.silent = lambda node, action: (
        isinstance(action, RevealAudit)
        and node == shy
        and place_of(action) == place
        and audit_of(world, place).phase is AuditPhase.REVEAL
    )
    audit = until_phase(world, place, AuditPhase.COMMIT_ALL)
    assert audit.escalation is Escalation.UNOPENED
    assert not audit.replaced
    assert audit.auditors[1].conduct is Conduct.SILENT
    assert until_closed(world, place).final is Verdict.PASS


def test_judges_without_a_quorum_leave_no_verdict_and_cost_nobody_a_bond() -> None:
    world, task = drawn_world()
    place = one_audit(world, task)
    called = [each.auditor for each in audit_of(world, place).auditors]
    liars = {each.node_id for each in world.validators[:2]}
    world.measure = lambda auditor, _lease: FORGED if auditor in liars else HONEST
    world.silent = without(place, *called, kinds=(AuditCommit,))
    world.run_until(lambda: audit_of(world, place).replaced)
    everyone = [each.auditor for each in audit_of(world, place).auditors]
    world.silent = lambda node, action: (
        isinstance(action, AuditCommit)
        and node in everyone
        and place_of(action) == place
        and audit_of(world, place).phase is AuditPhase.COMMIT
    )
    audit = until_closed(world, place)
    assert audit.final is Verdict.VOID
    assert world.state.lease(*place).status is LeaseStatus.VOID
    assert all(each.conduct is not Conduct.LIED for each in (*audit.auditors, *audit.judges))


def test_judges_that_all_stay_away_end_it_void() -> None:
    world, task = drawn_world()
    places = [(task, Round(0), shard) for shard in world.state.round(task, Round(0)).audits]
    world.silent = lambda _node, action: isinstance(action, AuditCommit)
    world.run_until(lambda: world.task(task).escrow == 0)
    assert len(places) == 6
    assert {each.kind for each in world.receipts} == {ReceiptKind.VOID}
    assert all(world.account(each).bond == RIG_BOND for each in world.miners)
    assert all(world.account(each).bond == SEAT_BOND for each in world.validators)


# Recourse of the accused


def test_censored_miner_challenges_and_opens_its_trace_before_all_judges() -> None:
    world, task = drawn_world()
    place = one_audit(world, task)
    rig = rig_of(world, place)
    world.silent = lambda node, action: (
        isinstance(action, RevealTrace)
        and place_of(action) == place
        and audit_of(world, place).phase is AuditPhase.REVEAL
    )
    audit = until_phase(world, place, AuditPhase.WINDOW)
    assert (audit.provisional, audit.trace) == (Verdict.FAIL, None)
    assert world.miner(rig).suspended == 1
    assert world.account(rig).bond == RIG_BOND, "slashed before the ruling is final"
    assert world.miner(rig).banned_until == 0

    audit = until_closed(world, place)
    assert audit.challenge is not None
    assert (audit.challenge.challenger, audit.challenge.lost) == (rig.node_id, False)
    assert audit.final is Verdict.PASS
    record = world.account(rig)
    assert (record.bond, record.locked) == (RIG_BOND, 0)
    assert world.miner(rig).suspended == 0
    world.run_until(lambda: world.task(task).escrow == 0)
    assert {each.kind for each in world.receipts} == {ReceiptKind.PAID}


def test_miner_that_never_opens_is_convicted_and_nobody_earns_by_its_silence() -> None:
    world, task = drawn_world()
    place = one_audit(world, task)
    rig = rig_of(world, place)
    world.silent = lambda node, action: (
        node == rig.node_id and isinstance(action, RevealTrace | Challenge)
    )
    before = {each.node_id: world.account(each).balance for each in world.validators}
    audit = until_closed(world, place)
    assert (audit.final, audit.trace) == (Verdict.FAIL, None)
    assert world.account(rig).bond == 0
    assert {each.node_id: world.account(each).balance for each in world.validators} == before


def test_lying_auditors_that_agree_are_overruled_when_the_accused_challenges() -> None:
    world, task = drawn_world()
    place = one_audit(world, task)
    rig = rig_of(world, place)
    liars = {each.auditor for each in audit_of(world, place).auditors}
    world.measure = lambda auditor, lease: (
        FORGED
        if auditor in liars
        and lease.shard == place[2]
        and audit_of(world, place).escalation is None
        else HONEST
    )
    world.silent = lambda _node, _action: False
    audit = until_closed(world, place)
    assert (audit.provisional, audit.final) == (Verdict.FAIL, Verdict.PASS)
    assert {each.auditor for each in audit.auditors if each.conduct is Conduct.LIED} == liars
    slash = world.genesis.money.auditor_slash
    for each in world.validators:
        assert world.account(each).bond == SEAT_BOND - (slash if each.node_id in liars else 0)
    assert world.account(rig).bond == RIG_BOND
    # Twice 20 POT were slashed: half is burned, the challenger gets a prover's reward.
    assert world.account(rig).balance == 3 * POT * 20 // 100 // 2


def test_accused_cheat_that_challenges_loses_its_stake_to_the_judges_first() -> None:
    world, task = drawn_world()
    place = one_audit(world, task)
    rig = rig_of(world, place)
    world.measure = lambda _auditor, lease: FORGED if lease.shard == place[2] else HONEST
    world.silent = lambda _node, _action: False
    burned = world.state.chain().burned
    audit = until_closed(world, place)
    assert audit.challenge is not None
    assert audit.challenge.lost
    assert audit.final is Verdict.FAIL
    assert (world.account(rig).bond, world.account(rig).locked) == (0, 0)
    stake = audit.challenge.stake
    assert stake == 4 * POT * 3 // 10
    # Four judges share the stake; half of the other 18.8 POT is burned.
    assert world.state.chain().burned - burned == (RIG_BOND - stake) // 2


def test_suspended_miner_gets_no_lease_until_it_is_cleared() -> None:
    world = build_world(change=with_audits(EVERY))
    world.run(2)
    task = world.submit(replace(RULES, rounds=replace(RULES.rounds, rounds=12)))
    rig = world.miners[0]
    censored: list[LeasePlace] = []

    def silent(node: NodeId, action: Free) -> bool:
        if not isinstance(action, RevealTrace) or node != rig.node_id:
            return False
        place = place_of(action)
        if not censored:
            censored.append(place)
        return place == censored[0] and audit_of(world, place).phase is AuditPhase.REVEAL

    world.silent = silent
    world.run_until(lambda: world.miner(rig).suspended > 0)
    present = world.task(task).round
    seen: set[Round] = set()
    while world.miner(rig).suspended:
        for round_ in world.task(task).open_rounds:
            if round_ > present:
                seen.add(round_)
                miners = {row.miner for row in world.state.round(task, round_).leases}
                assert rig.node_id not in miners
        world.run(1)
    assert seen
    world.run_until(
        lambda: any(
            row.miner == rig.node_id
            for round_ in world.task(task).open_rounds
            if round_ > max(seen)
            for row in world.state.round(task, round_).leases
        )
    )


# Challenges by others


def rarely_drawn(**changes: object) -> tuple[LedgerWorld, TaskId, LeasePlace]:
    """Return a network in which a contribution was not drawn, and its place."""
    rich = {"sponsor_bond": Amount(400 * POT), "miner_bond": Amount(RIG_BOND)}
    world = build_world(
        change=lambda genesis: with_audits(RARELY, **changes)(
            replace(genesis, money=replace(genesis.money, **rich))
        )
    )
    world.run(2)
    task = world.submit(ONE_ROUND)
    world.silent = lambda _node, action: isinstance(action, Challenge)
    world.run_until(lambda: 0 in world.task(task).open_rounds)
    world.run_until(lambda: world.state.round(task, Round(0)).drawn)
    record = world.state.round(task, Round(0))
    shard = next(row.shard for row in record.leases if row.shard not in record.audits)
    return world, task, (task, Round(0), shard)


def test_cheat_that_was_not_drawn_is_convicted_by_a_challenge_that_is_rewarded() -> None:
    world, _, place = rarely_drawn()
    rig, hunter = rig_of(world, place), world.validators[3]
    world.measure = lambda _auditor, lease: FORGED if lease.shard == place[2] else HONEST
    bond = world.account(hunter).bond
    world.block(world.free(hunter, Challenge(*place, expects_fail=True)))
    audit = audit_of(world, place)
    assert (audit.reason, audit.escalation) == (AuditReason.CHALLENGED, Escalation.CHALLENGE)
    assert world.account(hunter).locked == audit.challenge.stake > 0
    balance = world.account(hunter).balance
    audit = until_closed(world, place)
    assert audit.final is Verdict.FAIL
    assert not audit.challenge.lost
    assert (world.account(hunter).bond, world.account(hunter).locked) == (bond, 0)
    assert world.account(hunter).balance > balance
    assert world.account(rig).bond == 0
    assert world.miner(rig).banned_until > world.height


def test_false_challenge_pays_the_judges_and_clears_the_accused() -> None:
    world, task, place = rarely_drawn()
    rig, spammer = rig_of(world, place), world.validators[3]
    bonds = world.account(rig).bond, world.account(spammer).bond
    world.block(world.free(spammer, Challenge(*place, expects_fail=True)))
    stake = audit_of(world, place).challenge.stake
    before = [world.account(each).balance for each in world.validators]
    audit = until_closed(world, place)
    assert (audit.final, audit.challenge.lost) == (Verdict.PASS, True)
    assert (world.account(rig).bond, world.account(spammer).bond) == (bonds[0], bonds[1] - stake)
    gained = [
        world.account(each).balance - old
        for each, old in zip(world.validators, before, strict=True)
    ]
    assert gained == [stake // 4] * 4
    world.run_until(lambda: world.task(task).escrow == 0)
    paid = {each.shard: each.kind for each in world.receipts}
    assert paid[place[2]] is ReceiptKind.PAID


def test_accuser_whom_too_few_judges_answer_loses_its_stake_to_those_that_did() -> None:
    world, _, place = rarely_drawn()
    hunter = world.validators[3]
    world.block(world.free(hunter, Challenge(*place, expects_fail=True)))
    stake = audit_of(world, place).challenge.stake
    first, *late = (each.node_id for each in world.validators)
    before = [world.account(each).balance for each in world.validators]
    burned = world.state.chain().burned
    world.silent = lambda node, action: (
        isinstance(action, Challenge) or (isinstance(action, AuditCommit) and node in late)
    )
    audit = until_closed(world, place)
    assert (audit.final, audit.challenge.lost) == (Verdict.VOID, True)
    assert (world.account(hunter).bond, world.account(hunter).locked) == (SEAT_BOND - stake, 0)
    gained = [
        world.account(each).balance - old
        for each, old in zip(world.validators, before, strict=True)
    ]
    assert audit.judges[0].auditor == first
    assert gained == [stake // 4, 0, 0, 0]
    assert world.state.chain().burned - burned == stake - stake // 4


def test_accused_whom_no_judge_answers_has_its_stake_back() -> None:
    world, task = drawn_world()
    place = one_audit(world, task)
    rig = rig_of(world, place)
    world.silent = lambda node, action: node == rig.node_id and isinstance(action, RevealTrace)
    until_phase(world, place, AuditPhase.COMMIT_ALL)
    world.silent = lambda _node, action: isinstance(action, AuditCommit)
    audit = until_closed(world, place)
    assert (audit.final, audit.challenge.lost) == (Verdict.VOID, False)
    assert (world.account(rig).bond, world.account(rig).locked) == (RIG_BOND, 0)


def test_client_that_disputes_more_than_judges_can_replay_gains_nothing() -> None:
    def wealth(*, disputes: bool) -> int:
        world, task, _ = rarely_drawn()
        world.block(world.paid(world.client, Bond(world.client.account, Amount(100 * POT))))
        said = [
            world.free(world.client, Challenge(task, Round(0), row.shard, expects_fail=True))
            for row in world.state.round(task, Round(0)).leases
        ]
        world.silent = lambda _node, action: isinstance(action, AuditCommit | Challenge)
        world.block(*(said if disputes else []), strict=False)
        world.run_until(lambda: world.task(task).escrow == 0)
        voided = sum(each.kind is ReceiptKind.VOID for each in world.receipts)
        assert (voided == 6) is disputes
        record = world.account(world.client)
        return record.balance + record.bond

    assert wealth(disputes=True) < wealth(disputes=False)


def test_auditors_that_covered_for_a_cheat_are_slashed_once_somebody_challenges() -> None:
    world, task = drawn_world()
    place = one_audit(world, task)
    rig = rig_of(world, place)
    league = {each.auditor for each in audit_of(world, place).auditors}
    hunter = next(each for each in world.validators if each.node_id not in league)

    def measure(auditor: NodeId, lease: object) -> object:
        covered = auditor in league and audit_of(world, place).escalation is None
        return FORGED if lease.shard == place[2] and not covered else HONEST

    world.measure = measure
    world.silent = no_recourse
    until_phase(world, place, AuditPhase.WINDOW)
    assert audit_of(world, place).provisional is Verdict.PASS
    assert world.miner(rig).suspended == 0
    world.block(world.free(hunter, Challenge(*place, expects_fail=True)))
    audit = until_closed(world, place)
    assert audit.final is Verdict.FAIL
    assert {each.auditor for each in audit.auditors if each.conduct is Conduct.LIED} == league
    slash = world.genesis.money.auditor_slash
    for each in world.validators:
        assert world.account(each).bond == SEAT_BOND - (slash if each.node_id in league else 0)
    assert world.account(rig).bond == 0


def test_who_may_challenge_what_and_when() -> None:
    world, task, place = rarely_drawn()
    hunter, rig = world.validators[3], rig_of(world, place)
    claim = Challenge(*place, expects_fail=True)
    praise = Challenge(*place, expects_fail=False)
    assert world.refusal(world.free(hunter, praise)) is RejectionReason.OUT_OF_BOUNDS
    poor = world.free(world.client, claim)
    assert world.refusal(poor) is RejectionReason.INSUFFICIENT_FUNDS
    nowhere = Challenge(task, Round(0), 77, expects_fail=True)
    assert world.refusal(world.free(hunter, nowhere)) is RejectionReason.NOT_FOUND

    last = world.state.round(task, Round(0)).challenge_until
    world.run(last - world.height - 1)
    assert world.refusal(world.free(hunter, claim)) is None, "the last block of the window"
    world.run(1)
    assert world.refusal(world.free(hunter, claim)) is RejectionReason.TOO_LATE
    assert world.account(rig).locked == 0


def test_nothing_is_challenged_twice_or_escalated_twice() -> None:
    world, task = drawn_world()
    place = one_audit(world, task)
    hunter = world.validators[3]
    claim = world.free(hunter, Challenge(*place, expects_fail=True))
    assert world.refusal(claim) is RejectionReason.TOO_EARLY
    world.silent = no_recourse
    until_phase(world, place, AuditPhase.WINDOW)
    world.block(claim)
    again = world.free(world.validators[2], Challenge(*place, expects_fail=True))
    assert world.refusal(again) is RejectionReason.TOO_LATE
    until_closed(world, place)
    assert world.refusal(again) is RejectionReason.TOO_LATE


def test_staked_bond_is_neither_free_to_leave_nor_to_stake_again() -> None:
    world, task = drawn_world()
    places = [(task, Round(0), shard) for shard in world.state.round(task, Round(0)).audits]
    client = world.client
    stake = 4 * POT * 3 // 10
    world.silent = no_recourse
    world.block(world.paid(client, Bond(account_of(client.node_id), Amount(stake + 5))))
    world.run_until(
        lambda: all(audit_of(world, each).phase is AuditPhase.WINDOW for each in places)
    )
    world.block(world.free(client, Challenge(*places[0], expects_fail=True)))
    assert world.account(client).locked == stake
    second = world.free(client, Challenge(*places[1], expects_fail=True))
    assert world.refusal(second) is RejectionReason.INSUFFICIENT_FUNDS
    out = world.paid(client, Unbond(Amount(6)))
    assert world.refusal(out) is RejectionReason.INSUFFICIENT_FUNDS
    assert world.refusal(world.paid(client, Unbond(Amount(5)))) is None


@pytest.mark.parametrize(
    ("bond", "reason"),
    [
        (0, RejectionReason.INSUFFICIENT_FUNDS),
        (1, RejectionReason.INSUFFICIENT_FUNDS),
        (AUDIT_PRICE - 1, RejectionReason.INSUFFICIENT_FUNDS),
        (AUDIT_PRICE, None),
        (RIG_BOND, None),
    ],
)
def test_accused_newcomer_stakes_the_price_of_an_audit_at_least(
    bond: int, reason: RejectionReason | None
) -> None:
    world, task = drawn_world()
    place = one_audit(world, task)
    rig = rig_of(world, place)
    world.silent = lambda node, action: (
        node == rig.node_id and isinstance(action, RevealTrace | Challenge)
    )
    audit = until_phase(world, place, AuditPhase.WINDOW)
    assert audit.provisional is Verdict.FAIL
    state = world.state
    state.put_account(rig.account, replace(world.account(rig), bond=Amount(bond)))
    world.rewrite(state)
    assert world.refusal(world.free(rig, Challenge(*place, expects_fail=False))) is reason


def test_void_may_be_disputed_from_either_side() -> None:
    world, task = drawn_world()
    place = one_audit(world, task)
    world.measure = lambda _auditor, _lease: (
        NEAR if audit_of(world, place).escalation is None else HONEST
    )
    world.silent = no_recourse
    until_phase(world, place, AuditPhase.WINDOW)
    assert audit_of(world, place).provisional is Verdict.VOID
    hunter, rig = world.validators[3], rig_of(world, place)
    for expects_fail in (True, False):
        claim = world.free(hunter, Challenge(*place, expects_fail=expects_fail))
        assert world.refusal(claim) is None
    world.block(world.free(rig, Challenge(*place, expects_fail=False)))
    audit = until_closed(world, place)
    assert (audit.final, audit.challenge.lost) == (Verdict.PASS, False)
    assert all(each.conduct is Conduct.DISSENTED for each in audit.auditors), "void is no lie"


def test_copied_finding_of_a_judge_is_no_commitment() -> None:
    world, task = drawn_world()
    place = one_audit(world, task)
    world.silent = no_recourse
    until_phase(world, place, AuditPhase.WINDOW)
    hunter = world.validators[3]
    world.block(world.free(hunter, Challenge(*place, expects_fail=True)))
    stranger = world.miners[0]
    commit = AuditCommit(*place, sha256(b"anything"))
    assert world.refusal(world.free(stranger, commit)) is RejectionReason.WRONG_SENDER
    assert world.refusal(world.free(hunter, commit)) is None


@pytest.mark.parametrize("kind", [AuditCommit, RevealAudit])
def test_absent_judge_is_not_paid_and_the_others_decide(kind: type) -> None:
    world, _, place = rarely_drawn()
    away = world.validators[0]
    world.block(world.free(world.validators[3], Challenge(*place, expects_fail=True)))
    world.silent = lambda node, action: (
        isinstance(action, Challenge) or (isinstance(action, kind) and node == away.node_id)
    )
    before = world.account(away).balance
    audit = until_closed(world, place)
    assert audit.final is Verdict.PASS
    conduct = Conduct.ABSENT if kind is AuditCommit else Conduct.SILENT
    assert audit.judges[0].conduct is conduct
    assert world.account(away).balance == before


def test_replays_get_no_less_time_than_the_rounds_of_their_task() -> None:
    rounds = replace(ONE_ROUND.rounds, deadline=9)
    longer = {"audit_rounds": 2, "audit_all_rounds": 4}
    world = build_world(
        change=lambda genesis: with_audits(EVERY, **longer)(
            replace(genesis, money=replace(genesis.money, unbonding_blocks=400))
        )
    )
    world.run(2)
    task = world.submit(replace(ONE_ROUND, rounds=rounds))
    world.silent = lambda _node, action: isinstance(action, AuditCommit)
    world.run_until(lambda: 0 in world.task(task).open_rounds)
    world.run_until(lambda: world.state.round(task, Round(0)).drawn)
    place = one_audit(world, task)
    audit = audit_of(world, place)
    assert audit.deadline == audit.drawn + 18
    world.run_until(lambda: audit_of(world, place).escalation is not None)
    audit = audit_of(world, place)
    assert audit.deadline == audit.escalated + 18
    assert audit_reach(world.genesis, replace(ONE_ROUND, rounds=rounds)) == 2 * 7 + 3 * 18 + 6 + 36


def test_seat_that_was_left_judges_what_began_under_it_and_its_successor_does_not() -> None:
    def change(genesis: Genesis) -> Genesis:
        money = replace(genesis.money, unbonding_blocks=400)
        patient = with_audits(EVERY, audit_all_deadline=60)
        return with_modest_bonds(patient(replace(genesis, money=money)))

    world = build_world(change=change)
    successor = world.join("successor", 60 * POT)
    leaver = world.validators[0]
    world.block(world.paid(leaver, Unbond(Amount(100 * POT))))
    task = world.submit(ONE_ROUND)
    world.silent = no_recourse
    world.run_until(lambda: 0 in world.task(task).open_rounds)
    world.run_until(lambda: world.state.round(task, Round(0)).drawn)
    place = one_audit(world, task)
    until_phase(world, place, AuditPhase.WINDOW)
    world.block(world.free(world.validators[3], Challenge(*place, expects_fail=True)))
    world.silent = lambda _node, action: isinstance(action, AuditCommit | Challenge)
    world.run_until(lambda: world.state.chain().epoch == 1)
    assert successor.node_id in world.seated()
    assert leaver.node_id not in world.seated()
    audit = audit_of(world, place)
    assert audit.phase is AuditPhase.COMMIT_ALL
    nodes = [each.auditor for each in audit.judges]
    assert leaver.node_id in nodes
    assert successor.node_id not in nodes
    world.silent = lambda node, action: (
        isinstance(action, Challenge)
        or (isinstance(action, AUDIT_KINDS) and node == world.validators[1].node_id)
    )
    audit = until_closed(world, place)
    assert audit.final is Verdict.PASS, "three of the old four, one of them gone"
    reported = [each.auditor for each in audit.judges if each.report is not None]
    assert leaver.node_id in reported


def test_dear_leases_leave_no_accused_miner_without_recourse() -> None:
    world = build_world(change=with_audits(EVERY))
    world.run(2)
    task = world.submit(ONE_ROUND, Amount(500 * POT))
    rig = world.miners[0]
    # Drawn auditors agree that everything of this miner is forged, and are wrong.
    world.measure = lambda _auditor, lease: (
        FORGED
        if lease.miner == rig.node_id
        and audit_of(world, (task, Round(0), lease.shard)).escalation is None
        else HONEST
    )
    hunter = world.miners[1]
    world.run_until(lambda: 0 in world.task(task).open_rounds)
    world.run_until(lambda: world.state.round(task, Round(0)).drawn)
    mine = [
        (task, Round(0), row.shard)
        for row in world.state.round(task, Round(0)).leases
        if row.miner == rig.node_id
    ]
    assert len(mine) == 2
    until_phase(world, mine[0], AuditPhase.WINDOW)
    dear = world.free(hunter, Challenge(*mine[0], expects_fail=False))
    assert world.refusal(dear) is RejectionReason.INSUFFICIENT_FUNDS
    audits = [until_closed(world, place) for place in mine]
    assert [audit.final for audit in audits] == [Verdict.PASS, Verdict.PASS]
    assert sorted(audit.challenge.stake for audit in audits) == [0, RIG_BOND]
    assert (world.account(rig).bond, world.account(rig).locked) == (RIG_BOND, 0)
