"""What a failed audit costs: bond, open pay, weight, and the right to take leases for a time."""

from dataclasses import replace

from potp2p.foundation.types import Amount, Height, NodeId, Round, TaskId
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.ledger.booking import withdraw_weight
from potp2p.protocol.ledger.context import BlockContext
from potp2p.protocol.ledger.money import burn, slash
from potp2p.protocol.ledger.records import LeaseStatus, RoundPhase
from potp2p.protocol.ledger.state import State


def convict(state: State, context: BlockContext, task_id: TaskId, node: NodeId) -> None:
    """
    Slash and ban a miner whose audit failed, and forfeit all its open pay (DESIGN 8.5).

    Half of the slash is burned; the other half joins the task's escrow, from which auditors are
    paid and whose rest goes back to the client that was cheated. Were it paid to the auditors of
    this one audit, they would gain by keeping an honest miner's reveal out of the chain.
    """
    account, money = account_of(node), context.genesis.money
    taken = slash(state, account, money.slash_share)
    burned = taken // 2
    burn(state, burned, by_task=False)
    task = state.task(task_id)
    state.put_task(task_id, replace(task, escrow=Amount(task.escrow + taken - burned)))
    miner = state.miner(account)
    assert miner is not None, "a lease belongs to a registered miner"
    state.put_miner(
        account,
        replace(
            miner,
            live=False,
            rate=1,
            rejected=miner.rejected + 1,
            banned_until=Height(context.height + money.ban_blocks),
        ),
    )
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
            # the set, since its miner is banned.
            state.put_round(task_id, round_, replace(record, claims=record.claims + 1))
            state.put_lease(*place, replace(lease, status=LeaseStatus.MISSED))
        elif lease.status in (LeaseStatus.ACCEPTED, LeaseStatus.PASSED):
            lease = withdraw_weight(state, place, lease)
            state.put_lease(*place, replace(lease, status=LeaseStatus.VOID))
