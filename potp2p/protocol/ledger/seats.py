"""
Who holds the seats of an epoch: asked for by an anchor, given by bond, left at the epoch's end.

The seats of e + 1 are fixed when the last block of e opens, after its parent's frame and before
its own transactions, so that its header can announce them. Every other header repeats the seats
of its own epoch: `next_validators_hash` of h always names who seals h + 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from potp2p.foundation.committee import faulty_max, weak_quorum
from potp2p.foundation.errors import RejectionReason
from potp2p.foundation.types import GENESIS_HEIGHT, Amount, Digest, Epoch, Height, NodeId
from potp2p.protocol.crypto.hashing import tagged_hash
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.ledger.context import BlockContext, Sender, require
from potp2p.protocol.ledger.heights import epoch_blocks, epoch_of
from potp2p.protocol.ledger.money import free_bond, release_bond
from potp2p.protocol.ledger.records import UNBONDINGS_MAX, Chain
from potp2p.protocol.ledger.seat_records import PastSeats, Seat
from potp2p.protocol.ledger.state import State
from potp2p.protocol.wire.blocks import NO_DIGEST
from potp2p.protocol.wire.genesis import Genesis

VALIDATORS_DOMAIN: Final = "potp2p/validators/1"
SEATS_MIN: Final = 4
"""Fewer survive no fault at all; a network that begins with fewer keeps what it has."""


@dataclass(frozen=True, slots=True)
class Sitting:
    """A seat at its epoch's end."""

    node: NodeId
    bond: int
    convicted: bool = False
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class Asking:
    """A node that asks for a seat."""

    node: NodeId
    bond: int


def validators_hash(nodes: Sequence[NodeId]) -> Digest:
    """Return the digest of a set of seats in order, as headers announce it."""
    return tagged_hash(VALIDATORS_DOMAIN, *nodes)


def elect(
    sitting: Sequence[Sitting], asking: Sequence[Asking], *, bond_min: int, seats_max: int
) -> tuple[NodeId, ...]:
    """
    Return the next epoch's seats: the highest bonds, by at most f = floor((n - 1) / 3) changes.

    A change is one node that goes, one that comes, or one that takes another's place: at least
    n - f stay, more than two thirds of both sets. First go the convicted, then those below the
    least bond, then those that asked to leave; never below four seats. Who sits wins a tie, or
    anyone could throw it out with an equal bond and a ground key; between others the lower node id.
    """
    count = len(sitting)
    changes = faulty_max(count)
    going = sorted(
        (each for each in sitting if each.convicted or each.bond < bond_min or each.leaving),
        key=lambda each: (not each.convicted, each.bond >= bond_min, each.bond, each.node),
    )[:changes]
    coming = sorted(
        (each for each in asking if each.bond >= bond_min),
        key=lambda each: (-each.bond, each.node),
    )
    room = max(0, seats_max - (count - len(going)))
    taken = coming[: min(changes, room)]
    while going and count - len(going) + len(taken) < min(count, SEATS_MIN):
        going.pop()
    stronger = coming[len(taken) : changes]
    weakest = sorted(
        (each for each in sitting if each not in going),
        key=lambda each: (each.bond, bytes(255 - byte for byte in each.node)),
    )
    for rival, holder in zip(stronger, weakest[: changes - len(going)], strict=False):
        if rival.bond <= holder.bond:
            break
        going.append(holder)
        taken.append(rival)
    gone = {each.node for each in going}
    stay = tuple(each.node for each in sitting if each.node not in gone)
    return stay + tuple(each.node for each in taken)


def settle_seats(state: State, genesis: Genesis) -> None:
    """Fix the seats of the next epoch, as the last block of this one opens."""
    chain = state.chain()
    sitting = [
        Sitting(seat.node, _bond_of(state, seat.node), seat.convicted > 0, seat.leaving > 0)
        for seat in chain.seats
    ]
    asking = [
        Asking(row.node, _bond_of(state, row.node))
        for row in state.candidates().rows
        if state.convict(account_of(row.node)) is None
    ]
    nodes = elect(
        sitting,
        asking,
        bond_min=genesis.money.validator_bond,
        seats_max=genesis.consensus.seats_max,
    )
    state.put_chain(replace(chain, next_seats=nodes))


def open_seats(state: State, epoch: Epoch, height: Height, genesis: Genesis) -> None:
    """Put the next seats in force with their anchors; who has none reveals zeros, draws nothing."""
    chain = state.chain()
    before = {seat.node: seat for seat in chain.seats}
    asked = {row.node: row.anchor for row in state.candidates().rows}
    seats: list[Seat] = []
    for node in chain.next_seats or tuple(before):
        old = before.get(node)
        if old is None:
            seats.append(_new_seat(state, node, asked.get(node, NO_DIGEST)))
        else:
            # Missed turns follow the node; what it asked or did while it sat does too.
            seats.append(replace(old, anchor=old.next_anchor, next_anchor=NO_DIGEST))
    state.put_chain(replace(chain, epoch=epoch, seats=tuple(seats), next_seats=()))
    state.put_candidates(None)
    state.put_past_seats(chain.epoch, PastSeats(tuple(before)))
    old_epoch = epoch - epochs_kept(genesis)
    if old_epoch >= 0:
        state.put_past_seats(Epoch(old_epoch), None)
    held = {seat.node for seat in seats}
    for seat in chain.seats:
        if seat.node not in held:
            _start_way_back(state, seat, height, genesis)


def epochs_kept(genesis: Genesis) -> int:
    """
    Return how many past epochs of seats the state keeps.

    An offence can be proved for the unbonding time after its height: so long its epoch is kept.
    """
    return -(-genesis.money.unbonding_blocks // epoch_blocks(genesis.consensus)) + 1


def next_validators(chain: Chain) -> tuple[NodeId, ...]:
    """Return who holds the seats at the height after the one that this state opens."""
    return chain.next_seats or tuple(seat.node for seat in chain.seats)


def judges_of(state: State, opened: Height, genesis: Genesis) -> tuple[NodeId, ...]:
    """
    Return the seats that judge what was opened at a height: those of its epoch, to its end.

    Whoever loses a seat finishes what it began, under a bond that outlasts all deadlines; so f + 1
    and a quorum count heads of one set, in which at most f lie. A set is always kept long enough.
    """
    nodes = state.seats_of(epoch_of(opened, genesis.consensus))
    assert nodes is not None, "unbonding outlasts every deadline, and a set outlasts unbonding"
    return nodes


def require_judge(state: State, sender: Sender, opened: Height, genesis: Genesis) -> None:
    """Raise PeerError unless the sender judges what was opened at a height."""
    require(
        sender.node in judges_of(state, opened, genesis),
        RejectionReason.WRONG_SENDER,
        "the sender held no validator seat when this was opened",
    )


def revealers_since(
    state: State, seen: tuple[NodeId, ...], context: BlockContext, since: Height
) -> tuple[NodeId, ...]:
    """
    Add the primary whose frame this block executed, if that block came after a height.

    Who has lost its seat since counts no more: f + 1 heads have an honest one in one set only.
    """
    seated = {seat.node for seat in state.chain().seats}
    revealer = context.revealer
    if revealer is not None and context.height - 1 > since and revealer not in seen:
        seen = (*seen, revealer)
    return tuple(node for node in seen if node in seated)


def drawable_below(chain: Chain) -> Height:
    """
    Return the height below which whatever was fixed may be drawn from with the present beacon.

    f + 1 of the present seats have revealed at that height or later, so after the set was fixed one
    honest secret has gone into the beacon (DESIGN section 4). `revealers_since` says the same of
    one set, waiting for it; this one serves sets that change with every block.
    """
    newest = sorted((seat.revealed for seat in chain.seats), reverse=True)
    return Height(newest[weak_quorum(len(newest)) - 1])


def _new_seat(state: State, node: NodeId, anchor: Digest) -> Seat:
    convict = state.convict(account_of(node))
    return Seat(
        node=node,
        anchor=anchor,
        next_anchor=NO_DIGEST,
        misses=0,
        skipped_until=GENESIS_HEIGHT,
        leaving=Amount(0),
        convicted=GENESIS_HEIGHT if convict is None else convict.offences[0].proved,
        revealed=GENESIS_HEIGHT,
    )


def _start_way_back(state: State, seat: Seat, height: Height, genesis: Genesis) -> None:
    """
    Begin the unbonding that a seat asked for while it was held.

    Who left seats before and has too much on its way already has to ask again, later.
    """
    account = account_of(seat.node)
    record = state.account(account)
    amount = min(seat.leaving, free_bond(record))
    if amount and len(record.unbonding) <= UNBONDINGS_MAX:
        due = Height(height + genesis.money.unbonding_blocks)
        release_bond(state, account, amount, due)


def _bond_of(state: State, node: NodeId) -> int:
    return state.account(account_of(node)).bond
