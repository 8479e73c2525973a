"""What miners and validators say about a round in work: claims and attestations."""

from dataclasses import replace
from typing import Final

from potp2p.foundation.errors import RejectionReason
from potp2p.foundation.types import AccountId, Amount, Height, Round, TaskId
from potp2p.protocol.ledger.context import BlockContext, Sender, require
from potp2p.protocol.ledger.money import spend
from potp2p.protocol.ledger.records import (
    Claim,
    LeaseStatus,
    RoundPhase,
    RoundRecord,
    Task,
    TaskStatus,
)
from potp2p.protocol.ledger.round_records import Attestation
from potp2p.protocol.ledger.seats import require_judge
from potp2p.protocol.ledger.state import State
from potp2p.protocol.ledger.tasks import price_of, samples_of
from potp2p.protocol.wire.transactions import Attest, Contribute

BYTE_BITS: Final = 8


def apply_contribute(
    state: State, sender: Sender, action: Contribute, context: BlockContext
) -> Amount:
    """
    Book a miner's claim for a lease that it holds, or that it stands in for, and return its tip.

    Both may claim one shard: whose claim is the round's is decided when the set is fixed. The tip
    of the first of them is taken out of the task's escrow; the caller hands it out.
    """
    task, record = round_in_work(state, action.task, action.round)
    require(record.phase is RoundPhase.CLAIMS, RejectionReason.TOO_LATE, "claims have ended")
    lease = state.lease(action.task, action.round, action.shard)
    others = [each for each in record.stand_ins if each.shard == action.shard]
    own = next((each for each in others if each.miner == sender.node), None)
    if own is None:
        require(lease.miner == sender.node, RejectionReason.WRONG_SENDER, "another miner's lease")
        require(
            lease.status is LeaseStatus.OPEN, RejectionReason.DUPLICATE, "the lease has a claim"
        )
    else:
        require(own.claim is None, RejectionReason.DUPLICATE, "the lease has a claim")
    _require_not_banned(state, sender.account, context)
    require(
        action.samples == samples_of(task.rules),
        RejectionReason.OUT_OF_BOUNDS,
        f"{action.samples} samples",
    )
    claim = _claim_of(action, context.height)
    is_first = lease.status is LeaseStatus.OPEN and all(each.claim is None for each in others)
    if own is None:
        claimed = replace(lease, status=LeaseStatus.CLAIMED, claim=claim)
        state.put_lease(action.task, action.round, action.shard, claimed)
    else:
        stood_in = replace(own, claim=claim)
        rows = tuple(stood_in if each == own else each for each in record.stand_ins)
        record = replace(record, stand_ins=rows)
    record = replace(record, claims=record.claims + is_first)
    state.put_round(action.task, action.round, record)
    return _tip_of(state, action.task, context) if is_first else Amount(0)


def _tip_of(state: State, task_id: TaskId, context: BlockContext) -> Amount:
    """Take the tip of a lease's claim out of its task's escrow."""
    task = state.task(task_id)
    tip = price_of(task.rules, task.budget, context.genesis).tip
    spend(state, task_id, tip)
    return tip


def _claim_of(action: Contribute, height: Height) -> Claim:
    return Claim(
        payload=action.payload,
        trace_commitment=action.trace_commitment,
        samples=action.samples,
        loss_before=action.loss_before,
        loss_after=action.loss_after,
        diverged=action.diverged,
        height=height,
    )


def apply_attest(state: State, sender: Sender, action: Attest, context: BlockContext) -> None:
    """
    Count a validator's word that it holds and checked payloads of a round.

    A later bitmap must add to the earlier one, so a validator speaks at most once per lease.
    """
    _, record = round_in_work(state, action.task, action.round)
    require_judge(state, sender, record.started, context.genesis)
    require(record.phase is not RoundPhase.CLAIMS, RejectionReason.TOO_EARLY, "claims go on")
    require(record.phase is RoundPhase.ATTESTING, RejectionReason.TOO_LATE, "the set is fixed")
    claimed = [
        state.lease(action.task, action.round, row.shard).status is LeaseStatus.CLAIMED
        for row in record.leases
    ]
    claimed += [each.claim is not None for each in record.stand_ins]
    marked = bits_of(action.bitmap, len(claimed))
    for place in marked:
        require(
            claimed[place],
            RejectionReason.NOT_FOUND,
            f"attestation of lease {place} without a claim",
        )
    others: list[Attestation] = []
    for each in record.attestations:
        if each.validator != sender.node:
            others.append(each)
            continue
        before = set(bits_of(each.bitmap, len(claimed)))
        require(before < set(marked), RejectionReason.DUPLICATE, "attestation that adds nothing")
    attestations = (*others, Attestation(sender.node, action.bitmap))
    state.put_round(action.task, action.round, replace(record, attestations=attestations))


def bits_of(bitmap: bytes, leases: int) -> tuple[int, ...]:
    """Return the marked places of a bitmap, or raise PeerError where it is not the one spelling."""
    require(not bitmap.endswith(b"\x00"), RejectionReason.MALFORMED, "bitmap with trailing zeros")
    number = int.from_bytes(bitmap, "little")
    require(number.bit_length() <= leases, RejectionReason.OUT_OF_BOUNDS, "bitmap beyond leases")
    return tuple(place for place in range(leases) if number >> place & 1)


def bitmap_of(places: tuple[int, ...]) -> bytes:
    """Return the one spelling of a set of places: low bits first, no trailing zero byte."""
    number = sum(1 << place for place in places)
    return number.to_bytes((number.bit_length() + BYTE_BITS - 1) // BYTE_BITS, "little")


def round_in_work(state: State, task_id: TaskId, round_: Round) -> tuple[Task, RoundRecord]:
    """Return a task and the round in its work, or raise PeerError where it is another one."""
    task = state.task(task_id)
    require(task.status is TaskStatus.RUNNING, RejectionReason.TOO_LATE, "the task does not run")
    require(round_ >= task.round, RejectionReason.TOO_LATE, f"round {round_} is over")
    require(
        round_ == task.round and round_ in task.open_rounds,
        RejectionReason.TOO_EARLY,
        f"round {round_} has not begun",
    )
    return task, state.round(task_id, round_)


def _require_not_banned(state: State, account: AccountId, context: BlockContext) -> None:
    miner = state.miner(account)
    assert miner is not None, "a lease belongs to a registered miner"
    require(miner.banned_until <= context.height, RejectionReason.BANNED, "the miner is banned")
