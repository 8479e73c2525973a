"""What the state asks of one node right now: pure views, cheap enough to read after every block."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from potp2p.foundation.types import (
    BlobId,
    Cycle,
    Epoch,
    Height,
    NodeId,
    Round,
    ShardIndex,
    TaskId,
)
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.ledger.anchors import may_ask
from potp2p.protocol.ledger.audit_duties import (
    payload_bytes_max,
    recourse_duties,
    trace_duties,
)
from potp2p.protocol.ledger.contributions import bits_of
from potp2p.protocol.ledger.keys import LeasePlace
from potp2p.protocol.ledger.records import (
    Claim,
    LeaseStatus,
    RoundPhase,
    RoundRecord,
    Task,
    TaskStatus,
)
from potp2p.protocol.ledger.results import accepted_set
from potp2p.protocol.ledger.seats import judges_of
from potp2p.protocol.ledger.stand_ins import held_by
from potp2p.protocol.ledger.state import State
from potp2p.protocol.wire.blocks import NO_DIGEST
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.tasks import TaskRules

_MAY_BE_ASKED: Final = frozenset({LeaseStatus.CLAIMED, LeaseStatus.ACCEPTED, LeaseStatus.AUDITED})


@dataclass(frozen=True, slots=True)
class LeaseDuty:
    """A lease to train."""

    task: TaskId
    round: Round
    shard: ShardIndex
    rules: TaskRules
    package_root: BlobId
    theta: BlobId
    """NO_DIGEST: the package's initial weights."""
    deadline: Height


@dataclass(frozen=True, slots=True)
class MinerDuties:
    """Everything asked of a miner."""

    register: bool
    ready: Cycle | None
    """Say ready in this cycle to be live again."""
    leases: tuple[LeaseDuty, ...]
    reveals: tuple[LeasePlace, ...]
    """Traces to open."""
    recourses: tuple[LeasePlace, ...]
    """Own contributions that a provisional ruling convicts: to be challenged."""
    claimed: tuple[LeaseDuty, ...]
    """Own claims whose payload or trace may still be asked for: who lost them trains again."""


@dataclass(frozen=True, slots=True)
class ClaimedLease:
    """A claim in a round, in the order of the table."""

    shard: ShardIndex
    miner: NodeId
    payload: BlobId
    diverged: bool
    """Claimed not to be finite: its payload is all zero and takes no part in the result."""
    height: Height
    """Of the claim: of equal payloads the first one stays."""


@dataclass(frozen=True, slots=True)
class PackageDuty:
    """A package to fetch, check and attest."""

    task: TaskId
    client: NodeId
    package_root: BlobId
    rules: TaskRules


@dataclass(frozen=True, slots=True)
class AttestDuty:
    """A round whose payloads are to be held, checked and, when claims have ended, attested."""

    task: TaskId
    round: Round
    rules: TaskRules
    package_root: BlobId
    theta: BlobId
    rows: tuple[tuple[ShardIndex, NodeId], ...]
    """Every lease in table order, then every stand-in: bit i of a bitmap is the i-th."""
    claimed: tuple[ClaimedLease, ...]
    attested: tuple[int, ...]
    """Rows that this validator has attested before; a later bitmap must add to them."""
    claims_ended: bool
    phase_started: Height
    payload_bytes_max: int


@dataclass(frozen=True, slots=True)
class ResultDuty:
    """A round whose theta(t+1) is to be computed from its set, committed to, then shown."""

    task: TaskId
    round: Round
    rules: TaskRules
    package_root: BlobId
    theta: BlobId
    accepted: tuple[ClaimedLease, ...]
    revealing: bool
    """Commitments have ended: show the result."""
    payload_bytes_max: int


@dataclass(frozen=True, slots=True)
class ValidatorDuties:
    """Everything asked of a seat."""

    packages: tuple[PackageDuty, ...]
    attests: tuple[AttestDuty, ...]
    results: tuple[ResultDuty, ...]
    anchor: Epoch | None
    """Register the end of a beacon chain for this epoch."""


def miner_duties(state: State, node: NodeId) -> MinerDuties:
    """Return what the state asks of a miner."""
    chain = state.chain()
    miner = state.miner(account_of(node))
    if miner is None:
        return MinerDuties(
            register=True, ready=None, leases=(), reveals=(), recourses=(), claimed=()
        )
    idle = not miner.live and miner.ready_cycle != chain.cycle
    return MinerDuties(
        register=False,
        ready=chain.cycle if idle else None,
        leases=tuple(_leases_of(state, node)),
        reveals=trace_duties(state, node),
        recourses=recourse_duties(state, node),
        claimed=tuple(_claimed_by(state, node)),
    )


def validator_duties(state: State, node: NodeId, genesis: Genesis) -> ValidatorDuties:
    """
    Return what the state asks of a validator, now or in what its earlier seat began.

    One with the bond of a seat but without the seat is asked for an anchor: its wish to have one.
    """
    return ValidatorDuties(
        packages=tuple(_packages_of(state, node, genesis)),
        attests=tuple(_attests_of(state, node, genesis)),
        results=tuple(_results_of(state, node, genesis)),
        anchor=_anchor_of(state, node, genesis),
    )


def _anchor_of(state: State, node: NodeId, genesis: Genesis) -> Epoch | None:
    chain = state.chain()
    seat = next((each for each in chain.seats if each.node == node), None)
    if seat is None:
        asked = any(row.node == node for row in state.candidates().rows)
        late = bool(chain.next_seats)
        wanted = not asked and not late and may_ask(state, node, genesis.money.validator_bond)
    else:
        wanted = seat.next_anchor == NO_DIGEST
    return Epoch(chain.epoch + 1) if wanted else None


def _rounds_in_work(state: State) -> Iterator[tuple[TaskId, Task, RoundRecord]]:
    for task_id in state.chain().tasks:
        task = state.task(task_id)
        if task.status is TaskStatus.RUNNING and task.round in task.open_rounds:
            yield task_id, task, state.round(task_id, task.round)


def _leases_of(state: State, node: NodeId) -> Iterator[LeaseDuty]:
    for task_id, task, record in _rounds_in_work(state):
        if record.phase is not RoundPhase.CLAIMS:
            continue
        rows = [row.shard for row in record.leases if row.miner == node]
        rows += [each.shard for each in record.stand_ins if each.miner == node]
        for shard in rows:
            held = held_by(state, node, (task_id, task.round, shard))
            if held is not None and held.may_claim:
                yield _lease_duty(task_id, task, task.round, shard, record)


def _claimed_by(state: State, node: NodeId) -> Iterator[LeaseDuty]:
    chain = state.chain()
    for task_id in (*chain.tasks, *chain.unsettled):
        task = state.task(task_id)
        for round_ in task.open_rounds:
            record = state.round(task_id, round_)
            for row in record.leases:
                if row.miner != node:
                    continue
                # Settled leases of a round go before the round itself does.
                lease = state.find_lease(task_id, round_, row.shard)
                if lease is not None and lease.status in _MAY_BE_ASKED:
                    yield _lease_duty(task_id, task, round_, row.shard, record)
            for each in record.stand_ins:
                if each.miner == node and each.claim is not None:
                    yield _lease_duty(task_id, task, round_, each.shard, record)


def _lease_duty(
    task_id: TaskId, task: Task, round_: Round, shard: ShardIndex, record: RoundRecord
) -> LeaseDuty:
    return LeaseDuty(
        task=task_id,
        round=round_,
        shard=shard,
        rules=task.rules,
        package_root=task.package_root,
        theta=record.theta,
        deadline=Height(record.started + task.rules.rounds.deadline),
    )


def _packages_of(state: State, node: NodeId, genesis: Genesis) -> Iterator[PackageDuty]:
    for task_id in state.chain().tasks:
        task = state.task(task_id)
        said = any(each.validator == node for each in task.attestations)
        if task.status is not TaskStatus.ATTESTING or said:
            continue
        if node in judges_of(state, task.submitted, genesis):
            yield PackageDuty(task_id, task.client, task.package_root, task.rules)


def _claimed(
    state: State, task_id: TaskId, round_: Round, record: RoundRecord
) -> Iterator[ClaimedLease]:
    for row in record.leases:
        lease = state.lease(task_id, round_, row.shard)
        if lease.claim is not None:
            yield _claimed_lease(row.shard, lease.miner, lease.claim)
    for each in record.stand_ins:
        if each.claim is not None:
            yield _claimed_lease(each.shard, each.miner, each.claim)


def _claimed_lease(shard: ShardIndex, miner: NodeId, claim: Claim) -> ClaimedLease:
    return ClaimedLease(shard, miner, claim.payload, claim.diverged, claim.height)


def _attests_of(state: State, node: NodeId, genesis: Genesis) -> Iterator[AttestDuty]:
    for task_id, task, record in _rounds_in_work(state):
        if record.phase not in (RoundPhase.CLAIMS, RoundPhase.ATTESTING):
            continue
        if node not in judges_of(state, record.started, genesis):
            continue
        claimed = tuple(_claimed(state, task_id, task.round, record))
        attested = _attested_by(node, record)
        if attested and len(attested) == len(claimed):
            continue
        yield AttestDuty(
            task=task_id,
            round=task.round,
            rules=task.rules,
            package_root=task.package_root,
            theta=record.theta,
            rows=_rows_of(record),
            claimed=claimed,
            attested=attested,
            claims_ended=record.phase is RoundPhase.ATTESTING,
            phase_started=record.phase_started,
            payload_bytes_max=payload_bytes_max(task.rules),
        )


def _rows_of(record: RoundRecord) -> tuple[tuple[ShardIndex, NodeId], ...]:
    leases = tuple((row.shard, row.miner) for row in record.leases)
    return leases + tuple((each.shard, each.miner) for each in record.stand_ins)


def _attested_by(node: NodeId, record: RoundRecord) -> tuple[int, ...]:
    """Return the rows whose payload a validator has attested."""
    return tuple(
        place
        for each in record.attestations
        if each.validator == node
        for place in bits_of(each.bitmap, len(record.leases) + len(record.stand_ins))
    )


def _results_of(state: State, node: NodeId, genesis: Genesis) -> Iterator[ResultDuty]:
    for task_id, task, record in _rounds_in_work(state):
        if record.phase is not RoundPhase.RESULT:
            continue
        said = record.results if record.revealing else record.commitments
        if any(each.validator == node for each in said):
            continue
        if node not in judges_of(state, record.started, genesis):
            continue
        accepted = tuple(
            _claimed_lease(shard, lease.miner, lease.claim)
            for shard, lease in accepted_set(state, task_id, task.round)
            if lease.claim is not None
        )
        if not accepted:
            continue
        yield ResultDuty(
            task=task_id,
            round=task.round,
            rules=task.rules,
            package_root=task.package_root,
            theta=record.theta,
            accepted=accepted,
            revealing=record.revealing,
            payload_bytes_max=payload_bytes_max(task.rules),
        )
