"""
In what order free statements go into a block: whose deadline comes first.

Only the author's own choice depends on it: a block in another order is as good. So a deadline that
moves while a statement waits may be read again from the state of each head.
"""

from typing import Final, assert_never

from potp2p.foundation.errors import PeerError
from potp2p.foundation.limits import HEIGHT_BOUND
from potp2p.foundation.types import Epoch, Height, TaskId
from potp2p.protocol.ledger.audit_records import AuditPhase
from potp2p.protocol.ledger.heights import last_of
from potp2p.protocol.ledger.records import RoundPhase
from potp2p.protocol.ledger.state import State
from potp2p.protocol.wire.blocks import NO_DIGEST
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.transactions import (
    Anchor,
    Attest,
    AttestPackage,
    AuditCommit,
    Challenge,
    Contribute,
    DuplicateBody,
    DuplicateVote,
    Free,
    Ready,
    RegisterMiner,
    ResultCommit,
    RevealAudit,
    RevealTrace,
    RoundResult,
)

NO_DEADLINE: Final = Height(HEIGHT_BOUND - 1)
"""Of what may come at any time, and of what is about nothing that there is."""


def without_trace(action: Free) -> Free:
    """Return an action with the same deadline that is small: a trace has hundreds of entries."""
    match action:
        case RevealTrace() | RevealAudit():
            return AuditCommit(action.task, action.round, action.shard, NO_DIGEST)
        case _:
            return action


def deadline_of(state: State, genesis: Genesis, action: Free) -> Height:
    """Return the height by which a free statement must stand to have its effect."""
    try:
        return _deadline(state, genesis, action)
    except PeerError:
        return NO_DEADLINE


def _deadline(state: State, genesis: Genesis, action: Free) -> Height:
    match action:
        case Contribute() | Attest() | ResultCommit() | RoundResult():
            return _of_round(state, action)
        case AuditCommit() | RevealTrace() | RevealAudit():
            return state.audit(action.task, action.round, action.shard).deadline
        case Challenge():
            return _of_challenge(state, action)
        case AttestPackage():
            submitted = state.task(action.task).submitted
            return Height(submitted + genesis.training.package_deadline)
        case Anchor():
            return last_of(Epoch(max(action.epoch - 1, 0)), genesis.consensus)
        case Ready():
            return Height((action.cycle + 1) * genesis.consensus.cycle_blocks)
        case RegisterMiner() | DuplicateVote() | DuplicateBody():
            return NO_DEADLINE
        case _:
            assert_never(action)


def _of_round(state: State, action: Contribute | Attest | ResultCommit | RoundResult) -> Height:
    rules = state.task(TaskId(action.task)).rules.rounds
    record = state.round(action.task, action.round)
    claims = record.started + rules.deadline
    match action:
        case Contribute():
            return Height(claims)
        case Attest():
            ended = record.phase is not RoundPhase.CLAIMS
            return Height((record.phase_started if ended else claims) + rules.attest_window)
        case ResultCommit():
            return Height(record.phase_started + rules.result_deadline // 2)
        case RoundResult():
            return Height(record.phase_started + rules.result_deadline)
        case _:
            assert_never(action)


def _of_challenge(state: State, action: Challenge) -> Height:
    record = state.round(action.task, action.round)
    if action.shard in record.audits:
        audit = state.audit(action.task, action.round, action.shard)
        return audit.deadline if audit.phase is AuditPhase.WINDOW else NO_DEADLINE
    return record.challenge_until
