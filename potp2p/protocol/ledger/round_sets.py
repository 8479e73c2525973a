"""
The set of a round: which claims are in it, and what keeping or missing a lease does.

A claim that stands and is not attested costs its miner a fine: whoever claims says that the payload
is there to be fetched, and it would cost nothing to keep everybody waiting for one that is not.
"""

from collections import defaultdict
from dataclasses import dataclass, replace

from potp2p.foundation.committee import weak_quorum
from potp2p.foundation.types import GENESIS_HEIGHT, NodeId, Round, TaskId
from potp2p.protocol.ledger.audits import cover
from potp2p.protocol.ledger.context import BlockContext
from potp2p.protocol.ledger.contributions import bitmap_of, bits_of
from potp2p.protocol.ledger.fines import fine_unserved
from potp2p.protocol.ledger.miners import book_round, close_leases, is_banned
from potp2p.protocol.ledger.records import Claim, LeaseRecord, LeaseStatus, RoundPhase, RoundRecord
from potp2p.protocol.ledger.round_records import Attestation, Beaten, Fine, LeaseRow
from potp2p.protocol.ledger.seats import judges_of
from potp2p.protocol.ledger.state import State


@dataclass(frozen=True, slots=True)
class _Entry:
    """A claim for a shard, of its miner or of one that stands in."""

    place: int
    """In bitmaps."""
    row: int
    """In the table."""
    miner: NodeId
    claim: Claim
    attested: bool


def is_all_attested(state: State, context: BlockContext, task_id: TaskId, round_: Round) -> bool:
    """Tell whether enough validators attested every claim: nothing is left to wait for."""
    return all(each.attested for each in _entries(state, context, task_id, round_))


def fix_set(state: State, context: BlockContext, task_id: TaskId, round_: Round) -> None:
    """Decide which contributions are in; every other lease was missed, a banned miner's too."""
    record, task = state.round(task_id, round_), state.task(task_id)
    entries = _entries(state, context, task_id, round_)
    chosen: dict[int, _Entry] = {}
    # The first claim that is attested; of two of one height the lease's own.
    for each in sorted(entries, key=lambda entry: (entry.claim.height, entry.place)):
        if each.attested and not is_banned(state, each.miner, context.height):
            chosen.setdefault(each.row, each)
    passes = list(task.passes)
    rows = list(record.leases)
    stood_in = {each.row: each for each in entries if each.place >= len(rows)}
    for number, row in enumerate(record.leases):
        lease = state.lease(task_id, round_, row.shard)
        if number in chosen:
            passes[row.shard] += 1
            rows[number] = LeaseRow(row.shard, chosen[number].miner)
            lease = _accepted(lease, chosen[number], stood_in.get(number))
        else:
            lease = replace(lease, status=LeaseStatus.MISSED)
        state.put_lease(task_id, round_, row.shard, lease)
    state.put_task(task_id, replace(task, passes=tuple(passes)))
    _fine(state, context, task_id, round_, entries)
    _book_miners(state, context, task_id, record, entries)
    gone = {row.miner for row in record.leases} | {each.miner for each in record.stand_ins}
    close_leases(state, gone - {row.miner for row in rows})
    record = replace(
        record,
        phase=RoundPhase.RESULT,
        phase_started=context.height,
        fixed=context.height,
        drawn=not chosen,
        leases=tuple(rows),
        stand_ins=(),
        attestations=_of_chosen(record, chosen),
    )
    state.put_round(task_id, round_, record)
    for number in chosen:
        cover(state, context, (task_id, round_, rows[number].shard))


def _accepted(lease: LeaseRecord, entry: _Entry, stood_in: _Entry | None) -> LeaseRecord:
    """Put a claim into a lease, and note whom it beat: the holder, or a stand-in that claimed."""
    beaten: Beaten | None = None
    if entry == stood_in:
        claimed = GENESIS_HEIGHT if lease.claim is None else lease.claim.height
        beaten = Beaten(lease.miner, stood_in=False, claimed=claimed)
    elif stood_in is not None:
        beaten = Beaten(stood_in.miner, stood_in=True, claimed=stood_in.claim.height)
    return replace(
        lease,
        miner=entry.miner,
        claim=entry.claim,
        status=LeaseStatus.ACCEPTED,
        beaten=beaten,
    )


def _fine(
    state: State,
    context: BlockContext,
    task_id: TaskId,
    round_: Round,
    entries: tuple[_Entry, ...],
) -> None:
    """
    Fine each claim that was not attested, once, whoever made it.

    Where no claim of the round was, nobody is fined: then it is the judges that did not look.
    """
    if not any(each.attested for each in entries):
        return
    shards = [row.shard for row in state.round(task_id, round_).leases]
    for each in entries:
        if not each.attested:
            place = (task_id, round_, shards[each.row])
            lease = state.lease(*place)
            fine = Fine(each.miner, fine_unserved(state, context, task_id, each.miner))
            state.put_lease(*place, replace(lease, fines=(*lease.fines, fine)))


def _entries(
    state: State, context: BlockContext, task_id: TaskId, round_: Round
) -> tuple[_Entry, ...]:
    record = state.round(task_id, round_)
    judges = judges_of(state, record.started, context.genesis)
    counts = [0] * (len(record.leases) + len(record.stand_ins))
    for said in record.attestations:
        for place in bits_of(said.bitmap, len(counts)):
            counts[place] += 1
    enough = weak_quorum(len(judges))
    found: list[_Entry] = []
    for number, row in enumerate(record.leases):
        lease = state.lease(task_id, round_, row.shard)
        if lease.status is LeaseStatus.CLAIMED:
            assert lease.claim is not None
            attested = counts[number] >= enough
            found.append(_Entry(number, number, row.miner, lease.claim, attested))
    row_of = {row.shard: number for number, row in enumerate(record.leases)}
    for place, each in enumerate(record.stand_ins, len(record.leases)):
        if each.claim is not None:
            attested = counts[place] >= enough
            found.append(_Entry(place, row_of[each.shard], each.miner, each.claim, attested))
    return tuple(found)


def _of_chosen(record: RoundRecord, chosen: dict[int, _Entry]) -> tuple[Attestation, ...]:
    """Return the attestations with a bit per row of the fixed table: that of the claim in it."""
    size = len(record.leases) + len(record.stand_ins)
    fixed: list[Attestation] = []
    for said in record.attestations:
        marked = set(bits_of(said.bitmap, size))
        places = {row: entry.place for row, entry in chosen.items()}
        kept = tuple(row for row in range(len(record.leases)) if places.get(row, row) in marked)
        fixed.append(Attestation(said.validator, bitmap_of(kept)))
    return tuple(fixed)


def _book_miners(
    state: State,
    context: BlockContext,
    task_id: TaskId,
    record: RoundRecord,
    entries: tuple[_Entry, ...],
) -> None:
    """
    Give every miner its new rate, and take `live` from those that missed.

    A claim that is attested was delivered, also where another's came first. Who stands in has
    promised nothing: it misses nothing, and its clock began at half time.
    """
    deadline = state.task(task_id).rules.rounds.deadline
    own, other = defaultdict[NodeId, list[_Entry]](list), defaultdict[NodeId, list[_Entry]](list)
    for each in entries:
        if each.attested and not is_banned(state, each.miner, context.height):
            (own if each.place == each.row else other)[each.miner].append(each)
    leased = [row.miner for row in record.leases]
    for node in dict.fromkeys((*leased, *other)):
        # Half time is a later start: as much of it as lies before counts for nobody's speed.
        began = record.started if node in leased else record.started + deadline // 2
        delivered = (*own[node], *other[node])
        book_round(
            state,
            node,
            delivered=len(delivered),
            missed=leased.count(node) - len(own[node]),
            blocks=max((each.claim.height for each in delivered), default=0) - began,
            deadline=deadline,
        )
