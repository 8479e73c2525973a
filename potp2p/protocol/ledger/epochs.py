"""What happens at a block's start: the parent's frame, then a new cycle or epoch."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from potp2p.foundation.committee import faulty_max, weak_quorum
from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.types import (
    GENESIS_HEIGHT,
    Amount,
    Cycle,
    Digest,
    Epoch,
    Height,
    NodeId,
    ValidatorIndex,
)
from potp2p.protocol.crypto.beacon import NO_REVEAL, next_beacon, verify_reveal
from potp2p.protocol.crypto.hashing import tagged_hash
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.incentives.lottery import draw_miners, ranking_of
from potp2p.protocol.incentives.weights import Weights
from potp2p.protocol.ledger.money import credit
from potp2p.protocol.ledger.records import (
    MISSES_MAX,
    Chain,
    CycleWeights,
    PassedOver,
    Seat,
    Weight,
)
from potp2p.protocol.ledger.state import State
from potp2p.protocol.wire.blocks import NO_DIGEST, Frame, Header
from potp2p.protocol.wire.genesis import ConsensusParameters

VALIDATORS_DOMAIN: Final = "potp2p/validators/1"
MISS_EXPONENT_MAX: Final = 6


def cycle_of(height: Height, consensus: ConsensusParameters) -> Cycle:
    """Return the cycle of a height; the first block opens cycle 0."""
    return Cycle((height - 1) // consensus.cycle_blocks)


def epoch_of(height: Height, consensus: ConsensusParameters) -> Epoch:
    """Return the epoch of a height; the first block opens epoch 0."""
    return Epoch((height - 1) // (consensus.cycle_blocks * consensus.epoch_cycles))


def reveal_position(height: Height, consensus: ConsensusParameters) -> int:
    """Return how many hashes lead from a height's reveal to its epoch's anchor."""
    return (height - 1) % (consensus.cycle_blocks * consensus.epoch_cycles) + 1


def primaries(chain: Chain, height: Height) -> tuple[ValidatorIndex, ...]:
    """
    Return the seats in the order of views, those that missed their turns lately left out.

    Never more than f are left out; those whose absence is oldest come back first.
    """
    count = len(chain.seats)
    order = [ValidatorIndex((height + view) % count) for view in range(count)]
    skipped = [seat for seat in order if chain.seats[seat].skipped_until > height]
    newest = sorted(skipped, key=lambda seat: (-chain.seats[seat].skipped_until, seat))
    left_out = set(newest[: faulty_max(count)])
    return tuple(seat for seat in order if seat not in left_out)


def weights_of(record: CycleWeights) -> Weights:
    """Return weights as the lottery takes them."""
    return tuple((each.miner, each.weight) for each in record.weights)


def barred_of(chain: Chain, weights: Weights) -> frozenset[NodeId]:
    """Return the miners that f + 1 primaries passed over as authors in this cycle."""
    enough = weak_quorum(len(chain.seats))
    barred = {each.author for each in chain.passed_over if len(each.primaries) >= enough}
    return frozenset(node for node, _ in weights if account_of(node) in barred)


def ranking(state: State, height: Height) -> tuple[NodeId, ...]:
    """Return up to three authors of a height, best first; the state knows beacon(height - 1)."""
    chain = state.chain()
    weights = weights_of(state.frozen_weights(chain.cycle))
    barred = barred_of(chain, weights)
    return ranking_of(draw_miners(chain.beacon, height, weights, barred), weights, barred)


def verify_frame(
    state: State, frame: Frame, height: Height, consensus: ConsensusParameters
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
    verify_reveal(frame.reveal, anchor, reveal_position(height, consensus))


def apply_frame(state: State, parent: Header) -> None:
    """Execute the frame of the parent: missed turns, passed-over authors, pay, then the beacon."""
    height, frame = parent.body.height, parent.frame
    chain = state.chain()
    order = primaries(chain, height)
    ranked = ranking(state, height)
    seats = list(chain.seats)
    for view in range(min(frame.view, len(order))):
        seats[order[view]] = _missed(seats[order[view]], height)
    seats[frame.primary] = replace(seats[frame.primary], misses=0, skipped_until=GENESIS_HEIGHT)
    better = ranked[: parent.body.rank] if parent.body.rank < len(ranked) else ranked
    tips = chain.pending_tips
    revealers = (
        frame.primary,
        *(seat for seat in chain.revealers if seat != frame.primary),
    )
    state.put_chain(
        replace(
            chain,
            seats=tuple(seats),
            passed_over=_pass_over(chain.passed_over, better, frame.primary),
            beacon=next_beacon(chain.beacon, frame.reveal),
            revealers=revealers,
            pending_tips=Amount(0),
        )
    )
    credit(state, account_of(chain.seats[frame.primary].node), tips)


def _missed(seat: Seat, height: Height) -> Seat:
    misses = min(seat.misses + 1, MISSES_MAX)
    away = 1 << min(misses, MISS_EXPONENT_MAX)
    return replace(seat, misses=misses, skipped_until=Height(height + 1 + away))


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


def switch(state: State, height: Height, consensus: ConsensusParameters) -> None:
    """Open the cycle and the epoch that begin at a height, if they do."""
    if height == 1:
        return
    if cycle_of(height, consensus) != state.chain().cycle:
        _open_cycle(state, cycle_of(height, consensus), consensus)
    if epoch_of(height, consensus) != state.chain().epoch:
        _open_epoch(state, epoch_of(height, consensus))


def _open_cycle(state: State, cycle: Cycle, consensus: ConsensusParameters) -> None:
    """Freeze the weights of the window that has just ended, and count what it burned."""
    chain = state.chain()
    window = range(max(0, cycle - consensus.lottery_cycles), cycle)
    totals: dict[NodeId, int] = {}
    for past in window:
        for each in state.result_weights(Cycle(past)).weights:
            totals[each.miner] = totals.get(each.miner, 0) + each.weight
    frozen = tuple(
        Weight(miner, Amount(totals[miner])) for miner in sorted(totals) if totals[miner] > 0
    )
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
        )
    )


def _open_epoch(state: State, epoch: Epoch) -> None:
    """Put the registered anchors in force; who has none reveals zeros and draws nothing."""
    chain = state.chain()
    seats = tuple(
        replace(seat, anchor=seat.next_anchor, next_anchor=NO_DIGEST) for seat in chain.seats
    )
    state.put_chain(replace(chain, epoch=epoch, seats=seats))


def next_validators_hash(chain: Chain) -> Digest:
    """Return the digest of the seats of the next epoch, in order; here the seats stay."""
    return tagged_hash(VALIDATORS_DOMAIN, *(seat.node for seat in chain.seats))
