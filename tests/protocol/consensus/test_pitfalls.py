"""Faults of other engines (consensus.md section 9) that no other test of this folder names."""

from dataclasses import replace

import pytest

from potp2p.foundation.types import Epoch, Height, ValidatorIndex, View
from potp2p.protocol.consensus.effects import Broadcast, CheckBlock, RequestBlock
from potp2p.protocol.consensus.events import (
    BlockOffered,
    MessageReceived,
    Resumed,
    SealReceived,
    Timer,
    TimerFired,
)
from potp2p.protocol.consensus.machine import Replica
from potp2p.protocol.wire.consensus import PreparedClaim
from potp2p.simulation.core.messages import (
    certificate,
    checked,
    commit,
    prepare,
    propose,
    seal,
    view_change,
)
from potp2p.simulation.core.stubs import FIRST_HEIGHT, TIMING, start
from tests.doubles.committee import APPLE, PEAR, Bench, cast_of, decided_in

PROOF = certificate(APPLE, (0, 2, 3, 4, 5))


def led_bench(seat: int = 1) -> Bench:
    """Return the primary of view 1 among seven, in view 1."""
    bench = Bench(start(7, seat))
    bench.time_out()
    return bench


def test_4_old_quorum_of_view_changes_moves_nobody_back_even_in_a_proposal() -> None:
    bench = Bench(start(7, 6))
    bench.hear(*(view_change(signer, 5) for signer in range(5)))
    shown = tuple(view_change(signer, 2) for signer in range(5))

    assert bench.hear(propose(2, APPLE, view=2, view_changes=shown)) == []
    assert bench.at.view == 5


def test_5_block_prepared_by_one_honest_member_alone_survives_the_view_change() -> None:
    bench = led_bench()

    effects = bench.hear(
        view_change(0, 1),
        view_change(2, 1),
        view_change(3, 1, certificate=PROOF),
        view_change(4, 1),
    )

    assert [each.block_hash for each in cast_of(effects) if hasattr(each, "block_hash")] == [APPLE]


def test_8_timer_never_grows_while_no_quorum_is_there() -> None:
    bench = Bench(start(4, 3))
    for view in range(1, 40):
        bench.step(TimerFired(Timer.VIEW, FIRST_HEIGHT, View(view - 1)))
        bench.hear(view_change(0, view))

    assert bench.at.timers_started == 0


def test_10_claim_beyond_the_quorum_that_was_shown_stops_nobody() -> None:
    """Primary and followers judge the same set, the one that is shown, whatever else they hold."""
    follower = Bench(start(7, 6))
    shown = tuple(view_change(signer, 1) for signer in range(5))
    follower.hear(view_change(5, 1, certificate=PROOF))

    effects = follower.hear(propose(1, PEAR, view=1, view_changes=shown))
    effects += follower.step(checked(PEAR, primary=1, first_view=1))

    assert prepare(6, PEAR, view=1).statement in cast_of(effects)


def test_11_invalid_certificate_of_a_higher_view_does_not_shadow_a_valid_one() -> None:
    bench = Bench(start(7, 3))
    forged = certificate(PEAR, (0, 1, 2, 4), view=2)
    low = certificate(APPLE, (0, 1, 2, 4, 5), view=0)
    bench.hear(view_change(5, 3, certificate=forged))
    assert bench.at.view_changes.by_signer == {}

    effects = bench.hear(
        view_change(0, 3, certificate=low),
        *(view_change(signer, 3) for signer in (1, 2, 4, 5)),
    )

    assert [each.block_hash for each in cast_of(effects) if hasattr(each, "block_hash")] == [APPLE]


def test_12_proposal_of_a_higher_view_is_judged_by_the_primary_of_that_view() -> None:
    bench = Bench(start(7, 6))
    shown = tuple(view_change(signer, 2) for signer in range(5))

    assert bench.hear(propose(0, APPLE, view=2, view_changes=shown)) == []
    assert bench.at.view == 0
    assert bench.hear(propose(2, APPLE, view=2, view_changes=shown)) != []


def test_12_certificate_inside_a_proposal_must_be_of_the_claim_that_was_signed() -> None:
    bench = Bench(start(7, 6))
    shown = (*(view_change(signer, 1) for signer in range(4)), view_change(4, 1, certificate=PROOF))
    other = replace(PROOF, block_hash=PEAR)

    assert bench.hear(propose(1, PEAR, view=1, view_changes=shown, certificate=other)) == []
    assert bench.at.proposal is None


def test_12_second_seal_decides_nothing_more() -> None:
    bench = Bench(start(4, 1))
    bench.step(SealReceived(seal(APPLE, (0, 1, 2))))

    assert bench.step(SealReceived(seal(APPLE, (1, 2, 3)))) == []
    assert bench.hear(*(commit(signer, APPLE) for signer in (0, 2, 3))) == []


@pytest.mark.parametrize("height", [0, 2])
def test_12_answers_of_another_height_are_stale(height: int) -> None:
    bench = Bench(start(4, 0))
    untouched = Bench(start(4, 0))

    assert bench.step(BlockOffered(Height(height), View(0), APPLE)) == []
    assert bench.step(checked(APPLE, height=height)) == []
    assert bench.replica == untouched.replica


def test_12_vote_that_was_never_signed_is_not_counted_as_said() -> None:
    """The guard may refuse: then the replica goes on as if its vote had been lost."""
    replica = Replica(TIMING)
    replica.step(start(4, 1))
    replica.step(MessageReceived(propose(0, APPLE)))
    replica.step(checked(APPLE))
    for signer in (0, 2):
        replica.step(MessageReceived(prepare(signer, APPLE)))

    assert replica.at is not None
    assert replica.at.prepares.signers(View(0)) == (0, 2)
    assert replica.at.prepared is None


def test_12_thousand_proposals_are_handled_without_recursion() -> None:
    bench = Bench(start(4, 3))
    for view in range(1, 1_000):
        shown = tuple(view_change(signer, view) for signer in (0, 1, 2))
        if view % 4 != 3:
            bench.hear(propose(view % 4, APPLE, view=view, view_changes=shown))

    assert bench.at.view == 998
    assert len(bench.at.view_changes.by_signer) <= 4


def test_14_choice_that_is_in_the_log_is_not_made_again() -> None:
    bench = Bench(start(4, 0))
    bench.step(BlockOffered(FIRST_HEIGHT, View(0), APPLE))

    effects = bench.step(Resumed())

    assert not any(isinstance(effect, RequestBlock) for effect in effects)
    assert Broadcast(propose(0, APPLE)) in effects
    assert bench.step(BlockOffered(FIRST_HEIGHT, View(0), PEAR)) == []


def test_17_tables_stay_bounded_over_a_thousand_views_of_floods() -> None:
    bench = Bench(start(7, 6))
    for view in range(1, 1_000):
        bench.hear(*(view_change(signer, view) for signer in range(5)))
        bench.hear(*(prepare(signer, APPLE, view=view) for signer in range(5)))
        bench.hear(*(commit(signer, PEAR, view=view) for signer in range(4)))

    at = bench.at
    assert sum(map(len, at.prepares.by_view.values())) <= 4 * 7
    assert sum(map(len, at.commits.by_view.values())) <= 4 * 7
    assert (len(at.own), len(at.casting), len(at.checked)) == (1, 0, 0)


def test_24_claim_of_another_epoch_is_refused_with_its_certificate() -> None:
    bench = Bench(start(7, 6))
    message = view_change(3, 2, certificate=PROOF)
    assert message.certificate is not None
    strange = replace(message, certificate=replace(PROOF, epoch=Epoch(1)))

    assert bench.hear(strange) == []
    assert bench.at.view_changes.by_signer == {}


def test_25_replica_that_was_wiped_runs_its_timer_from_the_head_it_recovered() -> None:
    bench = Bench(start(4, 2, height=9, head=APPLE, head_seal=seal(APPLE, (0, 1, 2), height=8)))

    bench.time_out()

    assert (bench.at.facts.height, bench.at.view) == (9, 1)


def test_26_claim_is_of_the_highest_view_that_was_committed_on() -> None:
    """A claim of the first one only would let a later quorum be dropped."""
    bench = Bench(start(4, 3))
    bench.hear(propose(0, APPLE))
    bench.step(checked(APPLE))
    bench.hear(prepare(0, APPLE), prepare(1, APPLE))
    shown = (view_change(0, 1), view_change(1, 1), view_change(2, 1))
    bench.hear(propose(1, PEAR, view=1, view_changes=shown))
    bench.step(checked(PEAR, primary=1, first_view=1))
    bench.hear(prepare(0, PEAR, view=1), prepare(1, PEAR, view=1))

    effects = bench.time_out()

    claims = [each.prepared for each in cast_of(effects) if hasattr(each, "prepared")]
    assert claims == [PreparedClaim(View(1), PEAR)]
    assert decided_in(effects) == []


def test_own_statements_of_another_seat_are_never_cast() -> None:
    bench = Bench(start(4, 2))
    effects = bench.hear(propose(0, APPLE)) + bench.step(checked(APPLE)) + bench.time_out()

    assert {each.signer for each in cast_of(effects)} == {ValidatorIndex(2)}
    assert any(isinstance(effect, CheckBlock) for effect in effects)
