"""Miners: registration, readiness, and what a kept or missed lease does to them."""

from dataclasses import replace

from potp2p.foundation.errors import RejectionReason
from potp2p.foundation.limits import MINERS_MAX
from potp2p.foundation.types import AccountId, Amount, Cycle, Height, NodeId
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.incentives.rewards import LeasePrice
from potp2p.protocol.ledger.context import BlockContext, Sender, require
from potp2p.protocol.ledger.money import add_bond, debit
from potp2p.protocol.ledger.records import Miner
from potp2p.protocol.ledger.stamp import NO_STAMP, is_stamp
from potp2p.protocol.ledger.state import State
from potp2p.protocol.scheduling.assignment import Worker, rate_after
from potp2p.protocol.wire.tasks import TaskRules
from potp2p.protocol.wire.transactions import Ready, RegisterMiner


def apply_register_miner(
    state: State, sender: Sender, action: RegisterMiner, context: BlockContext
) -> None:
    """Take or update a rig's offer; a new one is bonded by the sponsor while that has money."""
    known = state.miner(sender.account)
    before = NO_STAMP if known is None else known.stamp
    require(action.stamp > before, RejectionReason.DUPLICATE, "stamp is not above the last one")
    require(action.devices >= 1, RejectionReason.OUT_OF_BOUNDS, "a rig without device")
    require(
        is_stamp(context.chain_id, sender.node, action.stamp, context.genesis.training.stamp_bits),
        RejectionReason.BAD_PROOF,
        "stamp without the leading zero bits",
    )
    if known is None:
        record = _new_miner(state, sender, context)
    else:
        _require_not_banned(known, context.height)
        record = known
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


def _new_miner(state: State, sender: Sender, context: BlockContext) -> Miner:
    chain = state.chain()
    require(len(chain.miners) < MINERS_MAX, RejectionReason.RATE, "no room for another miner")
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
    )


def _sponsor(state: State, account: AccountId, context: BlockContext) -> None:
    sponsor, amount = context.genesis.sponsor, context.genesis.money.sponsor_bond
    if sponsor is None or amount == 0 or state.account(sponsor).balance < amount:
        return
    debit(state, sponsor, amount)
    add_bond(state, account, amount, sponsor)


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
    state.put_miner(sender.account, replace(miner, live=True, ready_cycle=Cycle(action.cycle)))


def eligible_workers(
    state: State, rules: TaskRules, price: LeasePrice, context: BlockContext
) -> tuple[Worker, ...]:
    """Return the live, bonded miners whose limits and lowest price a task meets."""
    bond = context.genesis.money.miner_bond
    found: list[Worker] = []
    for account in state.chain().miners:
        miner = state.miner(account)
        assert miner is not None, "a listed miner has a record"
        if (
            miner.live
            and miner.banned_until <= context.height
            and not miner.suspended
            and state.account(account).bond >= bond
            and miner.classes >> rules.model.tolerance & 1
            and miner.memory_bytes >= rules.model.memory_bytes
            and miner.lowest_price <= price.miner
        ):
            found.append(Worker(miner.node, miner.rate, proven=miner.accepted > 0))
    return tuple(found)


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
