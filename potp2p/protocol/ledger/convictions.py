"""What a failed audit costs: bond, open pay, weight, and the right to take leases for a time."""

from dataclasses import dataclass, replace
from typing import Final

from potp2p.foundation.types import Amount, Height, NodeId, Round, TaskId
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.ledger.audit_records import Penalty
from potp2p.protocol.ledger.booking import withdraw_weight
from potp2p.protocol.ledger.context import BlockContext
from potp2p.protocol.ledger.money import burn, credit, payout_of, slash, slash_amount
from potp2p.protocol.ledger.records import LeaseStatus, RoundPhase
from potp2p.protocol.ledger.state import State

BURNED_OF_SLASH: Final = 2
"""One half is burned."""


@dataclass(frozen=True, slots=True)
class Bounty:
    """Whom a conviction owes a reward, and how much to each at most."""

    to: tuple[NodeId, ...]
    each: int


def convict(
    state: State, context: BlockContext, task_id: TaskId, node: NodeId, bounty: Bounty
) -> Penalty:
    """Slash and ban a miner whose audit failed, and forfeit all its open pay (DESIGN 8.5)."""
    account = account_of(node)
    taken = slash(state, account, context.genesis.money.slash_share)
    penalty = share_out(state, task_id, taken, bounty)
    miner = state.miner(account)
    assert miner is not None, "a lease belongs to a registered miner"
    state.put_miner(account, replace(miner, rejected=miner.rejected + 1))
    _ban(state, context, node)
    return penalty


def punish_auditor(state: State, context: BlockContext, node: NodeId) -> int:
    """Slash whoever reported the opposite of what stands; a miner is banned too."""
    taken = slash_amount(state, account_of(node), context.genesis.money.auditor_slash)
    if state.miner(account_of(node)) is not None:
        _ban(state, context, node)
    return taken


def share_out(state: State, task_id: TaskId, taken: int, bounty: Bounty) -> Penalty:
    """
    Burn half of what was slashed, reward those that proved it, leave the rest to the task.

    The task's escrow pays auditors, and what is left goes back to the client that was cheated.
    Half is always burned: whoever lets itself be proved guilty by its own league loses by it.
    """
    burned = (taken + 1) // BURNED_OF_SLASH
    burn(state, burned, by_task=False)
    left = taken - burned
    part = min(bounty.each, left // max(1, len(bounty.to)))
    for node in bounty.to:
        credit(state, payout_of(state, node), part)
        left -= part
    task = state.task(task_id)
    state.put_task(task_id, replace(task, escrow=Amount(task.escrow + left)))
    return Penalty(Amount(taken), Amount(burned), bounty.to, Amount(part))


def _ban(state: State, context: BlockContext, node: NodeId) -> None:
    """Keep a miner out for a time and forfeit what it has not been paid yet."""
    account, money = account_of(node), context.genesis.money
    miner = state.miner(account)
    assert miner is not None, "only miners are banned"
    until = Height(context.height + money.ban_blocks)
    state.put_miner(account, replace(miner, live=False, rate=1, banned_until=until))
    chain = state.chain()
    for each in (*chain.tasks, *chain.unsettled):
        for round_ in state.task(each).open_rounds:
            _forfeit(state, each, round_, node)


def _forfeit(state: State, task_id: TaskId, round_: Round, node: NodeId) -> None:
    """End a convict's other leases of a round; its open audits run on and are void at best."""
    for row in state.round(task_id, round_).leases:
        if row.miner != node:
            continue
        place = (task_id, round_, row.shard)
        lease, record = state.lease(*place), state.round(task_id, round_)
        if lease.status is LeaseStatus.OPEN and record.phase is RoundPhase.CLAIMS:
            # Nobody waits for a claim that is refused from now on; one that stands stays out of
            # the set, since its miner is banned. A shard whose stand-in was faster is counted.
            stood_in = any(
                each.shard == row.shard and each.claim is not None for each in record.stand_ins
            )
            state.put_round(task_id, round_, replace(record, claims=record.claims + (not stood_in)))
            state.put_lease(*place, replace(lease, status=LeaseStatus.MISSED))
        elif lease.status in (LeaseStatus.ACCEPTED, LeaseStatus.PASSED):
            lease = withdraw_weight(state, place, lease)
            state.put_lease(*place, replace(lease, status=LeaseStatus.VOID))
