"""Every verdict of the oracle can fire: planted faults, each with its words."""

from dataclasses import replace

import pytest

from potp2p.foundation.types import Epoch
from potp2p.protocol.wire.consensus import Commit, Prepare, SignedPrepare, Statement
from potp2p.simulation.core.letters import BlockFacts
from potp2p.simulation.core.members import Member
from potp2p.simulation.core.messages import (
    certificate,
    commit,
    prepare,
    propose,
    seal,
    view_change,
)
from potp2p.simulation.core.oracle import Oracle
from potp2p.simulation.core.stubs import GENESIS_HEAD, start
from tests.doubles.committee import APPLE, PEAR

FACTS = BlockFacts(1, GENESIS_HEAD, 255, 0, 0)
ALL = (0, 1, 2, 3)


def member_of(seat: int, *, is_honest: bool = True) -> Member:
    """Return a process at its first height."""
    member = Member(seat, seat, is_honest=is_honest)
    member.replica.step(start(4, seat))
    return member


@pytest.fixture
def oracle() -> Oracle:
    return Oracle(4, honest=frozenset(ALL))


def sign_votes(oracle: Oracle, kind: type[Prepare | Commit], signers: tuple[int, ...]) -> None:
    """Let honest seats sign votes for one block in view 0."""
    for seat in signers:
        make = prepare if kind is Prepare else commit
        oracle.note_signed(member_of(seat), make(seat, APPLE).statement)


def test_seal_signed_by_a_quorum_is_no_violation(oracle: Oracle) -> None:
    sign_votes(oracle, Commit, ALL)
    oracle.note_decided(member_of(1), seal(APPLE, (0, 1, 2)), FACTS)

    assert oracle.violations == []


@pytest.mark.parametrize("signers", [(0, 1), (0, 1, 1), (1, 2, 9), ()])
def test_seal_of_fewer_than_two_thirds_is_a_violation(
    oracle: Oracle, signers: tuple[int, ...]
) -> None:
    sign_votes(oracle, Commit, ALL)
    oracle.note_decided(member_of(1), seal(APPLE, signers), FACTS)

    assert any(each.startswith("seal of 1 by") for each in oracle.violations)


def test_seal_with_a_signature_that_an_honest_seat_never_made_is_a_violation(
    oracle: Oracle,
) -> None:
    sign_votes(oracle, Commit, (0, 1))
    oracle.note_decided(member_of(1), seal(APPLE, (0, 1, 2)), FACTS)

    assert oracle.violations == ["seal of 1 without a signature of [2]"]


def test_prepares_do_not_stand_for_commits(oracle: Oracle) -> None:
    sign_votes(oracle, Prepare, ALL)
    oracle.note_decided(member_of(1), seal(APPLE, (0, 1, 2)), FACTS)

    assert oracle.violations == ["seal of 1 without a signature of [0, 1, 2]"]


def test_seal_of_another_epoch_is_a_violation(oracle: Oracle) -> None:
    sign_votes(oracle, Commit, ALL)
    strange = replace(seal(APPLE, (0, 1, 2)), epoch=Epoch(1))
    oracle.note_decided(member_of(1), strange, FACTS)

    assert "seal of 1 in epoch 1" in oracle.violations


def test_two_blocks_at_a_height_are_a_violation(oracle: Oracle) -> None:
    for seat in ALL:
        for block in (APPLE, PEAR):
            oracle.note_signed(member_of(seat), commit(seat, block).statement)
    oracle.note_decided(member_of(0), seal(APPLE, (0, 1, 2)), FACTS)
    oracle.note_decided(member_of(1), seal(PEAR, (1, 2, 3)), FACTS)

    assert oracle.violations == ["two blocks at height 1"]


def test_block_of_another_parent_or_a_broken_one_is_a_violation(oracle: Oracle) -> None:
    sign_votes(oracle, Commit, ALL)
    oracle.note_decided(member_of(0), seal(APPLE, (0, 1, 2)), replace(FACTS, parent=PEAR))
    oracle.note_decided(member_of(1), seal(APPLE, (0, 1, 2)), replace(FACTS, valid=False))

    assert oracle.violations == ["block of 1 decided at 1", "broken block decided at 1"]


def test_height_decided_twice_by_one_member_is_a_violation(oracle: Oracle) -> None:
    sign_votes(oracle, Commit, ALL)
    member = member_of(0)
    for _ in range(2):
        oracle.note_decided(member, seal(APPLE, (0, 1, 2)), FACTS)

    assert oracle.violations == ["member 0 decided 1 out of turn"]


def test_honest_seat_that_says_two_things_in_one_place_is_a_violation(oracle: Oracle) -> None:
    oracle.note_said(member_of(2), prepare(2, APPLE))
    oracle.note_said(member_of(2), prepare(2, APPLE))
    assert oracle.violations == []

    oracle.note_said(member_of(2), prepare(2, PEAR))

    assert oracle.violations == ["honest seat 2 said two things in (1, 0, 2)"]


def test_honest_seat_that_speaks_below_what_it_left_is_a_violation(oracle: Oracle) -> None:
    oracle.note_said(member_of(2), view_change(2, 3))
    oracle.note_said(member_of(2), prepare(2, APPLE, view=1))

    assert oracle.violations == ["honest seat 2 spoke in (1, 1, 2) after it had gone on"]


def test_liars_and_those_who_pass_words_on_are_not_held_to_them() -> None:
    oracle = Oracle(4, honest=frozenset({0, 1, 3}))
    liar = member_of(2, is_honest=False)
    for block in (APPLE, PEAR):
        oracle.note_said(liar, prepare(2, block))
        oracle.note_said(member_of(1), prepare(3, block))

    assert oracle.violations == []


def test_certificate_that_an_honest_seat_made_up_is_a_violation(oracle: Oracle) -> None:
    sign_votes(oracle, Prepare, (0, 1))
    oracle.note_said(member_of(1), view_change(1, 1, certificate=certificate(APPLE, (0, 1, 3))))

    assert oracle.violations == ["proof by seat 1 without a signature of [3]"]


def test_primary_without_a_quorum_of_view_changes_is_a_violation(oracle: Oracle) -> None:
    shown = (view_change(0, 1), view_change(1, 1))
    oracle.note_said(member_of(1), propose(1, APPLE, view=1, view_changes=shown))

    assert oracle.violations == ["seat 1 led on the word of [0, 1]"]


def test_table_without_a_bound_is_a_violation(oracle: Oracle) -> None:
    sign_votes(oracle, Commit, ALL)
    member = member_of(0)
    at = member.replica.at
    assert at is not None
    for view in range(40):
        vote = prepare(3, APPLE, view=view)
        at.prepares.by_view[vote.statement.view] = {vote.statement.signer: vote}
    oracle.note_decided(member, seal(APPLE, (0, 1, 2)), FACTS)

    assert oracle.violations == ["member 0 keeps 40 in prepares"]


def test_guard_of_a_member_signs_forward_or_the_same_again() -> None:
    member = member_of(2)
    words: list[tuple[Statement, bool]] = [
        (prepare(2, APPLE).statement, True),
        (prepare(2, APPLE).statement, True),
        (prepare(2, PEAR).statement, False),
        (view_change(2, 1).statement, True),
        (commit(2, APPLE).statement, False),
    ]

    assert [member.may_sign(statement) for statement, _ in words] == [may for _, may in words]
    assert isinstance(prepare(2, APPLE), SignedPrepare)
