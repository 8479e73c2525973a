"""Seats: who gets one, who leaves one, and what began under the seats of before."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potp2p.foundation.committee import faulty_max
from potp2p.foundation.errors import RejectionReason
from potp2p.foundation.types import (
    POT,
    Amount,
    Epoch,
    Height,
    NodeId,
    Round,
    TaskId,
)
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.ledger.audit_duties import audit_duties
from potp2p.protocol.ledger.context import BlockContext
from potp2p.protocol.ledger.duties import validator_duties
from potp2p.protocol.ledger.money import start_unbonding
from potp2p.protocol.ledger.records import LeaseStatus, RoundPhase, TaskStatus
from potp2p.protocol.ledger.seats import (
    SEATS_MIN,
    Asking,
    Sitting,
    elect,
    epochs_kept,
    revealers_since,
    validators_hash,
)
from potp2p.protocol.wire.blocks import NO_DIGEST, RANK_NONE
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.transactions import (
    Anchor,
    Attest,
    AttestPackage,
    AuditCommit,
    Bond,
    RevealAudit,
    RoundResult,
    Unbond,
)
from tests.doubles.ledger_world import (
    RULES,
    LedgerWorld,
    build_world,
    key_pair,
    result_of,
    with_audits,
    with_modest_bonds,
)

LEAST = 50


def node(number: int) -> NodeId:
    return NodeId(b"\x02" + number.to_bytes(32, "big"))


def names(nodes: tuple[NodeId, ...]) -> list[int]:
    return [int.from_bytes(each[1:], "big") for each in nodes]


def chosen(sitting: list[Sitting], asking: dict[int, int], *, seats_max: int = 7) -> list[int]:
    rows = [Asking(node(number), bond) for number, bond in asking.items()]
    return names(elect(sitting, rows, bond_min=LEAST, seats_max=seats_max))


def seat(number: int, bond: int = 100, **flags: bool) -> Sitting:
    return Sitting(node(number), bond, **flags)


FOUR = [seat(1), seat(2), seat(3), seat(4)]


@pytest.mark.parametrize(
    ("sitting", "asking", "seats_max", "expected"),
    [
        (FOUR, {}, 7, [1, 2, 3, 4]),
        (FOUR, {9: 50}, 7, [1, 2, 3, 4, 9]),
        (FOUR, {9: 49}, 7, [1, 2, 3, 4]),
        (FOUR, {9: 60, 8: 60, 7: 60}, 7, [1, 2, 3, 4, 7]),
        (FOUR, {9: 60, 8: 60, 7: 61}, 7, [1, 2, 3, 4, 7]),
        (FOUR, {9: 101}, 4, [1, 2, 3, 9]),
        (FOUR, {0: 100}, 4, [1, 2, 3, 4]),
        ([seat(1), seat(2, 99), seat(3), seat(4)], {9: 100, 8: 500}, 4, [1, 3, 4, 8]),
        ([seat(1), seat(2, leaving=True), seat(3), seat(4)], {}, 7, [1, 2, 3, 4]),
        ([seat(1), seat(2, leaving=True), seat(3), seat(4)], {9: 50}, 7, [1, 3, 4, 9]),
        ([*FOUR, seat(5, leaving=True)], {}, 7, [1, 2, 3, 4]),
        ([*FOUR, seat(5, leaving=True)], {9: 70}, 7, [1, 2, 3, 4, 9]),
        (
            [seat(1, leaving=True), seat(2, 49), seat(3, 500, convicted=True), seat(4), seat(5)],
            {},
            7,
            [1, 2, 4, 5],
        ),
        ([seat(1, leaving=True), seat(2, 49), seat(3), seat(4), seat(5)], {}, 7, [1, 3, 4, 5]),
        ([seat(each, leaving=True) for each in range(1, 8)], {}, 7, [3, 4, 5, 6, 7]),
        ([seat(1), seat(2)], {9: 500}, 7, [1, 2]),
        ([seat(1, 40), seat(2, 40), seat(3, 40)], {}, 7, [1, 2, 3]),
    ],
    ids=[
        "nobody asks",
        "growth",
        "too poor",
        "one change of four, the lower id",
        "one change of four, the higher bond",
        "a higher bond",
        "an equal bond and a lower id",
        "the highest for the lowest",
        "never below four",
        "a successor lets one leave",
        "down to four",
        "a leaver makes room",
        "the convicted first",
        "then the poor",
        "no more than f leave",
        "two seats never change",
        "fewer than four stay",
    ],
)
def test_highest_bonds_get_the_seats_within_f_changes(
    sitting: list[Sitting], asking: dict[int, int], seats_max: int, expected: list[int]
) -> None:
    assert chosen(sitting, asking, seats_max=seats_max) == expected


SITTING = st.lists(
    st.tuples(st.integers(0, 200), st.booleans(), st.booleans()), min_size=1, max_size=13
)


@given(SITTING, st.lists(st.integers(0, 200), max_size=6), st.integers(0, 5))
def test_two_sets_in_a_row_share_more_than_two_thirds_of_both(
    rows: list[tuple[int, bool, bool]], bonds: list[int], room: int
) -> None:
    sitting = [
        seat(number, bond, convicted=convicted, leaving=leaving)
        for number, (bond, convicted, leaving) in enumerate(rows, 1)
    ]
    asking = {100 + number: bond for number, bond in enumerate(bonds)}
    before, after = (
        list(range(1, len(rows) + 1)),
        chosen(sitting, asking, seats_max=len(rows) + room),
    )
    stay = [each for each in after if each in before]
    fit = {number for number, (bond, *flags) in enumerate(rows, 1) if bond >= 50 and not any(flags)}
    changes = faulty_max(len(before))
    assert len(before) - len(stay) <= changes
    assert len(after) - len(stay) <= changes
    assert 3 * len(stay) > 2 * len(before)
    assert 3 * len(stay) > 2 * len(after)
    assert min(len(before), SEATS_MIN) <= len(after) <= len(rows) + room
    assert stay == sorted(stay), "who stays keeps the order"
    came = [asking[each] for each in after if each not in before]
    assert all(bond >= LEAST for bond in came)
    lost = [rows[each - 1][0] for each in before if each not in after and each in fit]
    assert not lost or min(came) > min(lost), "thrown out by no higher bond"


@pytest.fixture
def world() -> LedgerWorld:
    return build_world(miners=0, change=with_modest_bonds)


def announced(world: LedgerWorld) -> bytes:
    assert world.parent is not None
    return world.parent.body.next_validators_hash


def test_every_header_announces_who_seals_the_next_block(world: LedgerWorld) -> None:
    world.join("fifth", 60 * POT)
    sizes = []
    for _ in range(45):
        world.run(1)
        assert announced(world) == validators_hash(world.seated())
        sizes.append(len(world.seated()))
    assert sizes[17:19] == [4, 5], "from the block after the last of epoch 0 on"
    assert set(sizes) == {4, 5}


def test_four_seats_grow_to_seven_one_in_an_epoch_and_each_new_one_reveals(
    world: LedgerWorld,
) -> None:
    joined = [world.join(name, 60 * POT) for name in ("fifth", "sixth", "seventh", "eighth")]
    counts = []
    for _ in range(5):
        world.run_epoch()
        counts.append(len(world.seated()))
    assert counts == [5, 6, 7, 7, 7]
    chain = world.state.chain()
    assert all(each.anchor != NO_DIGEST for each in chain.seats)
    ids = sorted(each.node_id for each in joined)
    assert {each.node for each in chain.seats} >= set(ids[:3]), "between equals the lower id"
    assert ids[3] not in {each.node for each in chain.seats}


def with_four_seats(genesis: Genesis) -> Genesis:
    return replace(with_modest_bonds(genesis), consensus=replace(genesis.consensus, seats_max=4))


def test_higher_bond_takes_the_lowest_seat_and_the_loser_may_ask_again() -> None:
    world = build_world(miners=0, change=with_four_seats)
    rival = world.join("rival", 150 * POT)
    world.run_epoch()
    (loser,) = {each.node_id for each in world.validators} - set(world.seated())
    assert rival.node_id in world.seated()
    assert world.account(world.keys[loser]).unbonding == (), "its bond stays until it asks"
    world.block(world.paid(world.client, Bond(account_of(loser), Amount(POT))))
    world.run_epoch()
    assert loser in world.seated(), "101 POT against 100"


def test_leaver_stays_until_it_can_be_spared_and_its_bond_starts_back_only_then(
    world: LedgerWorld,
) -> None:
    leaver = world.validators[1]
    world.block(world.paid(leaver, Unbond(Amount(100 * POT))))
    again = world.paid(leaver, Unbond(Amount(60 * POT)))
    assert world.refusal(again) is RejectionReason.DUPLICATE
    for _ in range(2):
        world.run_epoch()
    assert leaver.node_id in world.seated(), "four seats are the least"
    assert world.account(leaver).bond == 100 * POT
    world.join("successor", 60 * POT)
    world.run_epoch()
    assert leaver.node_id not in world.seated()
    assert world.account(leaver).bond == 100 * POT, "the seat sealed this very block"
    left = world.height + 1
    world.run(1)
    record = world.account(leaver)
    assert (record.bond, [each.due for each in record.unbonding]) == (
        0,
        [left + world.genesis.money.unbonding_blocks],
    )
    while world.height < record.unbonding[0].due:
        world.run(1)
    assert world.account(leaver).balance >= 100 * POT
    assert leaver.node_id not in {row.node for row in world.state.candidates().rows}


def test_seat_whose_bond_fell_below_the_least_is_lost_with_the_epoch(world: LedgerWorld) -> None:
    world.join("successor", 60 * POT)
    poor = world.validators[2]
    state = world.state
    start_unbonding(state, account_of(poor.node_id), 60 * POT, Height(500))
    world.rewrite(state)
    world.run(1)
    assert poor.node_id in world.seated()
    world.run_epoch()
    assert poor.node_id not in world.seated()
    assert len(world.seated()) == 4


def test_seat_is_asked_for_once_in_time_and_with_its_bond(world: LedgerWorld) -> None:
    asker = key_pair("asker")

    def asks(epoch: int = 1) -> bytes:
        return world.free(asker, Anchor(Epoch(epoch), sha256(b"anchor")))

    assert world.refusal(asks()) is RejectionReason.WRONG_SENDER
    world.block(world.paid(world.client, Bond(account_of(asker.node_id), Amount(50 * POT - 1))))
    assert world.refusal(asks()) is RejectionReason.WRONG_SENDER
    world.block(world.paid(world.client, Bond(account_of(asker.node_id), Amount(1))))
    assert world.refusal(asks(2)) is RejectionReason.TOO_EARLY
    world.block(asks())
    assert world.refusal(asks()) is RejectionReason.DUPLICATE
    late = key_pair("late")
    world.block(world.paid(world.client, Bond(account_of(late.node_id), Amount(50 * POT))))
    while world.height < 19:
        world.block()
    said = world.free(late, Anchor(Epoch(1), sha256(b"late")))
    assert world.refusal(said) is RejectionReason.TOO_LATE, "the last block fixed them as it opened"


def test_full_list_of_askers_makes_room_for_a_higher_bond_only(
    world: LedgerWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("potp2p.protocol.ledger.anchors.CANDIDATES_MAX", 2)
    bonds = {"a": 60, "b": 55, "c": 55, "d": 56}
    for name, bond in bonds.items():
        owner = account_of(key_pair(name).node_id)
        world.block(world.paid(world.client, Bond(owner, Amount(bond * POT))))

    def asks(name: str) -> bytes:
        return world.free(key_pair(name), Anchor(Epoch(1), sha256(name.encode())))

    world.block(asks("a"), asks("b"))
    assert world.refusal(asks("c")) is RejectionReason.RATE
    world.block(asks("d"))
    asking = {row.node for row in world.state.candidates().rows}
    assert asking == {key_pair("a").node_id, key_pair("d").node_id}


def test_who_was_given_a_seat_keeps_its_bond_before_it_sits(world: LedgerWorld) -> None:
    chosen_one = world.join("fifth", 60 * POT)
    while world.height < 18:
        world.run(1)
    takes = world.paid(chosen_one, Unbond(Amount(11 * POT)))
    assert world.refusal(takes) is None, "not chosen yet"
    world.run(1)
    assert world.refusal(takes) is RejectionReason.TOO_EARLY
    assert world.refusal(world.paid(chosen_one, Unbond(Amount(10 * POT)))) is None
    world.run(2)
    assert chosen_one.node_id in world.seated()


def test_missed_turns_follow_the_node_when_seats_move(world: LedgerWorld) -> None:
    world.join("successor", 60 * POT)
    leaver = world.validators[0]
    world.block(world.paid(leaver, Unbond(Amount(100 * POT))))
    while world.height < 17:
        world.run(1)
    prospects = world.ledger.prospects(world.parent)
    late = prospects.nodes[prospects.primaries[0]]
    assert late != leaver.node_id
    world.block(*world.duties(), view=1, strict=False)
    while world.state.chain().epoch == 0:
        world.run(1)
    misses = {each.node: each.misses for each in world.state.chain().seats}
    assert leaver.node_id not in misses
    assert [node for node, count in misses.items() if count] == [late]


def test_past_seats_are_kept_for_as_long_as_a_proof_is_good(world: LedgerWorld) -> None:
    kept = epochs_kept(world.genesis)
    assert kept == 9, "160 blocks of unbonding reach into the eighth epoch back, and the opening"
    for _ in range(8):
        world.run_epoch()
    world.run(1)
    now = world.state.chain().epoch
    assert now == 8
    known = [epoch for epoch in range(now + 1) if world.state.seats_of(Epoch(epoch)) is not None]
    assert known == list(range(now - kept + 1, now + 1))


def shifting_world(phase: RoundPhase, said: type) -> tuple[LedgerWorld, TaskId]:
    """
    Return a world whose first round waits in a phase while one seat of four changes hands.

    The statements that would end the phase are held back until the set has changed.
    """
    slow = replace(RULES.rounds, deadline=12, attest_window=24, result_deadline=24)
    rules = replace(RULES, rounds=slow)
    world = build_world(change=lambda genesis: with_long_unbonding(with_modest_bonds(genesis)))
    world.join("successor", 60 * POT)
    world.block(world.paid(world.validators[0], Unbond(Amount(100 * POT))))
    world.silent = lambda _node, action: isinstance(action, said)
    while world.height < 10:
        world.run(1)
    task = world.submit(rules)
    world.run_until(
        lambda: (
            0 in world.task(task).open_rounds and world.state.round(task, Round(0)).phase is phase
        )
    )
    assert world.state.chain().epoch == 0
    while world.state.chain().epoch == 0:
        world.run(1)
    assert world.state.round(task, Round(0)).phase is phase
    return world, task


def with_long_unbonding(genesis: Genesis) -> Genesis:
    return replace(genesis, money=replace(genesis.money, unbonding_blocks=300))


def test_attestation_after_a_change_of_seats_is_for_those_that_sat_when_the_round_began() -> None:
    world, task = shifting_world(RoundPhase.ATTESTING, Attest)
    leaver, newcomer = world.validators[0], key_pair("successor")
    assert leaver.node_id not in world.seated()
    assert newcomer.node_id in world.seated()
    duties = validator_duties(world.state, newcomer.node_id, world.genesis)
    assert duties.attests == ()
    words = world.free(newcomer, Attest(task, Round(0), b"\x01"))
    assert world.refusal(words) is RejectionReason.WRONG_SENDER
    (duty,) = validator_duties(world.state, leaver.node_id, world.genesis).attests
    assert duty.claims_ended
    world.silent = lambda node, action: (
        isinstance(action, Attest)
        and node
        not in (
            leaver.node_id,
            world.validators[1].node_id,
        )
    )
    world.run_until(lambda: world.state.round(task, Round(0)).phase is not RoundPhase.ATTESTING)
    record = world.state.round(task, Round(0))
    held = [world.state.lease(task, Round(0), row.shard).status for row in record.leases]
    assert LeaseStatus.MISSED not in held, "f + 1 of the old set attested: one of them has left"


def test_result_after_a_change_of_seats_takes_a_quorum_of_those_that_sat_when_the_round_began() -> (
    None
):
    world, task = shifting_world(RoundPhase.RESULT, RoundResult)
    newcomer, leaver = key_pair("successor"), world.validators[0]
    assert validator_duties(world.state, newcomer.node_id, world.genesis).results == ()
    world.silent = lambda node, action: (
        isinstance(action, RoundResult) and node == world.validators[3].node_id
    )
    world.run(2)
    assert any(
        each.validator == leaver.node_id for each in (world.state.round(task, Round(0)).results)
    )
    assert world.state.round(task, Round(0)).advanced, "three of the old four, one of them gone"


def test_auditor_that_lost_its_seat_finishes_its_audit() -> None:
    world = build_world(
        change=lambda genesis: with_long_unbonding(
            with_modest_bonds(with_audits(1_000_000, audit_deadline=20)(genesis))
        )
    )
    world.join("successor", 60 * POT)
    leaver = world.validators[0]
    world.block(world.paid(leaver, Unbond(Amount(100 * POT))))
    world.silent = lambda node, action: (
        node == leaver.node_id and isinstance(action, AuditCommit | RevealAudit)
    )
    task = world.submit(RULES)
    world.run_until(lambda: bool(audit_duties(world.state, leaver.node_id)))
    assert world.state.chain().epoch == 0
    world.run_until(lambda: world.state.chain().epoch == 1)
    assert leaver.node_id not in world.seated()
    before = world.account(leaver).balance
    assert audit_duties(world.state, leaver.node_id)
    world.silent = lambda _node, _action: False
    world.run_until(lambda: world.task(task).escrow == 0, blocks=120)
    assert world.account(leaver).balance > before, "its audits were paid"
    assert world.miner(world.miners[0]).rejected == 0


def test_revealer_that_lost_its_seat_counts_no_more(world: LedgerWorld) -> None:
    gone, stays = key_pair("gone").node_id, world.validators[1].node_id
    context = BlockContext(
        world.chain_id, world.genesis, Height(30), stays, RANK_NONE, world.validators[2].node_id
    )
    seen = revealers_since(world.state, (gone, stays), context, Height(5))
    assert seen == (stays, world.validators[2].node_id)
    assert revealers_since(world.state, (stays,), context, Height(29)) == (stays,)


def test_word_about_something_older_than_the_kept_seats_is_refused_by_name() -> None:
    endless = replace(RULES, rounds=replace(RULES.rounds, rounds=100))
    world = build_world(change=with_modest_bonds)
    world.run(2)
    task = world.submit(endless, Amount(600 * POT))
    world.run_until(lambda: world.state.seats_of(Epoch(0)) is None)
    assert world.task(task).status is TaskStatus.RUNNING
    for keys in (world.validators[0], key_pair("stranger")):
        for action in (AttestPackage(task, True), Attest(task, Round(0), b"\x01")):
            assert world.refusal(world.free(keys, action)) is RejectionReason.TOO_LATE
        result = result_of(task, b"old")
        assert world.refusal(world.free(keys, result)) is RejectionReason.TOO_LATE
    assert validator_duties(world.state, world.validators[0].node_id, world.genesis).packages == ()
