"""One contribution as a light client finds it: in the state while it is open, else its receipt."""

from dataclasses import dataclass
from typing import Final, TypeVar

from potp2p.client.receipts import fetch_receipt, receipts_of, receipts_of_round
from potp2p.client.session import Client
from potp2p.client.task_names import read_digits, task_of
from potp2p.foundation.errors import ConfigurationError, MissingError
from potp2p.foundation.limits import ROUNDS_MAX, SHARDS_MAX
from potp2p.foundation.types import AccountId, Round, ShardIndex, TaskId
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.ledger.audit_records import Audit
from potp2p.protocol.ledger.heights import epoch_of
from potp2p.protocol.ledger.keys import audit_key, lease_key, round_key
from potp2p.protocol.ledger.lease_story import story_of
from potp2p.protocol.ledger.receipt_records import Receipt
from potp2p.protocol.ledger.records import LeaseRecord, RoundRecord, Task
from potp2p.protocol.wire.schema import decode

PARTS: Final = 3

Record = TypeVar("Record")


@dataclass(frozen=True, slots=True)
class Place:
    """Which lease is meant."""

    task: TaskId
    round: Round
    shard: ShardIndex

    def __str__(self) -> str:
        return f"{self.task.hex()}:{self.round}:{self.shard}"


@dataclass(frozen=True, slots=True)
class Explained:
    """What became of a lease, or stands about it so far, and what that is proved under."""

    place: Place
    receipt: Receipt
    height: int
    """Of the newest sealed header among those of its proofs."""

    @property
    def is_settled(self) -> bool:
        """Tell whether its round has left the state."""
        return self.receipt.height > 0


@dataclass(frozen=True, slots=True)
class PlaceName:
    """A lease as somebody typed it: the first digits of its task's id will do."""

    digits: str
    round: Round
    shard: ShardIndex


def read_place(text: str) -> PlaceName:
    """Read TASK:ROUND:SHARD."""
    parts = text.split(":")
    if len(parts) != PARTS or not all(part.isascii() and part.isdigit() for part in parts[1:]):
        raise ConfigurationError(f"contribution {text!r} is not TASK:ROUND:SHARD")
    round_, shard = (int(part[:10]) for part in parts[1:])
    if round_ >= ROUNDS_MAX or shard >= SHARDS_MAX:
        raise MissingError(f"contribution {text!r}: no task has that many rounds or shards")
    return PlaceName(read_digits(parts[0]), Round(round_), ShardIndex(shard))


async def place_of(client: Client, name: PlaceName) -> Place:
    """Return the lease that is meant."""
    return Place(await task_of(client, name.digits), name.round, name.shard)


async def explained(client: Client, place: Place) -> Explained:
    """Return what stands about a lease; MissingError where there never was one, or none is kept."""
    task = await client.task(place.task)
    found = await _from_state(client, place, task)
    if found is not None:
        return found
    if place.round > task.round or place.shard >= task.rules.rounds.shards:
        raise MissingError(f"contribution {place}: no such round or shard yet")
    proved = await fetch_receipt(client, place.task, place.round, place.shard)
    return Explained(place, proved.receipt, proved.header.body.height)


async def leases_of(
    client: Client, task_id: TaskId, task: Task, round_: Round, *, least: int | None = None
) -> tuple[Explained, ...]:
    """
    Return all leases of a round, ascending by shard, or only the least number that is wanted.

    Of a settled round it is known that they are all: a receipt's proof says how many there are.
    """
    if round_ in task.open_rounds:
        record = await _record(client, RoundRecord, round_key(task_id, round_))
        rows = () if record is None else record.leases[:least]
        found = [await _from_state(client, Place(task_id, round_, row.shard), task) for row in rows]
        if rows and None not in found:
            return tuple(each for each in found if each is not None)
    receipts = await receipts_of_round(client, task_id, round_, least)
    return tuple(
        Explained(Place(task_id, round_, each.receipt.shard), each.receipt, each.header.body.height)
        for each in receipts
    )


async def explained_of_miner(client: Client, miner: AccountId, count: int) -> tuple[Explained, ...]:
    """Return a miner's open contributions, then its last settled ones, newest first."""
    found: list[Explained] = []
    chain = await client.chain()
    for task_id in dict.fromkeys((*chain.tasks, *chain.unsettled)):
        task = await client.task(task_id)
        for round_ in task.open_rounds:
            record = await _record(client, RoundRecord, round_key(task_id, round_))
            for row in () if record is None else record.leases:
                if account_of(row.miner) == miner:
                    place = Place(task_id, round_, row.shard)
                    open_one = await _from_state(client, place, task)
                    found += [] if open_one is None else [open_one]
    places, _ = await receipts_of(client, miner, count)
    for each in places:
        place = Place(each.task, each.round, each.shard)
        try:
            proved = await fetch_receipt(client, each.task, each.round, each.shard)
        except MissingError:
            # One peer named it, and no peer proves it: a name alone says nothing.
            continue
        if any(account_of(node) == miner for node in proved.receipt.claimants):
            found.append(Explained(place, proved.receipt, proved.header.body.height))
    return tuple(found)


async def _from_state(client: Client, place: Place, task: Task) -> Explained | None:
    """Return what the state says, None where the lease's round is not open."""
    where = (place.task, place.round, place.shard)
    record = await _record(client, RoundRecord, round_key(place.task, place.round))
    if record is None:
        return None
    proved = await client.query(lease_key(*where))
    if proved.value is None:
        return None
    audit = await _record(client, Audit, audit_key(*where))
    lease = decode(LeaseRecord, proved.value)
    judges = client.trust.validators_of(epoch_of(record.started, client.genesis.consensus))
    receipt = story_of(where, task.rules, record, lease, audit, len(judges))
    return Explained(place, receipt, proved.header.body.height)


async def _record(client: Client, kind: type[Record], key: bytes) -> Record | None:
    value = (await client.query(key)).value
    return None if value is None else decode(kind, value)
