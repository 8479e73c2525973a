"""The state as typed records over stored bytes, in layers: what fails leaves nothing."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.types import (
    AccountId,
    Amount,
    Cycle,
    Digest,
    Epoch,
    Height,
    NodeId,
    Round,
    ShardIndex,
    TaskId,
)
from potp2p.protocol.ledger import keys
from potp2p.protocol.ledger.audit_records import Audit, AuditorTable
from potp2p.protocol.ledger.records import (
    Account,
    Chain,
    CycleWeights,
    Due,
    LeaseRecord,
    Miner,
    RoundRecord,
    Task,
)
from potp2p.protocol.ledger.seat_records import Candidates, Convict, PastSeats
from potp2p.protocol.wire.schema import decode, decode_own, encode

RECORDS_CACHED: Final = 8_192
"""Decoded records kept between blocks: a full round of leases and the accounts in use."""

Record = TypeVar("Record")

_KINDS: Final[dict[bytes, type]] = {
    keys.CHAIN: Chain,
    keys.ACCOUNT: Account,
    keys.MINER: Miner,
    keys.TASK: Task,
    keys.ROUND: RoundRecord,
    keys.LEASE: LeaseRecord,
    keys.AUDIT: Audit,
    keys.RESULT_WEIGHTS: CycleWeights,
    keys.FROZEN_WEIGHTS: CycleWeights,
    keys.DUE: Due,
    keys.PAST_SEATS: PastSeats,
    keys.CANDIDATES: Candidates,
    keys.CONVICT: Convict,
    keys.AUDITORS: AuditorTable,
}
NOBODY: Final = Account(balance=Amount(0), nonce=0, bond=Amount(0), unbonding=())


class StateReader(Protocol):
    """Where the records of the last decided block are read from."""

    def get_state(self, key: bytes) -> bytes | None:
        """Return the bytes of a record, if there is one."""


@dataclass(slots=True)
class RecordCache:
    """
    Stored records by key, with their bytes: read and decoded once while the state is the same.

    A state is named by its root. Under another root nothing counts but what a block is known to
    have left: whoever stores one says what it wrote.
    """

    reader: StateReader
    root: Digest
    """Of the state that the entries belong to."""
    _known: OrderedDict[bytes, tuple[bytes | None, object | None]] = field(
        default_factory=OrderedDict[bytes, tuple[bytes | None, object | None]]
    )

    def turn(self, root: Digest) -> None:
        """Forget everything unless the state is the one that is known."""
        if root != self.root:
            self.root = root
            self._known.clear()

    def advance(
        self, root: Digest, writes: Mapping[bytes, bytes | None], records: Mapping[bytes, object]
    ) -> None:
        """Take over what a stored block wrote; records are the decoded form of the writes."""
        self.root = root
        for key, encoded in writes.items():
            self._keep(key, encoded, None if encoded is None else records[key])

    def encoded(self, key: bytes) -> bytes | None:
        """Return the stored bytes of a record."""
        return self._entry(key)[0]

    def load(self, key: bytes) -> object | None:
        """Return the stored record."""
        return self._entry(key)[1]

    def _entry(self, key: bytes) -> tuple[bytes | None, object | None]:
        known = self._known.get(key)
        if known is not None:
            return known
        encoded = self.reader.get_state(key)
        record: object | None = None
        if encoded is not None:
            record = decode_own(_KINDS[key[:1]], encoded)
        return self._keep(key, encoded, record)

    def _keep(
        self, key: bytes, encoded: bytes | None, record: object | None
    ) -> tuple[bytes | None, object | None]:
        entry = self._known[key] = (encoded, record)
        self._known.move_to_end(key)
        if len(self._known) > RECORDS_CACHED:
            self._known.popitem(last=False)
        return entry


@dataclass(slots=True)
class Overlay:
    """Records written on top of a parent layer or of the store."""

    cache: RecordCache
    parent: "Overlay | None" = None
    _read: dict[bytes, object | None] = field(default_factory=dict[bytes, object | None])
    """What the store had, per block: only used in the lowest layer."""
    _writes: dict[bytes, object | None] = field(default_factory=dict[bytes, object | None])

    def get(self, key: bytes) -> object | None:
        """Return the newest record under a key."""
        layer: Overlay | None = self
        lowest = self
        while layer is not None:
            if key in layer._writes:
                return layer._writes[key]
            lowest, layer = layer, layer.parent
        if key not in lowest._read:
            lowest._read[key] = self.cache.load(key)
        return lowest._read[key]

    def put(self, key: bytes, record: object | None) -> None:
        """Write a record, or delete it with None."""
        self._writes[key] = record

    def child(self) -> "Overlay":
        """Return an empty layer on top of this one."""
        return Overlay(self.cache, self)

    def merge(self) -> None:
        """Move the writes of this layer into its parent."""
        assert self.parent is not None
        self.parent._writes.update(self._writes)
        self._writes.clear()

    def changed(self) -> Iterator[tuple[bytes, object | None, object | None]]:
        """Yield key, stored record and new record of every write, ascending by key."""
        assert self.parent is None, "only the lowest layer knows the store"
        for key in sorted(self._writes):
            yield key, self.cache.load(key), self._writes[key]

    def records(self) -> Mapping[bytes, object]:
        """Return what was written, but for what was deleted."""
        return {key: record for key, record in self._writes.items() if record is not None}

    def encoded_writes(self) -> dict[bytes, bytes | None]:
        """Return the bytes to store, without those that would change nothing."""
        writes: dict[bytes, bytes | None] = {}
        for key in sorted(self._writes):
            record = self._writes[key]
            encoded = None if record is None else encode(record)
            if encoded != self.cache.encoded(key):
                writes[key] = encoded
        return writes


@dataclass(slots=True)
class State:
    """Typed access to an overlay."""

    overlay: Overlay

    def child(self) -> "State":
        """Return a state whose writes wait for `merge`."""
        return State(self.overlay.child())

    def merge(self) -> None:
        """Make the writes of a child those of its parent."""
        self.overlay.merge()

    def chain(self) -> Chain:
        """Return the record about the chain."""
        found = self._get(keys.chain_key(), Chain)
        assert found is not None, "a state without chain record"
        return found

    def put_chain(self, chain: Chain) -> None:
        """Write the record about the chain."""
        self.overlay.put(keys.chain_key(), chain)

    def account(self, account: AccountId) -> Account:
        """Return an account; one that was never used is empty."""
        return self._get(keys.account_key(account), Account) or NOBODY

    def put_account(self, account: AccountId, record: Account) -> None:
        """Write an account; one that is as if never used leaves the state."""
        self.overlay.put(keys.account_key(account), None if record == NOBODY else record)

    def miner(self, account: AccountId) -> Miner | None:
        """Return a registered miner."""
        return self._get(keys.miner_key(account), Miner)

    def put_miner(self, account: AccountId, record: Miner | None) -> None:
        """Write a miner, or drop one that was not seen for long."""
        self.overlay.put(keys.miner_key(account), record)

    def task(self, task: TaskId) -> Task:
        """Return a task or raise PeerError."""
        return _found(self._get(keys.task_key(task), Task), "task")

    def find_task(self, task: TaskId) -> Task | None:
        """Return a task, if it exists."""
        return self._get(keys.task_key(task), Task)

    def put_task(self, task: TaskId, record: Task) -> None:
        """Write a task."""
        self.overlay.put(keys.task_key(task), record)

    def round(self, task: TaskId, round_: Round) -> RoundRecord:
        """Return an open round or raise PeerError."""
        return _found(self._get(keys.round_key(task, round_), RoundRecord), "round")

    def put_round(self, task: TaskId, round_: Round, record: RoundRecord | None) -> None:
        """Write a round, or drop it once it is settled."""
        self.overlay.put(keys.round_key(task, round_), record)

    def lease(self, task: TaskId, round_: Round, shard: ShardIndex) -> LeaseRecord:
        """Return a lease of an open round or raise PeerError."""
        return _found(self._get(keys.lease_key(task, round_, shard), LeaseRecord), "lease")

    def find_lease(self, task: TaskId, round_: Round, shard: ShardIndex) -> LeaseRecord | None:
        """Return a lease of an open round, if it exists."""
        return self._get(keys.lease_key(task, round_, shard), LeaseRecord)

    def put_lease(
        self, task: TaskId, round_: Round, shard: ShardIndex, record: LeaseRecord | None
    ) -> None:
        """Write a lease, or drop it once its round is settled."""
        self.overlay.put(keys.lease_key(task, round_, shard), record)

    def audit(self, task: TaskId, round_: Round, shard: ShardIndex) -> Audit:
        """Return an audit of an open round or raise PeerError."""
        return _found(self._get(keys.audit_key(task, round_, shard), Audit), "audit")

    def put_audit(
        self, task: TaskId, round_: Round, shard: ShardIndex, record: Audit | None
    ) -> None:
        """Write an audit, or drop it once its round is settled."""
        self.overlay.put(keys.audit_key(task, round_, shard), record)

    def find_audit(self, task: TaskId, round_: Round, shard: ShardIndex) -> Audit | None:
        """Return an audit of an open round, if there is one."""
        return self._get(keys.audit_key(task, round_, shard), Audit)

    def auditors(self, cycle: Cycle) -> AuditorTable | None:
        """Return who could audit when a cycle opened; None if not kept."""
        return self._get(keys.auditors_key(cycle), AuditorTable)

    def put_auditors(self, cycle: Cycle, record: AuditorTable | None) -> None:
        """Write or drop who could audit when a cycle opened."""
        self.overlay.put(keys.auditors_key(cycle), record)

    def result_weights(self, cycle: Cycle) -> CycleWeights:
        """Return the weights whose results became final in a cycle."""
        return self._get(keys.result_weights_key(cycle), CycleWeights) or CycleWeights(())

    def put_result_weights(self, cycle: Cycle, record: CycleWeights | None) -> None:
        """Write or drop the weights of a cycle's results."""
        self.overlay.put(keys.result_weights_key(cycle), record)

    def frozen_weights(self, cycle: Cycle) -> CycleWeights:
        """Return the weights that a cycle's draws use."""
        return self._get(keys.frozen_weights_key(cycle), CycleWeights) or CycleWeights(())

    def put_frozen_weights(self, cycle: Cycle, record: CycleWeights | None) -> None:
        """Write or drop the weights of a cycle's draws."""
        self.overlay.put(keys.frozen_weights_key(cycle), record)

    def due(self, height: Height) -> Due:
        """Return the accounts whose unbonding ends at a height."""
        return self._get(keys.due_key(height), Due) or Due(())

    def put_due(self, height: Height, record: Due | None) -> None:
        """Write or drop the accounts due at a height."""
        self.overlay.put(keys.due_key(height), record)

    def seats_of(self, epoch: Epoch) -> tuple[NodeId, ...] | None:
        """Return who holds or held the seats of an epoch, in seat order; None if not kept."""
        chain = self.chain()
        if epoch == chain.epoch:
            return tuple(seat.node for seat in chain.seats)
        found = self._get(keys.past_seats_key(epoch), PastSeats)
        return None if found is None else found.nodes

    def put_past_seats(self, epoch: Epoch, record: PastSeats | None) -> None:
        """Write or drop the seats of an epoch that is over."""
        self.overlay.put(keys.past_seats_key(epoch), record)

    def candidates(self) -> Candidates:
        """Return who asks for a seat in the next epoch."""
        return self._get(keys.candidates_key(), Candidates) or Candidates(())

    def put_candidates(self, record: Candidates | None) -> None:
        """Write or drop who asks for a seat."""
        self.overlay.put(keys.candidates_key(), record)

    def convict(self, account: AccountId) -> Convict | None:
        """Return what a key was convicted of, if it signed twice."""
        return self._get(keys.convict_key(account), Convict)

    def put_convict(self, account: AccountId, record: Convict) -> None:
        """Write a conviction."""
        self.overlay.put(keys.convict_key(account), record)

    def _get(self, key: bytes, kind: type[Record]) -> Record | None:
        record = self.overlay.get(key)
        assert record is None or isinstance(record, kind)
        return record


def open_state(reader: StateReader) -> State:
    """Return a state on top of stored records, with nothing cached yet."""
    return State(Overlay(RecordCache(reader, Digest(b""))))


def decode_record(key: bytes, encoded: bytes) -> object:
    """Parse the bytes of a record by its key, as a peer that queries the state does."""
    kind = _KINDS.get(key[:1])
    if kind is None:
        raise PeerError(RejectionReason.MALFORMED, "key of no record")
    record: object = decode(kind, encoded)
    return record


def _found(record: Record | None, what: str) -> Record:
    if record is None:
        raise PeerError(RejectionReason.NOT_FOUND, f"no such {what}")
    return record
