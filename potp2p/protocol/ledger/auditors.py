"""Who may be drawn to audit: bonded nodes of the task's class, as they were a cycle ago."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from potp2p.foundation.types import AccountId, Amount, Cycle, Digest, NodeId
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.ledger.audit_records import (
    EVERY_CLASS,
    EVERY_MEMORY,
    AuditorRow,
    AuditorTable,
    AuditPhase,
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
    Note who may audit as a cycle opens; drawn from in the next one, then dropped.

    Everything that a draw depends on is in it. Whoever may still change its bond, its class or
    where it is paid once it knows the beacon could draw again as often as it has such choices.
    """
    rows = [*_seat_rows(state, genesis), *_miner_rows(state, genesis)]
    by_node = {row.node: row for row in reversed(rows)}
    ordered = tuple(by_node[node] for node in sorted(by_node))
    state.put_auditors(cycle, AuditorTable(ordered) if ordered else None)
    if cycle >= 2:  # noqa: PLR2004  # the present one and the one before are kept
        state.put_auditors(Cycle(cycle - 2), None)


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


def call_auditors(  # noqa: PLR0913  # the draw and everything that it depends on
    state: State,
    context: BlockContext,
    place: LeasePlace,
    beacon: Digest,
    committee: int,
    before: tuple[NodeId, ...] = (),
) -> tuple[NodeId, ...]:
    """Draw auditors of a contribution, none of whom shares an account with those named before."""
    task, lease = state.task(place[0]), state.lease(*place)
    genesis = context.genesis
    related = (lease.miner, task.client, *before)
    where = AuditorDraw(
        beacon,
        *place,
        excluded=frozenset(each for node in related for each in accounts_of(state, node, genesis)),
        busy=_busy(state),
    )
    candidates = tuple(_candidates(state, context, task.rules))
    return draw_auditors(where, candidates, committee)


def accounts_of(state: State, node: NodeId, genesis: Genesis) -> frozenset[AccountId]:
    """Return whom a node acts for now: its account, its payout, its sponsor."""
    account = account_of(node)
    sponsor = sponsor_of(state, account, genesis)
    return frozenset({account, payout_of(state, node)} | ({sponsor} if sponsor else set()))


def _candidates(state: State, context: BlockContext, rules: TaskRules) -> Iterator[Candidate]:
    """Yield who may audit a task: in the first cycles of a chain its seats, all alike."""
    chain = state.chain()
    table = state.auditors(Cycle(chain.cycle - 1)) if chain.cycle else None
    if table is None:
        for seat in chain.seats:
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


def _busy(state: State) -> frozenset[NodeId]:
    """Return who has as many audits to do as it can within their deadline."""
    chain = state.chain()
    counts: Counter[NodeId] = Counter()
    for task_id in (*chain.tasks, *chain.unsettled):
        for round_ in state.task(task_id).open_rounds:
            for shard in state.round(task_id, round_).audits:
                audit = state.audit(task_id, round_, shard)
                if audit.phase is AuditPhase.COMMIT:
                    counts.update(
                        each.auditor for each in audit.auditors if each.conduct is Conduct.CALLED
                    )
    return frozenset(node for node, count in counts.items() if count >= _rate(state, node))


def _rate(state: State, node: NodeId) -> int:
    miner = state.miner(account_of(node))
    return SEAT_RATE if miner is None else miner.rate
