"""
Proof that a key signed two things where one is allowed, and what that costs.

Two signatures on equal content are no offence; two bodies under one key are, however they came
about. A seat loses a share of all it has at risk for each offence, the right to lead a view from
the next height on, its seat with the epoch, and every later one. All of the slash is burned: a
share for whoever brings the proof would go to the authors that can copy it, and give a cheat that
accuses itself a discount; honest validators bring it for nothing. A miner that signs two bodies
while it has weight loses what authors have: its rank, that weight, and for a time its leases. Its
bond stays, it answers for training, and no block can come of it.
"""

from bisect import bisect_left
from dataclasses import replace
from typing import Final, assert_never

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.limits import CONVICTIONS_KEPT_MAX
from potp2p.foundation.types import AccountId, Amount, Cycle, Height, NodeId, View
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.crypto.signing import verify_signature
from potp2p.protocol.ledger.context import BlockContext, require
from potp2p.protocol.ledger.heights import epoch_of
from potp2p.protocol.ledger.money import burn, slash
from potp2p.protocol.ledger.records import CycleWeights
from potp2p.protocol.ledger.seat_records import Barred, Convict, Offence
from potp2p.protocol.ledger.state import State
from potp2p.protocol.wire.blocks import BODY_DOMAIN
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.schema import encode
from potp2p.protocol.wire.transactions import DuplicateBody, DuplicateVote, Evidence

BODIES: Final = 0
"""Kind of an offence by two bodies; those of votes are their statements' kinds, from 1 on."""


def apply_evidence(state: State, action: Evidence, context: BlockContext) -> None:
    """Check a proof whole and punish whom it convicts."""
    offence = offence_of(action, context.genesis, context.height)
    offender = offender_of(state, action, context.genesis)
    _require_open(state, offender, offence, context.genesis)
    _verify_signatures(action, offender, context)
    _convict(state, offender, offence, context)


def is_open(state: State, action: Evidence, genesis: Genesis, height: Height) -> bool:
    """Tell whether a proof, if its signatures hold, would convict someone at a height."""
    try:
        offence = offence_of(action, genesis, height)
        _require_open(state, offender_of(state, action, genesis), offence, genesis)
    except PeerError:
        return False
    return True


def offence_of(action: Evidence, genesis: Genesis, proved: Height) -> Offence:
    """Return what a proof is about, if it is one; PeerError where it contradicts itself."""
    match action:
        case DuplicateVote():
            first, second = action.first.statement, action.second.statement
            places = [(each.epoch, each.height, each.view, each.signer) for each in (first, second)]
            _require_proof(type(first) is type(second), "statements of two kinds")
            _require_proof(places[0] == places[1], "statements about two places")
            _require_proof(first != second, "one statement, however often it was signed")
            epoch = epoch_of(first.height, genesis.consensus)
            _require_proof(first.epoch == epoch, "a height of another epoch")
            return Offence(epoch, first.height, first.view, first.KIND, proved)
        case DuplicateBody():
            one, other = action.first.body, action.second.body
            _require_proof(one.author == other.author, "bodies of two authors")
            _require_proof(one.height == other.height > 0, "bodies of two heights")
            _require_proof(one != other, "one body, however often it was signed")
            epoch = epoch_of(one.height, genesis.consensus)
            return Offence(epoch, one.height, View(0), BODIES, proved)
        case _:
            assert_never(action)


def offender_of(state: State, action: Evidence, genesis: Genesis) -> NodeId:
    """Return whose two signatures a proof shows, if they are that; PeerError if it is nobody."""
    if isinstance(action, DuplicateBody):
        return action.first.body.author
    statement = action.first.statement
    nodes = state.seats_of(statement.epoch)
    require(
        nodes is not None,
        RejectionReason.TOO_EARLY
        if statement.epoch > state.chain().epoch
        else RejectionReason.TOO_LATE,
        f"the seats of epoch {statement.epoch} are not kept",
    )
    assert nodes is not None
    require(statement.signer < len(nodes), RejectionReason.NOT_FOUND, "a seat that nobody held")
    return nodes[statement.signer]


def _require_proof(holds: bool, complaint: str) -> None:  # noqa: FBT001  # reads as a sentence
    require(holds, RejectionReason.BAD_PROOF, complaint)


def _require_open(state: State, offender: NodeId, offence: Offence, genesis: Genesis) -> None:
    """
    Refuse what cannot convict, before any signature is looked at.

    A proof is good for the unbonding time: so long what was at stake then can still be slashed.
    """
    require(offence.height <= offence.proved, RejectionReason.TOO_EARLY, "a height to come")
    require(
        offence.height + genesis.money.unbonding_blocks >= offence.proved,
        RejectionReason.TOO_LATE,
        f"height {offence.height} is beyond the unbonding time",
    )
    account = account_of(offender)
    seats = state.seats_of(offence.epoch) or ()
    convict = state.convict(account)
    known = () if convict is None else convict.offences
    require(not _is_known(known, offence), RejectionReason.DUPLICATE, "the offence was punished")
    require(
        offender in seats or _may_author(state, offender),
        RejectionReason.NOT_FOUND,
        "the signer was no validator and has no weight to write blocks with",
    )
    require(
        len(known) < CONVICTIONS_KEPT_MAX,
        RejectionReason.RATE,
        "the key was punished as often as a key can be",
    )


def _may_author(state: State, node: NodeId) -> bool:
    """
    Tell whether a miner has weight in the present draws.

    Without weight nobody writes blocks: two bodies of a fresh key harm none, and a record of each
    pair would stay for ever, in blocks that cost their sender nothing.
    """
    frozen = state.frozen_weights(state.chain().cycle).weights
    place = bisect_left(frozen, node, key=lambda each: each.miner)
    has_weight = place < len(frozen) and frozen[place].miner == node
    return has_weight and state.miner(account_of(node)) is not None


def _is_known(known: tuple[Offence, ...], offence: Offence) -> bool:
    return any(replace(each, proved=offence.proved) == offence for each in known)


def _verify_signatures(action: Evidence, offender: NodeId, context: BlockContext) -> None:
    match action:
        case DuplicateVote():
            for vote in (action.first, action.second):
                verify_signature(
                    offender,
                    vote.signature,
                    vote.statement.DOMAIN,
                    context.chain_id,
                    encode(vote.statement),
                )
        case DuplicateBody():
            for body in (action.first, action.second):
                verify_signature(
                    offender, body.signature, BODY_DOMAIN, context.chain_id, encode(body.body)
                )
        case _:
            assert_never(action)


def _convict(state: State, offender: NodeId, offence: Offence, context: BlockContext) -> None:
    account = account_of(offender)
    convict = state.convict(account)
    known = () if convict is None else convict.offences
    state.put_convict(account, Convict((*known, offence)))
    if offender in (state.seats_of(offence.epoch) or ()):
        taken = slash(state, account, context.genesis.money.slash_share)
        burn(state, taken, by_task=False)
    chain = state.chain()
    seats = tuple(
        replace(seat, convicted=context.height)
        if seat.node == offender and not seat.convicted
        else seat
        for seat in chain.seats
    )
    state.put_chain(replace(chain, seats=seats))
    if offence.kind == BODIES and state.miner(account) is not None:
        _bar_author(state, offender, account, context)


def _bar_author(state: State, node: NodeId, account: AccountId, context: BlockContext) -> None:
    """Take an author's rank for the cycle, its weight, and its leases for a time."""
    chain, miner = state.chain(), state.miner(account)
    assert miner is not None
    barred = {each.author: each for each in chain.barred}
    barred.setdefault(account, Barred(account, context.height))
    rows = tuple(barred[each] for each in sorted(barred))
    state.put_chain(replace(chain, barred=rows))
    until = Height(context.height + context.genesis.money.ban_blocks)
    banned_until = max(miner.banned_until, until)
    state.put_miner(account, replace(miner, live=False, rate=1, banned_until=banned_until))
    _forget_weight(state, node, context)


def _forget_weight(state: State, node: NodeId, context: BlockContext) -> None:
    """
    Take an author's weight out of every cycle that is not frozen, booked and waiting alike.

    What leases still carry goes first: a later rejection must not take back what is gone.
    """
    chain = state.chain()
    for task in (*chain.tasks, *chain.unsettled):
        for round_ in state.task(task).open_rounds:
            for row in state.round(task, round_).leases:
                lease = state.lease(task, round_, row.shard)
                if row.miner == node and lease.weight:
                    state.put_lease(task, round_, row.shard, replace(lease, weight=Amount(0)))
    window = context.genesis.consensus.lottery_cycles
    for cycle in map(Cycle, range(max(0, chain.cycle - window), chain.cycle + 1)):
        weights = state.result_weights(cycle).weights
        left = tuple(each for each in weights if each.miner != node)
        if left != weights:
            state.put_result_weights(cycle, CycleWeights(left) if left else None)
