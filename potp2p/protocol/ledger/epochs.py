"""What happens at a block's start: the parent's frame, then a new cycle or epoch."""

from collections.abc import Sequence
from dataclasses import replace

from potp2p.foundation.committee import faulty_max, weak_quorum
from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.limits import MINERS_MAX
from potp2p.foundation.types import (
    GENESIS_HEIGHT,
    Amount,
    Cycle,
    Height,
    NodeId,
    ValidatorIndex,
)
from potp2p.protocol.crypto.beacon import NO_REVEAL, KnownReveals, next_beacon
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.incentives.lottery import draw_miners, ranking_of
from potp2p.protocol.incentives.weights import Weights
from potp2p.protocol.ledger.auditors import freeze_auditors
from potp2p.protocol.ledger.heights import cycle_of, epoch_of, last_of, reveal_position
from potp2p.protocol.ledger.money import credit
from potp2p.protocol.ledger.records import (
    Chain,
    CycleWeights,
    PassedOver,
    Weight,
)
from potp2p.protocol.ledger.seat_records import MISS_WEIGHT, MISSES_MAX, Seat
from potp2p.protocol.ledger.seats import open_seats, settle_seats
from potp2p.protocol.ledger.state import State
from potp2p.protocol.wire.blocks import NO_DIGEST, Frame, Header
from potp2p.protocol.wire.genesis import ConsensusParameters, Genesis


def primaries(chain: Chain, height: Height) -> tuple[ValidatorIndex, ...]:
    """
    Return the seats in the order of views, without convicts and those that missed turns lately.

    Never more than f are left out; of those that missed turns, the oldest absence comes back first.
    Convicts come back last: they are among the f that lie, whoever else is only slow. A conviction
    counts from the next height on, so that who missed a turn of its own height can be recomputed.
    """
    seats, count = chain.seats, len(chain.seats)
    order = [ValidatorIndex((height + view) % count) for view in range(count)]
    convicts = {seat for seat in order if 0 < seats[seat].convicted < height}
    skipped = [seat for seat in order if seat in convicts or seats[seat].skipped_until > height]
    newest = sorted(
        skipped, key=lambda seat: (seat not in convicts, -seats[seat].skipped_until, seat)
    )
    left_out = set(newest[: faulty_max(count)])
    return tuple(seat for seat in order if seat not in left_out)


def weights_of(record: CycleWeights) -> Weights:
    """Return weights as the lottery takes them."""
    return tuple((each.miner, each.weight) for each in record.weights)


def barred_of(chain: Chain, weights: Weights, height: Height) -> frozenset[NodeId]:
    """Return who has no rank at a height: passed over by f + 1 primaries, or signed two bodies."""
    enough = weak_quorum(len(chain.seats))
    barred = {each.author for each in chain.passed_over if len(each.primaries) >= enough}
    barred |= {each.author for each in chain.barred if each.proved < height}
    return frozenset(node for node, _ in weights if account_of(node) in barred)


def ranking(state: State, height: Height) -> tuple[NodeId, ...]:
    """Return up to three authors of a height, best first; the state knows beacon(height - 1)."""
    chain = state.chain()
    weights = weights_of(state.frozen_weights(chain.cycle))
    barred = barred_of(chain, weights, height)
    return ranking_of(draw_miners(chain.beacon, height, weights, barred), weights, barred)


def verify_frame(
    state: State,
    frame: Frame,
    height: Height,
    consensus: ConsensusParameters,
    known: KnownReveals,
) -> None:
    """Raise PeerError unless the frame's reveal lies on its primary's chain at this depth."""
    seats = state.chain().seats
    if frame.primary >= len(seats):
        raise PeerError(RejectionReason.NOT_PRIMARY, f"no seat {frame.primary}")
    anchor = seats[frame.primary].anchor
    if anchor == NO_DIGEST:
        if frame.reveal != NO_REVEAL:
            raise PeerError(RejectionReason.BAD_PROOF, "reveal without an anchor")
        return
    known.verify(frame.reveal, anchor, reveal_position(height, consensus))


def apply_frame(state: State, parent: Header) -> None:
    """Execute the frame of the parent: missed turns, passed-over authors, pay, then the beacon."""
    height, frame = parent.body.height, parent.frame
    chain = state.chain()
    order = primaries(chain, height)
    ranked = ranking(state, height)
    seats = list(chain.seats)
    for view in range(min(frame.view, len(order))):
        seats[order[view]] = missed(seats[order[view]], height)
    seats[frame.primary] = kept(seats[frame.primary], height, frame)
    better = ranked[: parent.body.rank] if parent.body.rank < len(ranked) else ranked
    tips = chain.pending_tips
    state.put_chain(
        replace(
            chain,
            seats=tuple(seats),
            passed_over=_pass_over(chain.passed_over, better, frame.primary),
            beacon=next_beacon(chain.beacon, frame.reveal),
            pending_tips=Amount(0),
        )
    )
    credit(state, account_of(chain.seats[frame.primary].node), tips)


def missed(seat: Seat, height: Height) -> Seat:
    """Skip a seat for 2^k heights, k being half its misses, rounded up."""
    misses = min(seat.misses + MISS_WEIGHT, MISSES_MAX)
    away = 1 << -(-misses // MISS_WEIGHT)
    return replace(seat, misses=misses, skipped_until=Height(height + 1 + away))


def kept(seat: Seat, height: Height, frame: Frame) -> Seat:
    """
    Forgive half a miss: who fails every other turn is skipped longer and longer.

    Zeros, said for want of an anchor, are no secret and count as no reveal.
    """
    return replace(
        seat,
        misses=max(0, seat.misses - 1),
        skipped_until=GENESIS_HEIGHT,
        revealed=seat.revealed if frame.reveal == NO_REVEAL else height,
    )


def _pass_over(
    known: tuple[PassedOver, ...], better: Sequence[NodeId], primary: ValidatorIndex
) -> tuple[PassedOver, ...]:
    """Note that a primary proposed while better-ranked authors existed."""
    by_author = {each.author: each for each in known}
    for author in map(account_of, better):
        before = by_author.get(author, PassedOver(author, ()))
        if primary not in before.primaries:
            after = tuple(sorted((*before.primaries, primary)))
            by_author[author] = replace(before, primaries=after)
    return tuple(by_author[author] for author in sorted(by_author))


def switch(state: State, height: Height, genesis: Genesis) -> None:
    """Open the cycle and the epoch that begin at a height; fix the next seats where one ends."""
    consensus = genesis.consensus
    cycle, epoch = cycle_of(height, consensus), epoch_of(height, consensus)
    opens_cycle = cycle != state.chain().cycle
    if opens_cycle:
        _open_cycle(state, cycle, consensus)
    if epoch != state.chain().epoch:
        open_seats(state, epoch, height, genesis)
    if opens_cycle:
        freeze_auditors(state, cycle, genesis)
    if height == last_of(epoch, consensus):
        settle_seats(state, genesis)


def _open_cycle(state: State, cycle: Cycle, consensus: ConsensusParameters) -> None:
    """Freeze the weights of the window that has just ended, and count what it burned."""
    chain = state.chain()
    window = range(max(0, cycle - consensus.lottery_cycles), cycle)
    totals: dict[NodeId, int] = {}
    for past in window:
        for each in state.result_weights(Cycle(past)).weights:
            totals[each.miner] = totals.get(each.miner, 0) + each.weight
    # Who registers and is forgotten within the window makes room for others: the heaviest count.
    heaviest = sorted(totals, key=lambda miner: (-totals[miner], miner))[:MINERS_MAX]
    frozen = tuple(Weight(miner, Amount(totals[miner])) for miner in sorted(heaviest))
    state.put_frozen_weights(cycle, CycleWeights(frozen) if frozen else None)
    state.put_frozen_weights(Cycle(cycle - 1), None)
    if cycle > consensus.lottery_cycles:
        state.put_result_weights(Cycle(cycle - consensus.lottery_cycles - 1), None)
    burned = (*chain.burned_by_cycle, chain.burned_in_cycle)[-consensus.lottery_cycles :]
    state.put_chain(
        replace(
            chain,
            cycle=cycle,
            burned_by_cycle=burned,
            burned_in_cycle=Amount(0),
            passed_over=(),
            barred=(),
        )
    )
