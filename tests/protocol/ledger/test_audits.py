"""Audits from the draw to the ruling: who is believed, who pays, and who gets nothing."""

from dataclasses import replace

import pytest

from potp2p.foundation.committee import weak_quorum
from potp2p.foundation.errors import RejectionReason
from potp2p.foundation.types import POT, PartsPerMillion, Round, TaskId
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.crypto.identity import KeyPair, account_of
from potp2p.protocol.ledger.audit_duties import AuditDuty, audit_duties
from potp2p.protocol.ledger.audit_records import Escalation
from potp2p.protocol.ledger.keys import LeasePlace
from potp2p.protocol.ledger.receipt_records import ReceiptKind
from potp2p.protocol.ledger.records import LeaseStatus, RoundPhase, TaskStatus
from potp2p.protocol.wire.blocks import NO_DIGEST
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.transactions import (
    Attest,
    AuditCommit,
    Challenge,
    Contribute,
    ResultCommit,
    RevealAudit,
    RevealTrace,
    RoundResult,
    Transfer,
)
from potp2p.protocol.wire.verification import Distances, Trace
from tests.doubles.ledger_world import (
    BUDGET,
    FORGED,
    HONEST,
    NEAR,
    RULES,
    LedgerWorld,
    build_world,
    key_pair,
    with_audits,
    with_large_bonds,
    without_tips,
)

ONE_ROUND = replace(RULES, rounds=replace(RULES.rounds, rounds=1))
EVERY = 1_000_000


def audited_world(**changes: object) -> tuple[LedgerWorld, TaskId]:
    """Return a network that audits everything and pays for it, with a task just submitted."""
    world = build_world(
        change=lambda genesis: without_tips(
            without_result_pay(with_audits(EVERY, **changes)(genesis))
        )
    )
    world.run(2)
    return world, world.submit(ONE_ROUND)


def without_result_pay(genesis: Genesis) -> Genesis:
    """Return a network whose validators earn by audits alone."""
    return replace(genesis, money=replace(genesis.money, result_share=PartsPerMillion(0)))


def until_drawn(world: LedgerWorld, task: TaskId) -> list[LeasePlace]:
    """Let the round come to its audits, before anyone has committed."""
    world.silent = lambda _node, action: isinstance(action, AuditCommit)
    world.run_until(lambda: 0 in world.task(task).open_rounds)
    world.run_until(lambda: world.state.round(task, Round(0)).drawn)
    shards = world.state.round(task, Round(0)).audits
    assert shards
    return [(task, Round(0), shard) for shard in shards]


def until_revealing(world: LedgerWorld, task: TaskId) -> list[LeasePlace]:
    places = until_drawn(world, task)
    world.silent = lambda _node, action: isinstance(action, RevealTrace | RevealAudit)
    world.run_until(lambda: all(world.state.audit(*place).is_revealing for place in places))
    return places


def settle(world: LedgerWorld, task: TaskId) -> None:
    world.silent = lambda _node, _action: False
    world.run_until(lambda: world.task(task).escrow == 0)


def duty_of(world: LedgerWorld, place: LeasePlace) -> tuple[KeyPair, AuditDuty]:
    """Return the first auditor of a contribution and what it is asked."""
    auditor = world.state.audit(*place).auditors[0].auditor
    duties = audit_duties(world.state, auditor)
    mine = next(each for each in duties if (each.task, each.round, each.shard) == place)
    return world.keys[auditor], mine


def miner_of(world: LedgerWorld, place: LeasePlace) -> KeyPair:
    return world.keys[world.state.lease(*place).miner]


def test_audits_are_drawn_only_after_f_plus_one_further_primaries() -> None:
    world, task = audited_world()
    world.silent = lambda _node, action: isinstance(action, AuditCommit)
    world.run_until(lambda: 0 in world.task(task).open_rounds)
    world.run_until(lambda: world.state.round(task, Round(0)).fixed > 0)
    fixed = world.state.round(task, Round(0)).fixed
    assert fixed == world.height

    primaries = {fixed: world.parent.frame.primary}
    revealed: set[int] = set()
    while world.state.round(task, Round(0)).draw_beacon == NO_DIGEST:
        assert len(revealed) < weak_quorum(4)
        world.run(1)
        # Block h executes the frame of h - 1; the primary of `fixed` knew the set it fixed.
        if world.height - 1 > fixed:
            revealed.add(primaries[world.height - 1])
        primaries[world.height] = world.parent.frame.primary
    assert len(revealed) == weak_quorum(4)
    world.run_until(lambda: world.state.round(task, Round(0)).drawn)
    beacons = world.state.round(task, Round(0)).draw_beacons
    assert len(set(beacons)) == len(beacons) == len(world.validators), "a turn of every primary"


def test_same_primary_again_and_again_draws_nothing() -> None:
    world, task = audited_world()
    world.run_until(lambda: 0 in world.task(task).open_rounds)
    world.run_until(lambda: world.state.round(task, Round(0)).fixed > 0)
    world.run(1)
    record = world.state.round(task, Round(0))
    assert len(record.revealers) == len(set(record.revealers))


def test_auditors_share_no_account_with_miner_or_client() -> None:
    world = build_world(change=with_audits(EVERY, audit_committee=4))
    world.run(2)
    # The client is a validator, and one miner is paid out to another.
    world.client = world.validators[0]
    rig, friend = world.miners[0], world.validators[1]
    world.block(
        world.free(
            rig,
            world.registration(
                rig, after=world.miner(rig).stamp, payout=account_of(friend.node_id)
            ),
        )
    )
    task = world_submit_as(world, key_pair("client"), world.client)
    places = until_drawn(world, task)

    for place in places:
        auditors = {each.auditor for each in world.state.audit(*place).auditors}
        assert world.client.node_id not in auditors
        assert (friend.node_id in auditors) == (miner_of(world, place) != rig)


def world_submit_as(world: LedgerWorld, rich: KeyPair, client: KeyPair) -> TaskId:
    """Let a client without money order a task, with money that someone gives it."""
    world.keys[rich.node_id] = rich
    world.block(world.paid(rich, Transfer(account_of(client.node_id), BUDGET)))
    return world.submit(ONE_ROUND)


@pytest.mark.parametrize("distances", [HONEST, NEAR, FORGED], ids=["pass", "void", "fail"])
def test_verdict_decides_pay_bond_and_ban(distances: Distances) -> None:
    world, task = audited_world()
    cheat = world.miners[0]
    world.measure = lambda _auditor, lease: distances if lease.miner == cheat.node_id else HONEST
    bond = world.account(cheat).bond
    burned = world.state.chain().burned
    until_drawn(world, task)
    # A cheat has nothing to gain by a challenge.
    world.silent = lambda node, action: isinstance(action, Challenge)
    world.run_until(lambda: world.task(task).escrow == 0)

    mine = [each for each in world.receipts if each.miner == cheat.node_id]
    others = [each for each in world.receipts if each.miner != cheat.node_id]
    assert mine
    assert {each.kind for each in others} == {ReceiptKind.PAID}
    record, miner = world.account(cheat), world.miner(cheat)
    share = BUDGET * 5 // 100
    if distances == HONEST:
        assert {each.kind for each in mine} == {ReceiptKind.PAID}
        assert record.bond == bond
    elif distances == NEAR:
        assert {each.kind for each in mine} == {ReceiptKind.VOID}
        assert (record.bond, miner.earned) == (bond, 0)
        assert miner.banned_until == 0
    else:
        assert ReceiptKind.REJECTED in {each.kind for each in mine}
        assert {each.kind for each in mine} <= {ReceiptKind.REJECTED, ReceiptKind.VOID}
        assert (record.bond, miner.earned) == (0, 0)
        assert miner.banned_until > world.height
        assert not miner.live
        assert world.state.chain().burned - burned == share + bond // 2
        # The other half went to the task: its client gets back what its auditors did not earn.
        paid = sum(each.paid for each in world.receipts)
        gained = sum(world.account(each).balance for each in world.validators)
        assert gained < bond // 2
        assert (
            world.account(world.client).balance >= 1_000 * POT - paid - share - gained + bond // 2
        )
    assert sum(each.paid for each in mine) == (miner.earned if distances == HONEST else 0)


def test_split_verdict_goes_to_all_judges_and_the_liar_is_slashed() -> None:
    world, task = audited_world()
    liar = world.validators[0].node_id
    world.measure = lambda auditor, _lease: FORGED if auditor == liar else HONEST
    places = until_drawn(world, task)
    called = {
        place[2]
        for place in places
        if liar in {each.auditor for each in world.state.audit(*place).auditors}
    }
    assert 0 < len(called) < len(places)
    before = world.account(world.validators[0]).bond
    world.silent = lambda _node, _action: False
    escalated: set[int] = set()
    while world.task(task).escrow:
        record = world.state.round(task, Round(0))
        escalated |= {
            shard
            for shard in record.audits
            if world.state.audit(task, Round(0), shard).escalation is Escalation.SPLIT
        }
        world.run(1)

    assert escalated == called
    assert {each.kind for each in world.receipts} == {ReceiptKind.PAID}
    assert all(world.account(each).bond == 20 * POT for each in world.miners)
    slashed = before - world.account(world.validators[0]).bond
    # In every audit it speaks as a judge only, or as an auditor and a judge: once each.
    assert slashed == len(called) * world.genesis.money.auditor_slash
    assert all(world.account(each).bond == before for each in world.validators[1:])


@pytest.mark.parametrize("silence", [AuditCommit, RevealAudit])
def test_auditor_that_stays_away_costs_nobody_else_anything_and_is_not_paid(
    silence: type,
) -> None:
    world, task = audited_world()
    away = world.validators[1]
    places = until_drawn(world, task)
    assert any(
        away.node_id in {each.auditor for each in world.state.audit(*place).auditors}
        for place in places
    )
    world.silent = lambda node, action: node == away.node_id and isinstance(action, silence)
    world.run_until(lambda: world.task(task).escrow == 0)

    assert {each.kind for each in world.receipts} == {ReceiptKind.PAID}
    assert world.account(away).balance == 0
    assert world.account(away).bond == 1_000 * POT
    assert all(world.account(each).balance > 0 for each in world.validators if each is not away)


def test_miner_that_does_not_open_its_trace_fails() -> None:
    world, task = audited_world()
    mute = world.miners[0].node_id
    until_drawn(world, task)
    world.silent = lambda node, action: node == mute and isinstance(action, RevealTrace)
    world.run_until(lambda: world.task(task).escrow == 0)

    kinds = {each.kind for each in world.receipts if each.miner == mute}
    assert kinds <= {ReceiptKind.REJECTED, ReceiptKind.VOID}
    assert ReceiptKind.REJECTED in kinds
    assert world.account(world.miners[0]).bond == 0


def test_nobody_opens_before_commits_have_ended_and_nobody_commits_after() -> None:
    world, task = audited_world()
    place = until_drawn(world, task)[0]
    auditor, duty = duty_of(world, place)
    opening = world.audit_statement(auditor, replace(duty, revealing=True))
    trace = world.free(miner_of(world, place), world.trace_opening(place))
    assert world.refusal(trace) is RejectionReason.TOO_EARLY
    assert world.refusal(world.free(auditor, opening)) is RejectionReason.TOO_EARLY
    commit = world.free(auditor, world.audit_statement(auditor, duty))

    world.run_until(lambda: world.state.audit(*place).is_revealing)
    assert world.refusal(commit) is RejectionReason.TOO_LATE
    assert world.refusal(trace) is None


def test_commit_is_the_drawn_auditors_and_is_said_once() -> None:
    world, task = audited_world()
    place = until_drawn(world, task)[0]
    auditor, duty = duty_of(world, place)
    commit = world.audit_statement(auditor, duty)
    drawn = {each.auditor for each in world.state.audit(*place).auditors}
    stranger = next(each for each in world.validators if each.node_id not in drawn)
    assert world.refusal(world.free(stranger, commit)) is RejectionReason.WRONG_SENDER
    empty = world.free(auditor, AuditCommit(*place, NO_DIGEST))
    assert world.refusal(empty) is RejectionReason.OUT_OF_BOUNDS

    world.block(world.free(auditor, commit))
    other = AuditCommit(*place, sha256(b"second thoughts"))
    assert world.refusal(world.free(auditor, commit)) is RejectionReason.DUPLICATE
    assert world.refusal(world.free(auditor, other)) is RejectionReason.DUPLICATE


def test_opening_must_match_its_commitment() -> None:
    world, task = audited_world()
    place = until_revealing(world, task)[0]
    rig, opening = miner_of(world, place), world.trace_opening(place)
    other = next(each for each in world.miners if each is not rig)
    shortened = replace(opening, trace=Trace(opening.trace.entries[:-1]))
    salted = replace(opening, salt=bytes(32))
    assert world.refusal(world.free(rig, shortened)) is RejectionReason.BAD_PROOF
    assert world.refusal(world.free(rig, salted)) is RejectionReason.BAD_PROOF
    assert world.refusal(world.free(other, opening)) is RejectionReason.WRONG_SENDER

    auditor, duty = duty_of(world, place)
    report = world.audit_statement(auditor, duty)
    assert isinstance(report, RevealAudit)
    kinder = replace(report, distances=NEAR)
    second = world.state.audit(*place).auditors[1].auditor
    assert world.refusal(world.free(auditor, kinder)) is RejectionReason.BAD_PROOF
    copied = world.free(world.keys[second], report)
    # Both auditors found the same: its own opening is the same statement, under its own commitment.
    assert world.refusal(copied) is None
    world.block(world.free(auditor, report), world.free(rig, opening))
    assert world.refusal(world.free(auditor, report)) is RejectionReason.DUPLICATE
    assert world.refusal(world.free(rig, opening)) is RejectionReason.DUPLICATE


def test_copied_commitment_cannot_be_opened() -> None:
    world, task = audited_world()
    place = until_drawn(world, task)[0]
    auditor, duty = duty_of(world, place)
    copier = world.keys[world.state.audit(*place).auditors[1].auditor]
    commit = world.audit_statement(auditor, duty)
    world.block(world.free(auditor, commit), world.free(copier, commit))
    assert world.state.audit(*place).is_revealing
    opening = world.audit_statement(auditor, replace(duty, revealing=True))
    assert world.refusal(world.free(copier, opening)) is RejectionReason.BAD_PROOF


def test_convicted_miner_forfeits_what_is_open_elsewhere() -> None:
    world, task = audited_world(audit_deadline=8)
    cheat = world.miners[0]
    places = until_drawn(world, task)
    mine = [place for place in places if miner_of(world, place) == cheat]
    assert len(mine) == 2
    bad, good = mine
    world.measure = lambda _auditor, lease: (
        FORGED if (lease.miner, lease.shard) == (cheat.node_id, bad[2]) else HONEST
    )
    # The bad contribution is ruled first: auditors of the good one take their time.
    world.silent = lambda _node, action: (
        isinstance(action, AuditCommit) and (action.task, action.round, action.shard) == good
    )
    world.run_until(lambda: world.state.lease(*bad).status is LeaseStatus.REJECTED)
    assert world.state.lease(*good).status is LeaseStatus.AUDITED
    settle(world, task)

    kinds = {each.shard: each.kind for each in world.receipts if each.miner == cheat.node_id}
    assert kinds == {bad[2]: ReceiptKind.REJECTED, good[2]: ReceiptKind.VOID}
    assert world.miner(cheat).earned == 0


def test_claims_of_a_miner_convicted_meanwhile_stay_out_of_the_set() -> None:
    world = build_world(change=with_audits(EVERY))
    world.run(2)
    cheat = world.miners[0]
    world.measure = lambda _auditor, lease: FORGED if lease.miner == cheat.node_id else HONEST
    task = world.submit(replace(RULES, rounds=replace(RULES.rounds, attest_window=9)))
    # From round 1 on nobody attests, so that the conviction finds its claims attested by none yet.
    world.silent = lambda _node, action: isinstance(action, Attest) and action.round == 1
    world.run_until(lambda: world.miner(cheat).banned_until > 0)
    assert world.task(task).round == 1
    claimed = [
        row.shard
        for row in world.state.round(task, Round(1)).leases
        if row.miner == cheat.node_id
        and world.state.lease(task, Round(1), row.shard).status is LeaseStatus.CLAIMED
    ]
    assert claimed
    settle(world, task)

    kinds = {each.shard: each.kind for each in world.receipts if each.round == 1}
    assert {shard for shard, kind in kinds.items() if kind is ReceiptKind.MISSED} == set(claimed)
    assert world.miner(cheat).earned == 0


def test_rejection_takes_the_weight_out_of_cycles_not_yet_frozen() -> None:
    world, task = audited_world()
    cheat = world.miners[0]
    world.measure = lambda _auditor, lease: FORGED if lease.miner == cheat.node_id else HONEST
    settle(world, task)
    cycle = world.state.chain().cycle
    weighed = {
        each.miner for past in range(cycle + 1) for each in world.state.result_weights(past).weights
    }
    assert weighed == {each.node_id for each in world.miners if each is not cheat}
    assert (
        sum(
            each.weight
            for past in range(cycle + 1)
            for each in world.state.result_weights(past).weights
        )
        < BUDGET * 5 // 100
    )


def test_diverged_claim_is_always_audited_and_paid_without_weight() -> None:
    world = build_world(change=with_audits(1))
    world.run(2)
    task = world.submit(ONE_ROUND)
    broken = world.miners[0].node_id
    told = world.contribution

    def contribution(keys: KeyPair, duty: object) -> Contribute:
        said = told(keys, duty)
        return replace(said, diverged=True) if keys.node_id == broken else said

    world.contribution = contribution
    world.run_until(lambda: world.task(task).escrow == 0)
    mine = [each for each in world.receipts if each.miner == broken]
    assert mine
    assert all(each.audited and each.kind is ReceiptKind.PAID for each in mine)
    assert all(each.paid > 0 for each in mine)
    cycles = range(world.state.chain().cycle + 1)
    weighed = {row.miner for past in cycles for row in world.state.result_weights(past).weights}
    assert broken not in weighed
    assert world.task(task).status is TaskStatus.FINISHED


def test_rare_audits_leave_most_contributions_alone_and_still_pay_them() -> None:
    world = build_world(change=with_audits(1))
    world.run(2)
    task = world.submit()
    world.run_until(lambda: world.task(task).escrow == 0)
    assert {each.kind for each in world.receipts} == {ReceiptKind.PAID}
    # One POT per lease against a bond of 20: p = 2R / (R + B) is about eight per cent.
    assert sum(each.audited for each in world.receipts) < 9


def test_epoch_switch_does_not_disturb_an_open_audit() -> None:
    world, task = audited_world(audit_deadline=15)
    until_drawn(world, task)
    epoch = world.state.chain().epoch
    world.run_until(lambda: world.state.chain().epoch > epoch)
    assert world.state.round(task, Round(0)).audits
    settle(world, task)
    assert {each.kind for each in world.receipts} == {ReceiptKind.PAID}


def test_settled_round_leaves_nothing_but_a_root_over_its_receipts() -> None:
    world, task = audited_world()
    places = until_drawn(world, task)
    settle(world, task)
    assert world.task(task).receipts_root != NO_DIGEST
    kept = {key[:1] for key in world.store.records}
    assert kept.isdisjoint({b"\x04", b"\x05", b"\x06"})
    late = world.free(world.validators[0], AuditCommit(*places[0], sha256(b"x")))
    assert world.refusal(late) is RejectionReason.NOT_FOUND


def test_audits_wait_until_the_screens_are_known_however_many_have_revealed() -> None:
    world = build_world(change=with_audits(EVERY))
    world.run(2)
    slow = replace(ONE_ROUND.rounds, result_deadline=20)
    task = world.submit(replace(ONE_ROUND, rounds=slow))
    world.silent = lambda _node, action: isinstance(action, ResultCommit | RoundResult)
    world.run_until(lambda: 0 in world.task(task).open_rounds)
    world.run_until(lambda: world.state.round(task, Round(0)).fixed > 0)
    world.run(12)
    record = world.state.round(task, Round(0))
    assert record.phase is RoundPhase.RESULT
    assert len(record.draw_beacons) == 4, "a whole turn of primaries has revealed"
    assert not record.drawn
    world.silent = lambda _node, _action: False
    world.run_until(lambda: world.state.round(task, Round(0)).drawn)
    assert world.state.round(task, Round(0)).phase is RoundPhase.AUDIT


def test_round_without_audits_is_settled_only_after_its_challenge_window() -> None:
    world = build_world(change=with_large_bonds)
    world.run(2)
    task = world.submit(ONE_ROUND)
    world.run_until(lambda: 0 in world.task(task).open_rounds)
    world.run_until(lambda: world.state.round(task, Round(0)).drawn)
    record = world.state.round(task, Round(0))
    assert record.audits == ()
    world.run_until(lambda: 0 not in world.task(task).open_rounds)
    assert world.height == record.challenge_until + 1
