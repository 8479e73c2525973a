"""The end of a round: pay by score, pay for audits, fold the receipts, drop the records."""

from dataclasses import dataclass, replace
from typing import Final

from potp2p.foundation.types import Amount, Height, NodeId, Round, ShardIndex, TaskId
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.incentives.rewards import audit_pay, result_pay, split
from potp2p.protocol.ledger.context import BlockContext
from potp2p.protocol.ledger.keys import LeasePlace
from potp2p.protocol.ledger.lease_story import story_of
from potp2p.protocol.ledger.miners import book_pay, close_leases
from potp2p.protocol.ledger.money import add_bond, credit, payout_of, spend
from potp2p.protocol.ledger.receipt_records import Receipt, ReportLine
from potp2p.protocol.ledger.receipts import SettledRound
from potp2p.protocol.ledger.records import LeaseRecord, LeaseStatus, RoundPhase, RoundRecord
from potp2p.protocol.ledger.rulings import paid_for_work
from potp2p.protocol.ledger.seats import judges_of
from potp2p.protocol.ledger.state import State
from potp2p.protocol.ledger.tasks import price_of, refund_if_settled


@dataclass(frozen=True, slots=True)
class _Pay:
    """What a lease earned."""

    amount: Amount
    kept: Amount
    """Part of it that became its miner's bond."""


NOTHING: Final = _Pay(Amount(0), Amount(0))


def is_settled(record: RoundRecord, height: Height) -> bool:
    """Tell whether nothing can change about a round any more: all is ruled, or unchallenged."""
    return (
        record.phase is RoundPhase.AUDIT
        and record.drawn
        and record.booked
        and not record.audits
        and height > record.challenge_until
    )


def settle_round(
    state: State, context: BlockContext, task_id: TaskId, round_: Round
) -> SettledRound:
    """Pay a round and let it leave the state but for a root over its receipts."""
    record = state.round(task_id, round_)
    leases = {row.shard: state.lease(task_id, round_, row.shard) for row in record.leases}
    paid = _pay_miners(state, context, task_id, leases)
    audit_pay = _pay_auditors(state, context, task_id, round_, leases)
    receipts = tuple(
        _receipt(state, context, (task_id, round_, shard), paid.get(shard, NOTHING), audit_pay)
        for shard in leases
    )
    for shard, lease in leases.items():
        state.put_lease(task_id, round_, shard, None)
        if lease.audited:
            state.put_audit(task_id, round_, shard, None)
    state.put_round(task_id, round_, None)
    close_leases(state, (row.miner for row in record.leases))
    task = state.task(task_id)
    settled = SettledRound(task_id, round_, context.height, task.receipts_root, receipts)
    state.put_task(
        task_id,
        replace(
            task,
            receipts_root=settled.root,
            open_rounds=tuple(each for each in task.open_rounds if each != round_),
        ),
    )
    refund_if_settled(state, task_id)
    return settled


def _receipt(
    state: State, context: BlockContext, place: LeasePlace, pay: _Pay, audit_pay: Amount
) -> Receipt:
    """Return what became of a lease, with the money it moved."""
    record, lease = state.round(place[0], place[1]), state.lease(*place)
    audit = state.audit(*place) if lease.audited else None
    judges = judges_of(state, record.started, context.genesis)
    story = story_of(place, state.task(place[0]).rules, record, lease, audit, len(judges))
    lines = story.audit
    if audit is not None and lines is not None:
        worked = paid_for_work(audit)
        by_stake = audit.challenge is not None and audit.challenge.lost
        lines = replace(
            lines,
            auditors=_with_pay(lines.auditors, worked, audit_pay),
            judges=lines.judges if by_stake else _with_pay(lines.judges, worked, audit_pay),
        )
    return replace(
        story,
        paid=pay.amount,
        bonded=pay.kept,
        score=lease.score if lease.status is LeaseStatus.PASSED else Amount(0),
        audit=lines,
        height=context.height,
    )


def _with_pay(
    lines: tuple[ReportLine, ...], worked: tuple[NodeId, ...], each: Amount
) -> tuple[ReportLine, ...]:
    return tuple(replace(line, paid=each) if line.auditor in worked else line for line in lines)


def _pay_miners(
    state: State,
    context: BlockContext,
    task_id: TaskId,
    leases: dict[ShardIndex, LeaseRecord],
) -> dict[ShardIndex, _Pay]:
    """Share the price of the passed leases by score; a rival's absence pays nobody."""
    task = state.task(task_id)
    passed = {shard: each for shard, each in leases.items() if each.status is LeaseStatus.PASSED}
    if not passed:
        return {}
    pool = price_of(task.rules, task.budget, context.genesis).miner * len(passed)
    parts = split(pool, [lease.score for lease in passed.values()])
    return {
        shard: _pay_miner(state, context, task_id, passed[shard].miner, part)
        for shard, part in zip(passed, parts, strict=True)
    }


def _pay_miner(
    state: State, context: BlockContext, task_id: TaskId, node: NodeId, amount: Amount
) -> _Pay:
    """Pay a lease; what a newcomer lacks of the miner bond is kept as its bond (DESIGN 8)."""
    account = account_of(node)
    lacks = max(0, context.genesis.money.miner_bond - state.account(account).bond)
    kept = min(lacks, amount)
    _pay_from_escrow(state, task_id, node, amount, kept=kept)
    book_pay(state, node, amount)
    return _Pay(amount, Amount(kept))


def _pay_auditors(
    state: State,
    context: BlockContext,
    task_id: TaskId,
    round_: Round,
    leases: dict[ShardIndex, LeaseRecord],
) -> Amount:
    """Put the auditors' share of the round aside; pay its result and its audits from it."""
    task, training = state.task(task_id), context.genesis.training
    price = price_of(task.rules, task.budget, context.genesis)
    inside = sum(each.status is not LeaseStatus.MISSED for each in leases.values())
    pool = min(task.audit_pool + price.auditors * inside, task.escrow)
    result = result_pay(price, context.genesis.money)
    pool -= _pay_results(state, task_id, round_, min(result * inside, pool))
    price = replace(price, auditors=Amount(price.auditors - result))
    workers = [
        node
        for shard, lease in leases.items()
        if lease.audited
        for node in paid_for_work(state.audit(task_id, round_, shard))
    ]
    each = audit_pay(
        price,
        pool,
        len(workers),
        rate=training.audit_rate,
        committee=training.audit_committee,
    )
    for node in workers:
        _pay_from_escrow(state, task_id, node, each)
    left = Amount(pool - each * len(workers))
    state.put_task(task_id, replace(state.task(task_id), audit_pool=left))
    return Amount(each)


def _pay_results(state: State, task_id: TaskId, round_: Round, share: int) -> int:
    """Pay in equal parts who found a round's result in time; returns how much that was."""
    earners = state.round(task_id, round_).result_earners
    each = share // max(1, len(earners))
    for node in earners:
        _pay_from_escrow(state, task_id, node, each)
    return each * len(earners)


def _pay_from_escrow(
    state: State, task_id: TaskId, node: NodeId, amount: int, *, kept: int = 0
) -> None:
    """Pay a node for its work; a part may be kept as its own bond."""
    spend(state, task_id, amount)
    add_bond(state, account_of(node), kept)
    credit(state, payout_of(state, node), amount - kept)
