"""
Miners: registration, readiness, and what a kept or missed lease does to them.

One whose bond does not suffice is a newcomer: it may register, is leased to within limits and
audited every time. It keeps its place in the state only while it is there: what costs seconds of
hashing must not fill the list for ever.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from potp2p.foundation.errors import RejectionReason
from potp2p.foundation.limits import MINERS_MAX
from potp2p.foundation.types import AccountId, Amount, Cycle, Height, NodeId
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.incentives.rewards import LeasePrice
from potp2p.protocol.ledger.context import BlockContext, Sender, require
from potp2p.protocol.ledger.heights import cycle_of, epoch_blocks, epoch_of, last_of
from potp2p.protocol.ledger.money import add_bond, debit
from potp2p.protocol.ledger.records import Miner
from potp2p.protocol.ledger.seats import drawable_below
from potp2p.protocol.ledger.stamp import NO_STAMP, STAMP_CYCLES, is_of_now, is_stamp
from potp2p.protocol.ledger.state import State
from potp2p.protocol.scheduling.assignment import Worker, rate_after
from potp2p.protocol.wire.tasks import TaskRules
from potp2p.protocol.wire.transactions import Ready, RegisterMiner

NEIGHBOURS: Final = 64
"""Miners of a full list that are looked at for one that may go."""
ABSENCE_EPOCHS: Final = 2
"""Whole epochs after which a newcomer that was not seen leaves the state."""


def apply_register_miner(
    state: State, sender: Sender, action: RegisterMiner, context: BlockContext
) -> None:
    """Take or update a rig's offer; a new one is bonded by the sponsor while that has money."""
    known = state.miner(sender.account)
    before = NO_STAMP if known is None else known.stamp
    require(action.stamp > before, RejectionReason.DUPLICATE, "stamp is not above the last one")
    require(action.devices >= 1, RejectionReason.OUT_OF_BOUNDS, "a rig without device")
    require(
        is_of_now(action.stamp, state.chain().cycle),
        RejectionReason.TOO_LATE,
        "stamp for another cycle",
    )
    require(
        is_stamp(context.chain_id, sender.node, action.stamp, context.genesis.training.stamp_bits),
        RejectionReason.BAD_PROOF,
        "stamp without the leading zero bits",
    )
    if known is None:
        record = _new_miner(state, sender, context)
    else:
        _require_not_banned(known, context.height)
        record = replace(known, seen=context.height)
        if _offer_of(known) != _offer_of(action):
            record = replace(record, changed=context.height)
    state.put_miner(
        sender.account,
        replace(
            record,
            payout=action.payout,
            devices=action.devices,
            memory_bytes=action.memory_bytes,
            classes=action.classes,
            lowest_price=action.lowest_price,
            name=action.name,
            stamp=action.stamp,
        ),
    )


def _offer_of(said: Miner | RegisterMiner) -> tuple[int, int, int, Amount, AccountId]:
    """Return what draws look at: a new name is no reason to leave a rig out for some blocks."""
    return said.devices, said.memory_bytes, said.classes, said.lowest_price, said.payout


def _new_miner(state: State, sender: Sender, context: BlockContext) -> Miner:
    if len(state.chain().miners) >= MINERS_MAX:
        _make_room(state, sender.account, context)
    chain = state.chain()
    state.put_chain(replace(chain, miners=tuple(sorted((*chain.miners, sender.account)))))
    _sponsor(state, sender.account, context)
    return Miner(
        node=sender.node,
        payout=sender.account,
        devices=0,
        memory_bytes=0,
        classes=0,
        lowest_price=Amount(0),
        name="",
        registered=context.height,
        live=True,
        ready_cycle=state.chain().cycle,
        rate=1,
        accepted=0,
        rejected=0,
        missed=0,
        earned=Amount(0),
        banned_until=Height(0),
        stamp=NO_STAMP,
        changed=context.height,
        seen=context.height,
        rounds_open=0,
    )


def _sponsor(state: State, account: AccountId, context: BlockContext) -> None:
    sponsor, amount = context.genesis.sponsor, context.genesis.money.sponsor_bond
    if sponsor is None or amount == 0 or state.account(sponsor).balance < amount:
        return
    debit(state, sponsor, amount)
    add_bond(state, account, amount, sponsor)


def _make_room(state: State, account: AccountId, context: BlockContext) -> None:
    """
    Drop the newcomer that was not seen for longest; refuse where all matter or are fresh.

    Only those that follow in the list are looked at: a block of registrations must not read
    thousands of records for each.
    """
    miners = state.chain().miners
    place = bisect_left(miners, account)
    near = (*miners[place:], *miners[:place])[:NEIGHBOURS]
    idle = [
        (miner.seen, account)
        for account, miner in _newcomers(state, near, context)
        if not miner.rounds_open and _is_past(miner, context)
    ]
    require(bool(idle), RejectionReason.RATE, "no room for another miner")
    _forget(state, frozenset({min(idle)[1]}))


def forget_absent(state: State, context: BlockContext) -> None:
    """At the end of an epoch: drop newcomers that were not seen for two whole epochs."""
    consensus = context.genesis.consensus
    if context.height != last_of(epoch_of(context.height, consensus), consensus):
        return
    long_ago = context.height - ABSENCE_EPOCHS * epoch_blocks(consensus)
    gone = {
        account
        for account, miner in _newcomers(state, state.chain().miners, context)
        if miner.seen < long_ago
        and _is_past(miner, context)
        and not miner.rounds_open
        and miner.banned_until <= context.height
    }
    if gone:
        _forget(state, frozenset(gone))


def _is_past(miner: Miner, context: BlockContext) -> bool:
    """Tell whether no registration of a miner is good any more: it would come back for nothing."""
    consensus = context.genesis.consensus
    return cycle_of(context.height, consensus) > cycle_of(miner.seen, consensus) + STAMP_CYCLES


def _newcomers(
    state: State, accounts: Iterable[AccountId], context: BlockContext
) -> Iterator[tuple[AccountId, Miner]]:
    """Yield who lacks a bond; but for its record, a miner could take what the sponsor gave it."""
    for account in accounts:
        miner, record = state.miner(account), state.account(account)
        assert miner is not None, "a listed miner has a record"
        is_sponsored = record.backer is not None and record.backer == context.genesis.sponsor
        if record.bond < context.genesis.money.miner_bond and not (is_sponsored and record.bond):
            yield account, miner


def _forget(state: State, gone: frozenset[AccountId]) -> None:
    chain = state.chain()
    left = tuple(account for account in chain.miners if account not in gone)
    state.put_chain(replace(chain, miners=left))
    for account in gone:
        state.put_miner(account, None)


def note_bond(state: State, account: AccountId, before: int, context: BlockContext) -> None:
    """Let a bond that has just come to suffice count from the next draws on, like an offer."""
    miner, enough = state.miner(account), context.genesis.money.miner_bond
    if miner is not None and before < enough <= state.account(account).bond:
        state.put_miner(account, replace(miner, changed=context.height))


def apply_ready(state: State, sender: Sender, action: Ready, context: BlockContext) -> None:
    """Make a miner live again: once per cycle, said in it or in the one before."""
    miner = state.miner(sender.account)
    require(miner is not None, RejectionReason.NOT_FOUND, "not a registered miner")
    assert miner is not None
    cycle = state.chain().cycle
    _require_not_banned(miner, context.height)
    require(not miner.live, RejectionReason.DUPLICATE, "the miner is live")
    require(action.cycle <= cycle, RejectionReason.TOO_EARLY, "ready in a cycle to come")
    require(action.cycle >= cycle - 1, RejectionReason.TOO_LATE, "ready in a cycle long gone")
    require(
        action.cycle > miner.ready_cycle, RejectionReason.DUPLICATE, "ready was said this cycle"
    )
    state.put_miner(
        sender.account,
        replace(
            miner,
            live=True,
            ready_cycle=Cycle(action.cycle),
            changed=context.height,
            seen=context.height,
        ),
    )


def eligible_workers(
    state: State, rules: TaskRules, price: LeasePrice, context: BlockContext
) -> tuple[Worker, ...]:
    """
    Return the live miners whose limits and lowest price a task meets, newcomers among them.

    What they said since the last f + 1 reveals waits: its sender may have known the beacon.
    """
    bond, drawable = context.genesis.money.miner_bond, drawable_below(state.chain())
    found: list[Worker] = []
    for account in state.chain().miners:
        miner = state.miner(account)
        assert miner is not None, "a listed miner has a record"
        if (
            miner.live
            and miner.changed < drawable
            and miner.banned_until <= context.height
            and not miner.suspended
            and miner.classes >> rules.model.tolerance & 1
            and miner.memory_bytes >= rules.model.memory_bytes
            and miner.lowest_price <= price.miner
        ):
            bonded = state.account(account).bond >= bond
            found.append(Worker(miner.node, miner.rate, bonded=bonded))
    return tuple(found)


def open_leases(state: State, nodes: Iterable[NodeId], height: Height) -> None:
    """Note who has leases in a round that begins."""
    for node in set(nodes):
        account = account_of(node)
        miner = state.miner(account)
        assert miner is not None, "leases go to registered miners"
        opened = replace(miner, rounds_open=miner.rounds_open + 1, seen=height)
        state.put_miner(account, opened)


def close_leases(state: State, nodes: Iterable[NodeId]) -> None:
    """Note who had leases in a round that leaves the state."""
    for node in set(nodes):
        account = account_of(node)
        miner = state.miner(account)
        assert miner is not None, "a lease belongs to a registered miner"
        assert miner.rounds_open > 0, "more rounds closed than opened"
        state.put_miner(account, replace(miner, rounds_open=miner.rounds_open - 1))


def book_round(  # noqa: PLR0913  # what one round says about one miner
    state: State, node: NodeId, *, delivered: int, missed: int, blocks: int, deadline: int
) -> None:
    """Write down what a miner made of its leases of a round; a miss ends `live`."""
    account = account_of(node)
    miner = state.miner(account)
    assert miner is not None, "a lease belongs to a registered miner"
    rate = rate_after(
        miner.rate, delivered=delivered, missed=missed, blocks=blocks, deadline=deadline
    )
    state.put_miner(
        account,
        replace(
            miner,
            rate=rate,
            accepted=miner.accepted + delivered,
            missed=miner.missed + missed,
            live=miner.live and not missed,
        ),
    )


def is_banned(state: State, node: NodeId, height: Height) -> bool:
    """Tell whether a conviction still keeps a miner out."""
    miner = state.miner(account_of(node))
    return miner is not None and miner.banned_until > height


def book_pay(state: State, node: NodeId, amount: int) -> None:
    """Write down what a miner earned."""
    account = account_of(node)
    miner = state.miner(account)
    assert miner is not None
    state.put_miner(account, replace(miner, earned=Amount(miner.earned + amount)))


def _require_not_banned(miner: Miner, height: Height) -> None:
    require(
        miner.banned_until <= height, RejectionReason.BANNED, f"banned until {miner.banned_until}"
    )
