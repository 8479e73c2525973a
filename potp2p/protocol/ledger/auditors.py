"""Who may be drawn to audit: bonded nodes of the task's class, as they were a cycle ago."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from potp2p.foundation.types import AccountId, Amount, Cycle, Digest, NodeId
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.ledger.audit_reach import replay_blocks
from potp2p.protocol.ledger.audit_records import (
    EVERY_CLASS,
    EVERY_MEMORY,
    AuditorRow,
    AuditorTable,
    Conduct,
)
from potp2p.protocol.ledger.context import BlockContext
from potp2p.protocol.ledger.keys import LeasePlace
from potp2p.protocol.ledger.money import free_bond, payout_of
from potp2p.protocol.ledger.state import State
from potp2p.protocol.verification.sampling import AuditorDraw, Candidate, draw_auditors
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.tasks import TaskRules

SEAT_RATE: Final = 4
"""Audits that a validator may have open before others are drawn first."""


def freeze_auditors(state: State, cycle: Cycle, genesis: Genesis) -> None:
    """
    Note who may audit as a cycle opens: whose contributions are fixed in it are drawn from that.

    Everything that a draw depends on is in it. Whoever may still change its bond, its class or
    where it is paid once it knows the beacon could draw again as often as it has such choices.
    """
    before = state.auditors(Cycle(cycle - 1))
    opens_epoch = cycle % genesis.consensus.epoch_cycles == 0
    lapsed = () if before is None or opens_epoch else before.lapsed
    rows = [*_seat_rows(state, genesis), *_miner_rows(state, genesis)]
    by_node = {row.node: row for row in reversed(rows) if row.node not in lapsed}
    ordered = tuple(by_node[node] for node in sorted(by_node))
    state.put_auditors(cycle, AuditorTable(ordered, lapsed))
    if cycle >= 2:  # noqa: PLR2004  # the present one and the one before are kept
        state.put_auditors(Cycle(cycle - 2), None)


def note_lapse(state: State, node: NodeId) -> None:
    """
    Leave a drawn auditor out of the tables of its epoch that are still to come.

    Whoever commits and does not open, or whose report alone differs, has all judges replay: without
    this a seat could do so every time it is drawn and lose no more than its pay.
    """
    cycle = state.chain().cycle
    table = state.auditors(cycle)
    if table is not None and node not in table.lapsed:
        lapsed = tuple(sorted((*table.lapsed, node)))
        state.put_auditors(cycle, replace(table, lapsed=lapsed))


def _seat_rows(state: State, genesis: Genesis) -> Iterator[AuditorRow]:
    for seat in state.chain().seats:
        yield _row(state, seat.node, EVERY_CLASS, EVERY_MEMORY, genesis)


def _miner_rows(state: State, genesis: Genesis) -> Iterator[AuditorRow]:
    for account in state.chain().miners:
        miner = state.miner(account)
        assert miner is not None, "a listed miner has a record"
        if miner.live and free_bond(state.account(account)) >= genesis.money.miner_bond:
            yield _row(state, miner.node, miner.classes, miner.memory_bytes, genesis)


def _row(
    state: State, node: NodeId, classes: int, memory_bytes: int, genesis: Genesis
) -> AuditorRow:
    account = account_of(node)
    return AuditorRow(
        node=node,
        weight=Amount(free_bond(state.account(account))),
        payout=payout_of(state, node),
        sponsor=sponsor_of(state, account, genesis),
        classes=classes,
        memory_bytes=memory_bytes,
    )


def sponsor_of(state: State, account: AccountId, genesis: Genesis) -> AccountId | None:
    """
    Return who put up at least half of a bond; the genesis sponsor, which bonds anyone, is nobody.

    Half: whoever bonds a little for every rival must not exclude all of them as its auditors.
    """
    record = state.account(account)
    if record.backer is None or record.backer == genesis.sponsor or 2 * record.backed < record.bond:
        return None
    return record.backer


@dataclass(slots=True)
class AuditorPool:
    """Who may be drawn for the audits of a task in one block, and what each has to do already."""

    state: State
    candidates: tuple[Candidate, ...]
    _open: Counter[NodeId]
    """Replays that everyone was called to of late."""

    def call(
        self, place: LeasePlace, beacon: Digest, committee: int, before: tuple[NodeId, ...] = ()
    ) -> tuple[NodeId, ...]:
        """Draw auditors, none of whom shares an account with those named before."""
        excluded = set(self.state.lease(*place).related)
        known = {each.node: each.accounts for each in self.candidates}
        for node in before:
            excluded |= known.get(node, frozenset({account_of(node)}))
        busy = (node for node, count in self._open.items() if count >= _rate(self.state, node))
        where = AuditorDraw(beacon, *place, excluded=frozenset(excluded), busy=frozenset(busy))
        drawn = draw_auditors(where, self.candidates, committee)
        self._open.update(drawn)
        return drawn


def open_pool(state: State, context: BlockContext, rules: TaskRules, cycle: Cycle) -> AuditorPool:
    """Return who may audit a task by the table of a cycle, or of the last one where it is gone."""
    table = state.auditors(cycle)
    if table is None and state.chain().cycle:
        table = state.auditors(Cycle(state.chain().cycle - 1))
    candidates = tuple(_candidates(state, context, rules, table))
    return AuditorPool(state, candidates, _open_replays(state, context))


def accounts_of(state: State, node: NodeId, genesis: Genesis) -> frozenset[AccountId]:
    """Return whom a node acts for now: its account, its payout, its sponsor."""
    account = account_of(node)
    sponsor = sponsor_of(state, account, genesis)
    return frozenset({account, payout_of(state, node)} | ({sponsor} if sponsor else set()))


def _candidates(
    state: State, context: BlockContext, rules: TaskRules, table: AuditorTable | None
) -> Iterator[Candidate]:
    """Yield who may audit a task: in the first cycle of a chain its seats, all alike."""
    if table is None:
        for seat in state.chain().seats:
            row = _row(state, seat.node, EVERY_CLASS, EVERY_MEMORY, context.genesis)
            yield _candidate(replace(row, weight=Amount(1)))
        return
    for row in table.rows:
        fits = row.classes >> rules.model.tolerance & 1
        if not fits or row.memory_bytes < rules.model.memory_bytes:
            continue
        miner = state.miner(account_of(row.node))
        out = miner is not None and (miner.suspended or miner.banned_until > context.height)
        if not out:
            yield _candidate(row)


def _candidate(row: AuditorRow) -> Candidate:
    accounts = {account_of(row.node), row.payout}
    if row.sponsor is not None:
        accounts.add(row.sponsor)
    return Candidate(row.node, row.weight, frozenset(accounts))


def _open_replays(state: State, context: BlockContext) -> Counter[NodeId]:
    """
    Return how many replays everyone was called to that could still be going on.

    By the time that they may take, not by who has committed: whoever knows the beacon of a draw
    could draw again by committing to another audit just before it, or not.
    """
    chain = state.chain()
    counts: Counter[NodeId] = Counter()
    for task_id in (*chain.tasks, *chain.unsettled):
        task = state.task(task_id)
        blocks = replay_blocks(context.genesis, task.rules)
        for round_ in task.open_rounds:
            for shard in state.round(task_id, round_).audits:
                audit = state.audit(task_id, round_, shard)
                if context.height < audit.drawn + (2 if audit.replaced else 1) * blocks:
                    counts.update(
                        each.auditor for each in audit.auditors if each.conduct is Conduct.CALLED
                    )
    return counts


def _rate(state: State, node: NodeId) -> int:
    miner = state.miner(account_of(node))
    return SEAT_RATE if miner is None else miner.rate
