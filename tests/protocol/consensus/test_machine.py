"""Decisions of a single replica: proposing, preparing, committing, deciding, helping."""

from collections.abc import Callable

import pytest

from potp2p.foundation.types import Digest, ValidatorIndex, View
from potp2p.protocol.consensus.effects import (
    Accuse,
    Broadcast,
    Cast,
    CheckBlock,
    Decide,
    Effect,
    FetchBlock,
    RequestBlock,
    Send,
    SetTimer,
)
from potp2p.protocol.consensus.events import (
    BlockOffered,
    Event,
    MessageReceived,
    Resumed,
    SealReceived,
    Timer,
)
from potp2p.protocol.consensus.machine import Replica
from potp2p.protocol.wire.consensus import (
    Commit,
    Prepare,
    Propose,
    SealNotice,
    SignedMessage,
    ViewChange,
)
from potp2p.simulation.core.messages import (
    certificate,
    checked,
    commit,
    prepare,
    propose,
    seal,
    view_change,
)
from potp2p.simulation.core.stubs import FIRST_HEIGHT, GENESIS_HEAD, TIMING, start
from tests.doubles.committee import APPLE, PEAR, Bench, cast_of, decided_in


def prepared_bench(size: int = 4, seat: int = 1) -> Bench:
    """Return a replica that has prepared the proposal of view 0."""
    bench = Bench(start(size, seat))
    bench.hear(propose(0, APPLE))
    bench.step(checked(APPLE))
    return bench


def committed_bench(size: int = 4, seat: int = 1) -> Bench:
    """Return a replica that has committed on the proposal of view 0."""
    bench = prepared_bench(size, seat)
    others = [other for other in range(size) if other != seat]
    bench.hear(*(prepare(other, APPLE) for other in others))
    assert bench.at.prepared is not None
    return bench


def test_height_starts_with_its_timers_after_the_block_interval() -> None:
    bench = Bench(start(4, 1))

    assert bench.started == [
        SetTimer(Timer.VIEW, FIRST_HEIGHT, bench.at.view, 3_500),
        SetTimer(Timer.REBROADCAST, FIRST_HEIGHT, bench.at.view, 1_500),
        SetTimer(Timer.STATUS, FIRST_HEIGHT, bench.at.view, 2_500),
    ]


def test_first_primary_is_asked_for_a_block_after_the_block_interval() -> None:
    bench = Bench(start(4, 0))

    assert RequestBlock(FIRST_HEIGHT, bench.at.view, 500) in bench.started


def test_order_of_primaries_is_the_one_given() -> None:
    facts = start(4, 2, primaries=(2, 3, 0))

    assert [facts.primary(View(view)) for view in range(7)] == [2, 3, 0, 2, 3, 0, 2]
    assert any(isinstance(effect, RequestBlock) for effect in Bench(facts).started)


def test_primary_proposes_what_it_was_offered_and_sends_it_once_signed() -> None:
    bench = Bench(start(4, 0))

    effects = bench.step(BlockOffered(FIRST_HEIGHT, bench.at.view, APPLE))

    assert cast_of(effects) == [propose(0, APPLE).statement]
    assert Broadcast(propose(0, APPLE)) in effects
    assert CheckBlock(FIRST_HEIGHT, bench.at.view, APPLE, first_proposal=True) in effects


def test_primary_that_was_offered_twice_proposes_once() -> None:
    bench = Bench(start(4, 0))
    bench.step(BlockOffered(FIRST_HEIGHT, bench.at.view, APPLE))

    assert bench.step(BlockOffered(FIRST_HEIGHT, bench.at.view, PEAR)) == []


def test_proposal_is_prepared_only_after_its_block_was_executed() -> None:
    bench = Bench(start(4, 1))

    heard = bench.hear(propose(0, APPLE))
    prepared = bench.step(checked(APPLE))

    assert heard == [
        CheckBlock(FIRST_HEIGHT, bench.at.view, APPLE, first_proposal=True),
        FetchBlock(FIRST_HEIGHT, APPLE, (ValidatorIndex(0),)),
    ]
    assert cast_of(prepared) == [prepare(1, APPLE).statement]


def test_invalid_block_is_neither_prepared_nor_committed() -> None:
    bench = Bench(start(4, 1))
    bench.hear(propose(0, APPLE))

    effects = bench.step(checked(APPLE, valid=False))
    effects += bench.hear(*(prepare(other, APPLE) for other in (0, 2, 3)))

    assert cast_of(effects) == []


def test_proposal_of_another_than_the_primary_is_ignored() -> None:
    bench = Bench(start(4, 1))

    assert bench.hear(propose(2, APPLE)) == []
    assert bench.at.proposal is None


def test_quorum_of_prepares_is_committed_on_and_not_one_less() -> None:
    bench = prepared_bench()

    early = bench.hear(prepare(2, APPLE))
    enough = bench.hear(prepare(3, APPLE))

    assert cast_of(early) == []
    assert cast_of(enough) == [commit(1, APPLE).statement]


def test_duplicates_of_one_signer_make_no_quorum() -> None:
    bench = prepared_bench()

    effects = bench.hear(*[prepare(2, APPLE)] * 5)
    effects += bench.hear(*[commit(2, APPLE)] * 5)

    assert cast_of(effects) == []
    assert decided_in(effects) == []


def test_prepares_for_another_block_do_not_count() -> None:
    bench = prepared_bench()

    assert cast_of(bench.hear(prepare(2, PEAR), prepare(3, PEAR))) == []


def test_prepares_of_another_view_do_not_count() -> None:
    bench = prepared_bench()

    assert cast_of(bench.hear(prepare(2, APPLE, view=1), prepare(3, APPLE, view=1))) == []


def test_prepares_without_the_proposal_are_not_committed_on() -> None:
    bench = Bench(start(4, 1))

    assert cast_of(bench.hear(*(prepare(other, APPLE) for other in (0, 2, 3)))) == []


def test_prepares_never_count_as_commits() -> None:
    bench = prepared_bench()

    effects = bench.hear(*(prepare(other, APPLE) for other in (0, 2, 3)))

    assert decided_in(effects) == []


@pytest.mark.parametrize(("size", "quorum"), [(1, 1), (2, 2), (3, 3), (4, 3), (5, 4), (7, 5)])
def test_quorum_of_commits_decides_with_their_seal(size: int, quorum: int) -> None:
    bench = Bench(start(size, None))

    for signer in range(quorum - 1):
        assert decided_in(bench.hear(commit(signer, APPLE))) == []

    assert decided_in(bench.hear(commit(quorum - 1, APPLE))) == [seal(APPLE, tuple(range(quorum)))]


def test_commits_of_any_view_decide_in_whatever_view_we_are() -> None:
    bench = Bench(start(4, 1))
    bench.time_out()

    effects = bench.hear(*(commit(signer, APPLE, view=0) for signer in (0, 2, 3)))

    assert decided_in(effects) == [seal(APPLE, (0, 2, 3))]


def test_commits_of_different_views_do_not_add_up() -> None:
    bench = Bench(start(4, 1))

    effects = bench.hear(*(commit(signer, APPLE, view=signer) for signer in (0, 2, 3)))

    assert decided_in(effects) == []


def test_seal_from_catch_up_decides() -> None:
    bench = Bench(start(4, 1))
    expected = seal(APPLE, (0, 2, 3))

    effects = bench.step(SealReceived(expected))

    assert decided_in(effects) == [expected]
    assert FetchBlock(
        FIRST_HEIGHT, APPLE, (ValidatorIndex(0), ValidatorIndex(2), ValidatorIndex(3))
    ) in (effects)


@pytest.mark.parametrize("height", [0, 2])
def test_seal_of_another_height_decides_nothing(height: int) -> None:
    bench = Bench(start(4, 1))

    assert bench.step(SealReceived(seal(APPLE, (0, 2, 3), height=height))) == []


def test_decided_replica_votes_no_more() -> None:
    bench = prepared_bench()
    bench.step(SealReceived(seal(PEAR, (0, 2, 3))))

    effects = bench.hear(*(prepare(other, APPLE) for other in (0, 2, 3)))

    assert cast_of(effects) == []
    assert bench.time_out() == []


def test_decided_replica_keeps_asking_for_the_missing_block() -> None:
    bench = Bench(start(4, 1))
    bench.step(SealReceived(seal(APPLE, (0, 2, 3))))

    effects = bench.tick(Timer.REBROADCAST)

    assert any(isinstance(effect, FetchBlock) for effect in effects)
    assert any(isinstance(effect, SetTimer) for effect in effects)


def test_single_validator_decides_alone() -> None:
    bench = Bench(start(1, 0))

    bench.step(BlockOffered(FIRST_HEIGHT, bench.at.view, APPLE))
    effects = bench.step(checked(APPLE))

    assert cast_of(effects) == [prepare(0, APPLE).statement, commit(0, APPLE).statement]
    assert decided_in(effects) == [seal(APPLE, (0,))]


def test_replica_without_seat_decides_and_never_speaks() -> None:
    bench = Bench(start(4, None))

    effects = bench.hear(propose(0, APPLE))
    effects += bench.step(checked(APPLE))
    effects += bench.hear(*(prepare(signer, APPLE) for signer in range(3)))
    effects += bench.hear(*(view_change(signer, 1) for signer in range(3)))
    effects += bench.hear(*(commit(signer, APPLE) for signer in range(3)))

    assert bench.started == []
    assert decided_in(effects) == [seal(APPLE, (0, 1, 2))]
    assert not any(isinstance(effect, Cast | Broadcast) for effect in effects)


@pytest.mark.parametrize("height", [0, 2, 10**9])
def test_vote_of_another_height_allocates_nothing(height: int) -> None:
    bench, untouched = Bench(start(4, 1)), Bench(start(4, 1))

    assert bench.hear(prepare(2, APPLE, height=height), commit(2, APPLE, height=height)) == []
    assert bench.replica == untouched.replica


def test_vote_of_a_seat_that_does_not_exist_is_ignored() -> None:
    bench, untouched = Bench(start(4, 1)), Bench(start(4, 1))

    assert bench.hear(prepare(4, APPLE), commit(99, APPLE), view_change(4, 1)) == []
    assert bench.replica == untouched.replica


def test_height_that_moves_back_is_our_bug() -> None:
    bench = Bench(start(4, 1, height=5))

    with pytest.raises(AssertionError):
        bench.step(start(4, 1, height=5))


# Evidence


def test_second_proposal_for_a_view_accuses_and_changes_nothing() -> None:
    bench = Bench(start(4, 1))
    bench.hear(propose(0, APPLE))

    effects = bench.hear(propose(0, PEAR))

    assert effects == [Accuse(propose(0, APPLE), propose(0, PEAR))]
    assert bench.at.proposal == propose(0, APPLE)


@pytest.mark.parametrize("vote", [prepare, commit])
def test_two_votes_of_one_signer_accuse_once_and_the_first_stays(
    vote: Callable[[int, Digest], SignedMessage],
) -> None:
    bench = prepared_bench()
    bench.hear(vote(2, APPLE))

    effects = bench.hear(vote(2, PEAR), vote(2, PEAR))

    assert effects == [Accuse(vote(2, APPLE), vote(2, PEAR))]


def test_seal_accuses_who_committed_to_another_block_before_us() -> None:
    bench = Bench(start(4, 1))
    bench.hear(commit(2, PEAR), commit(3, PEAR, view=1))

    effects = bench.step(SealReceived(seal(APPLE, (0, 2, 3))))

    accused = [each for each in effects if isinstance(each, Accuse)]
    assert accused == [Accuse(commit(2, PEAR), commit(2, APPLE))], "another view is another place"


def test_other_signature_under_the_same_words_is_no_offence() -> None:
    bench = prepared_bench()
    first = prepare(2, APPLE)
    again = type(first)(first.statement, prepare(3, APPLE).signature)

    assert bench.hear(first, again) == []


def test_equivocator_cannot_take_a_counted_vote_back() -> None:
    bench = prepared_bench()
    bench.hear(prepare(2, APPLE), prepare(2, PEAR))

    assert cast_of(bench.hear(prepare(3, APPLE))) == [commit(1, APPLE).statement]


def test_two_view_changes_to_one_view_accuse() -> None:
    bench = Bench(start(4, 1))
    first = view_change(2, 1)
    second = view_change(2, 1, certificate=certificate(APPLE, (0, 2, 3)))

    assert Accuse(first, second) in bench.hear(first, second)


def test_words_of_other_views_or_phases_are_no_offence() -> None:
    bench = prepared_bench()

    effects = bench.hear(prepare(2, APPLE), prepare(2, PEAR, view=1), commit(2, PEAR, view=2))

    assert not any(isinstance(effect, Accuse) for effect in effects)


# Own words


def test_own_words_are_sent_only_when_they_come_back_signed() -> None:
    replica = Replica(TIMING)
    replica.step(start(4, 1))
    replica.step(MessageReceived(propose(0, APPLE)))

    effects = replica.step(checked(APPLE))

    assert [type(effect) for effect in effects] == [Cast]


def test_copy_of_an_own_word_from_outside_is_not_sent_again() -> None:
    bench = prepared_bench()

    assert bench.hear(prepare(1, APPLE)) == []


def test_rebroadcast_repeats_the_latest_own_words() -> None:
    bench = committed_bench()

    effects = bench.tick(Timer.REBROADCAST)

    assert Broadcast(prepare(1, APPLE)) in effects
    assert Broadcast(commit(1, APPLE)) in effects


def test_rebroadcast_after_a_view_change_carries_the_certificate() -> None:
    bench = committed_bench()
    bench.time_out()

    effects = bench.tick(Timer.REBROADCAST)

    expected = certificate(APPLE, (0, 1, 2))
    assert Broadcast(view_change(1, 1, certificate=expected)) in effects


def test_silent_primary_gets_asked_for_the_block_again() -> None:
    bench = Bench(start(4, 1))
    bench.hear(propose(0, APPLE), prepare(2, APPLE))

    effects = bench.tick(Timer.REBROADCAST)

    assert FetchBlock(FIRST_HEIGHT, APPLE, (ValidatorIndex(0), ValidatorIndex(2))) in effects


# Restart


def replayed(events: list[Event]) -> Replica:
    """Return a fresh replica that went through a log."""
    replica = Replica(TIMING)
    for event in events:
        replica.step(event)
    return replica


def test_replayed_replica_equals_the_one_that_lived() -> None:
    log: list[Event] = []

    class Logged(Bench):
        """Keeps what it steps on."""

        def step(self, event: Event) -> list[Effect]:
            log.append(event)
            return Bench.step(self, event)

    bench = Logged(start(4, 1))
    bench.hear(propose(0, APPLE))
    bench.step(checked(APPLE))
    bench.hear(prepare(0, APPLE), prepare(2, APPLE))
    bench.time_out()
    bench.hear(view_change(2, 1), view_change(3, 4))

    assert replayed(log) == bench.replica


def test_resumed_replica_says_again_what_it_said_and_nothing_else() -> None:
    bench = committed_bench()
    bench.time_out()
    said = {type(message.statement): message for message in bench.at.own.values()}

    effects = bench.step(Resumed())

    assert cast_of(effects) == []
    frames = [effect.frame for effect in effects if isinstance(effect, Broadcast)]
    assert [frame for frame in frames if hasattr(frame, "statement")] == [
        said[Prepare],
        said[Commit],
        said[ViewChange],
    ]


def test_resumed_replica_signs_what_the_crash_kept_from_being_signed() -> None:
    replica = Replica(TIMING)
    replica.step(start(4, 0))
    at = replica.at
    assert at is not None
    lost = replica.step(BlockOffered(FIRST_HEIGHT, at.view, APPLE))

    effects = replica.step(Resumed())

    assert [effect for effect in effects if isinstance(effect, Cast)] == list(lost)
    assert not any(isinstance(effect, RequestBlock) for effect in effects)


def test_resumed_primary_that_had_not_chosen_is_asked_again() -> None:
    bench = Bench(start(4, 0))

    assert RequestBlock(FIRST_HEIGHT, bench.at.view, 500) in bench.step(Resumed())


def test_resumed_replica_decides_again_what_was_not_stored() -> None:
    bench = Bench(start(4, 1))
    bench.step(SealReceived(seal(APPLE, (0, 2, 3))))

    assert Decide(seal(APPLE, (0, 2, 3))) in bench.step(Resumed())


def test_resumed_replica_starts_the_timer_of_its_view() -> None:
    bench = Bench(start(4, 1))

    timers = [effect for effect in bench.step(Resumed()) if isinstance(effect, SetTimer)]

    assert {timer.timer for timer in timers} == set(Timer)


# Helping others


def test_stuck_validator_of_the_last_height_gets_the_seal() -> None:
    head_seal = seal(APPLE, (0, 1, 2), height=1)
    bench = Bench(start(4, 1, height=2, head=APPLE, head_seal=head_seal))

    effects = bench.hear(view_change(3, 1, height=1, head=GENESIS_HEAD))

    assert effects == [Send(ValidatorIndex(3), SealNotice(head_seal))]


def test_late_votes_of_a_decided_height_are_not_answered() -> None:
    head_seal = seal(APPLE, (0, 1, 2), height=1)
    bench = Bench(start(4, 1, height=2, head=APPLE, head_seal=head_seal))

    assert bench.hear(prepare(3, APPLE, height=1), commit(3, APPLE, height=1)) == []


def test_proposal_is_not_a_vote() -> None:
    bench = Bench(start(4, 1))
    bench.hear(propose(0, APPLE))

    assert bench.at.prepares.signers(bench.at.view) == ()
    assert Propose not in bench.at.own
