"""Status exchange: the answer holds what is missing and nothing else."""

from potp2p.foundation.types import ValidatorIndex
from potp2p.protocol.consensus.catch_up import status_of
from potp2p.protocol.consensus.effects import Broadcast, Send
from potp2p.protocol.consensus.events import SealReceived, StatusReceived, Timer
from potp2p.protocol.wire.consensus import ConsensusFrame, SealNotice, SignedMessage, Status
from potp2p.simulation.core.letters import SIGNED
from potp2p.simulation.core.messages import (
    certificate,
    checked,
    commit,
    prepare,
    propose,
    seal,
    view_change,
)
from potp2p.simulation.core.stubs import FIRST_HEIGHT, start
from tests.doubles.committee import APPLE, Bench

ASKER = ValidatorIndex(3)


def answers(bench: Bench, status: Status) -> list[ConsensusFrame]:
    """Return what a replica sends to who told its status."""
    effects = bench.step(StatusReceived(ASKER, status))
    assert all(isinstance(effect, Send) and effect.to == ASKER for effect in effects)
    return [effect.frame for effect in effects if isinstance(effect, Send)]


def signed(frames: list[ConsensusFrame]) -> list[SignedMessage]:
    """Return what can be heard, of what was sent."""
    return [frame for frame in frames if isinstance(frame, SIGNED)]


def busy_bench() -> Bench:
    """Return a replica in view 0 that holds a proposal, three prepares and two commits."""
    bench = Bench(start(4, 1))
    bench.hear(propose(0, APPLE))
    bench.step(checked(APPLE))
    bench.hear(prepare(0, APPLE), prepare(2, APPLE), commit(0, APPLE))
    return bench


def test_status_is_told_every_two_seconds_while_undecided() -> None:
    bench = busy_bench()

    assert Broadcast(status_of(bench.at)) in bench.tick(Timer.STATUS)

    bench.step(SealReceived(seal(APPLE, (0, 1, 2))))
    assert bench.tick(Timer.STATUS) == []


def test_equal_status_is_answered_with_nothing() -> None:
    bench = busy_bench()

    assert answers(bench, status_of(bench.at)) == []


def test_empty_status_is_answered_with_everything() -> None:
    bench = busy_bench()

    assert answers(bench, status_of(Bench(start(4, 3)).at)) == [
        propose(0, APPLE),
        prepare(0, APPLE),
        prepare(1, APPLE),
        prepare(2, APPLE),
        commit(0, APPLE),
        commit(1, APPLE),
    ]


def test_only_what_the_bitmap_lacks_is_sent() -> None:
    bench = busy_bench()
    asker = Bench(start(4, 3))
    asker.hear(propose(0, APPLE), prepare(0, APPLE), prepare(2, APPLE), commit(1, APPLE))

    assert answers(bench, status_of(asker.at)) == [prepare(1, APPLE), commit(0, APPLE)]


def test_peer_in_a_lower_view_gets_view_changes_and_the_justified_proposal() -> None:
    bench = Bench(start(4, 2))
    shown = tuple(view_change(signer, 1) for signer in (0, 1, 2))
    proposal = propose(1, APPLE, view=1, view_changes=shown)
    bench.hear(proposal)

    frames = answers(bench, status_of(Bench(start(4, 3)).at))

    assert frames == [*shown, proposal]
    asker = Bench(start(4, 3))
    asker.hear(*signed(frames))
    assert asker.at.view == 1
    assert asker.at.proposal == proposal


def test_view_change_whose_proof_is_missing_is_not_passed_on() -> None:
    low = certificate(APPLE, (0, 1, 2, 3, 4), view=0)
    high = certificate(APPLE, (0, 1, 2, 3, 4), view=1)
    shown = (
        view_change(0, 2, certificate=low),
        view_change(1, 2, certificate=high),
        *(view_change(signer, 2) for signer in (2, 3, 4)),
    )
    bench = Bench(start(7, 6))
    bench.hear(propose(2, APPLE, view=2, view_changes=shown, certificate=high))

    frames = answers(bench, status_of(Bench(start(7, 3)).at))

    assert view_change(0, 2, certificate=low) not in frames
    asker = Bench(start(7, 3))
    asker.hear(*signed(frames))
    assert asker.at.view == 2


def test_peer_behind_gets_the_last_seal() -> None:
    head_seal = seal(APPLE, (0, 1, 2), height=4)
    bench = Bench(start(4, 1, height=5, head=APPLE, head_seal=head_seal))

    for height in (1, 4):
        asker = Bench(start(4, 3, height=height))
        assert answers(bench, status_of(asker.at)) == [SealNotice(head_seal)]


def test_decided_replica_answers_with_its_seal() -> None:
    bench = busy_bench()
    expected = seal(APPLE, (0, 1, 2))
    bench.step(SealReceived(expected))

    assert answers(bench, status_of(Bench(start(4, 3)).at)) == [SealNotice(expected)]


def test_peer_ahead_gets_nothing() -> None:
    asker = Bench(start(4, 3, height=FIRST_HEIGHT + 1))

    assert answers(busy_bench(), status_of(asker.at)) == []
