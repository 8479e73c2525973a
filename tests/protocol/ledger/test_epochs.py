"""Frames, beacon, cycles, epochs: what happens before a block's first transaction."""

from dataclasses import replace

import pytest

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.types import POT, Amount, Cycle, Epoch, Height, Rank, View
from potp2p.protocol.crypto.beacon import NO_REVEAL, next_beacon
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.ledger.epochs import primaries
from potp2p.protocol.ledger.heights import cycle_of, epoch_of, reveal_position
from potp2p.protocol.ledger.records import CycleWeights, Weight
from potp2p.protocol.ledger.seat_records import MISSES_MAX, Seat
from potp2p.protocol.wire.blocks import NO_DIGEST, RANK_NONE, Frame
from potp2p.protocol.wire.transactions import Anchor, Transfer
from tests.doubles.ledger_world import LedgerWorld, build_world, key_pair


@pytest.fixture
def world() -> LedgerWorld:
    return build_world(miners=0)


def with_weights(world: LedgerWorld, *names: str) -> LedgerWorld:
    """Put weights into the present cycle, as if earlier work had earned them."""
    state = world.state
    rows = sorted(
        (Weight(key_pair(name).node_id, Amount(100)) for name in names),
        key=lambda row: row.miner,
    )
    state.put_frozen_weights(state.chain().cycle, CycleWeights(tuple(rows)))
    world.rewrite(state)
    return world


def test_beacon_starts_at_the_chain_id_and_takes_each_reveal_one_block_later(
    world: LedgerWorld,
) -> None:
    expected = world.chain_id
    assert world.ledger.prospects(None).beacon == expected
    for _ in range(25):
        world.block(*world.duties())
        assert world.state.chain().beacon == expected, "block h executes with beacon(h - 1)"
        expected = next_beacon(expected, world.parent.frame.reveal)
        assert world.ledger.prospects(world.parent).beacon == expected


def test_state_root_does_not_depend_on_who_proposes(world: LedgerWorld) -> None:
    other = build_world(miners=0)
    assert world.block(view=0).state_root == other.block(view=3).state_root
    assert world.parent.frame != other.parent.frame


def test_reveal_of_another_height_or_seat_is_refused(world: LedgerWorld) -> None:
    world.run(3)
    prospects = world.ledger.prospects(world.parent)
    right = prospects.primaries[0]
    good = Frame(right, View(0), world._reveal(prospects, right))
    world.ledger.verify_frame(good, world.parent)
    later = world._reveal(replace(prospects, height=Height(prospects.height + 1)), right)
    for frame in (
        replace(good, primary=prospects.primaries[1]),
        replace(good, reveal=later),
        replace(good, reveal=NO_REVEAL),
        replace(good, primary=4),
    ):
        with pytest.raises(PeerError):
            world.ledger.verify_frame(frame, world.parent)


def test_heights_fall_into_cycles_and_epochs(world: LedgerWorld) -> None:
    rules = world.genesis.consensus
    heights = (1, 10, 11, 20, 21)
    assert [cycle_of(Height(each), rules) for each in heights] == [0, 0, 1, 1, 2]
    assert [epoch_of(Height(each), rules) for each in heights] == [0, 0, 0, 0, 1]
    assert [reveal_position(Height(each), rules) for each in heights] == [1, 10, 11, 20, 1]
    for _ in range(21):
        world.block()
        chain = world.state.chain()
        assert chain.cycle == cycle_of(Height(world.height), rules)
        assert chain.epoch == epoch_of(Height(world.height), rules)


def test_anchor_is_for_the_next_epoch_once_and_by_a_seat(world: LedgerWorld) -> None:
    seat, anchor = world.validators[0], sha256(b"anchor")

    def says(epoch: int, digest: bytes = anchor) -> bytes:
        return world.free(seat, Anchor(Epoch(epoch), digest))

    stranger = world.free(world.client, Anchor(Epoch(1), anchor))
    assert world.refusal(stranger) is RejectionReason.WRONG_SENDER
    assert world.refusal(says(0)) is RejectionReason.TOO_LATE
    assert world.refusal(says(2)) is RejectionReason.TOO_EARLY
    assert world.refusal(says(1, NO_DIGEST)) is RejectionReason.OUT_OF_BOUNDS
    world.block(says(1))
    assert world.refusal(says(1, sha256(b"other"))) is RejectionReason.DUPLICATE


def test_seat_without_anchor_reveals_zeros_and_the_chain_goes_on(world: LedgerWorld) -> None:
    away = world.validators[0].node_id
    world.silent = lambda node, action: node == away and isinstance(action, Anchor)
    world.run(20)
    assert world.state.chain().epoch == 0
    world.run(20)
    chain = world.state.chain()
    assert chain.epoch == 1
    assert [seat.anchor == NO_DIGEST for seat in chain.seats] == [True, False, False, False]
    prospects = world.ledger.prospects(world.parent)
    assert prospects.epoch == 2
    frame = Frame(0, View(0), sha256(b"chosen at will"))
    with pytest.raises(PeerError, match="bad_proof"):
        world.ledger.verify_frame(frame, world.parent)
    world.run(5)


def seats(*skipped_until: int) -> tuple[Seat, ...]:
    return tuple(
        Seat(
            key_pair(str(place)).node_id,
            NO_DIGEST,
            NO_DIGEST,
            1,
            Height(until),
            Amount(0),
            Height(0),
            Height(0),
        )
        for place, until in enumerate(skipped_until)
    )


@pytest.mark.parametrize(
    ("skipped", "height", "order"),
    [
        ((0, 0, 0, 0), 4, (0, 1, 2, 3)),
        ((0, 0, 0, 0), 6, (2, 3, 0, 1)),
        ((0, 0, 9, 0), 6, (3, 0, 1)),
        ((0, 0, 6, 0), 6, (2, 3, 0, 1)),
        ((8, 0, 9, 0), 6, (3, 0, 1)),
        ((9, 9, 9, 9), 6, (2, 3, 1)),
        ((9,), 6, (0,)),
        ((9, 9, 9), 6, (0, 1, 2)),
    ],
    ids=["rotation", "offset", "skipped", "back", "never more than f", "all", "one", "three"],
)
def test_primaries_rotate_and_no_more_than_f_are_skipped(
    world: LedgerWorld, skipped: tuple[int, ...], height: int, order: tuple[int, ...]
) -> None:
    chain = replace(world.state.chain(), seats=seats(*skipped))
    assert primaries(chain, Height(height)) == order


def test_failed_view_skips_its_primary_for_twice_as_long_each_time(world: LedgerWorld) -> None:
    world.block()
    lengths: list[int] = []
    for _ in range(3):
        late = world.ledger.prospects(world.parent).primaries[0]
        while world.ledger.prospects(world.parent).primaries[0] != 1:
            world.block()
        late = world.ledger.prospects(world.parent).primaries[0]
        world.block(view=1)
        away = 0
        while late not in world.ledger.prospects(world.parent).primaries:
            away += 1
            world.block()
        lengths.append(away)
    assert lengths == [2, 4, 8]


def test_turn_kept_forgives_half_a_miss(world: LedgerWorld) -> None:
    world.block(view=1)
    late = (world.parent.frame.primary - 1) % 4
    world.block()
    assert world.state.chain().seats[late].misses == 2
    for left in (1, 0, 0):
        while world.parent.frame.primary != late:
            world.block()
        world.block()
        assert world.state.chain().seats[late].misses == left


def test_who_fails_every_other_turn_is_skipped_longer_and_longer(world: LedgerWorld) -> None:
    def until_it_leads() -> None:
        while world.ledger.prospects(world.parent).primaries[0] != 1:
            world.block()

    world.block()
    lengths: list[int] = []
    for _ in range(5):
        until_it_leads()
        world.block(view=1)
        lengths.append(0)
        while 1 not in world.ledger.prospects(world.parent).primaries:
            lengths[-1] += 1
            world.block()
        until_it_leads()
        world.block()
    assert lengths == [2, 4, 4, 8, 8]


def test_count_of_misses_stays_within_its_record(world: LedgerWorld) -> None:
    state = world.state
    worn = tuple(replace(each, misses=MISSES_MAX) for each in state.chain().seats)
    state.put_chain(replace(state.chain(), seats=worn))
    world.rewrite(state)
    world.block(view=1)
    world.block()
    assert MISSES_MAX in {each.misses for each in world.state.chain().seats}


def test_author_passed_over_by_f_plus_one_primaries_loses_its_rank(world: LedgerWorld) -> None:
    with_weights(world, "rig")
    rig = key_pair("rig").node_id
    world.keys[rig] = key_pair("rig")
    assert world.ledger.prospects(world.parent).ranking == (rig,)
    world.block(rank=RANK_NONE)
    assert world.ledger.prospects(world.parent).ranking == (rig,), "one primary may be a liar"
    world.block(rank=RANK_NONE)
    assert world.ledger.prospects(world.parent).ranking == ()
    assert world.ledger.prospects(world.parent).certificate.total_weight == 100


def test_same_primary_passing_over_twice_counts_once(world: LedgerWorld) -> None:
    with_weights(world, "rig")
    for _ in range(2):
        while world.ledger.prospects(world.parent).primaries[0] != 3:
            world.block(rank=Rank(0))
        world.block(rank=RANK_NONE)
    assert len(world.ledger.prospects(world.parent).ranking) == 1


def test_rank_comes_back_with_the_next_cycle_and_tips_are_shared(world: LedgerWorld) -> None:
    with_weights(world, "rig", "rag", "rug")
    for _ in range(4):
        world.block(rank=RANK_NONE)
    assert world.ledger.prospects(world.parent).ranking == ()
    world.run_until(lambda: world.state.chain().cycle == 1)
    assert world.state.chain().passed_over == ()
    with_weights(world, "rig")
    gift = Transfer(account_of(key_pair("x").node_id), Amount(1))
    transfer = world.paid(world.client, gift, fee=7)
    world.block(transfer, rank=Rank(0))
    rig = world.account(key_pair("rig"))
    assert rig.balance == POT + 3, "subsidy floor and the smaller half of the tips"
    assert world.state.chain().pending_tips == 4
    assert world.state.chain().issued == POT


def test_subsidy_is_at_most_what_the_window_burned_and_the_floor() -> None:
    world = build_world()
    world.run(2)
    task = world.submit()
    world.run_until(lambda: world.task(task).escrow == 0)
    burned = world.state.chain().burned
    world.run_until(lambda: world.state.chain().cycle == 12)
    chain = world.state.chain()
    ranked = sum(rank != RANK_NONE for rank in world.authors)
    assert ranked > 10
    assert chain.issued - ranked * POT <= burned
    assert world.state.frozen_weights(Cycle(12)).weights == (), "the window has moved on"
    assert chain.burned_by_cycle == (0, 0, 0)
