"""What survives a crash: the journal of the height and the guard over our signatures."""

from dataclasses import dataclass, field

from potp2p.foundation.errors import UnsafeError
from potp2p.foundation.types import Height, Signature
from potp2p.protocol.consensus.events import HeightStarted, LoggedEvent, MessageReceived
from potp2p.protocol.consensus.machine import Replica
from potp2p.protocol.wire.consensus import Statement
from potp2p.services.consensus_blocks import BlockShelf
from potp2p.services.consensus_guard import SigningGuard
from potp2p.services.consensus_ports import Journal
from potp2p.services.consensus_records import BlockKept, Record, decode_record, encode_record


@dataclass(slots=True)
class ReplicaMemory:
    """
    Journal before guard, both before the network.

    Nothing leaves before `sync`; the journal is synced first, so that it knows all that was signed.
    """

    journal: Journal
    guard: SigningGuard
    refused: int = 0
    """Signatures that the guard refused, or that we withheld for want of memory."""
    muted_height: Height | None = None
    """Up to here we stay silent: the guard signed what the journal no longer knows."""
    _is_synced: bool = field(default=True)

    def recover(self, replica: Replica, shelf: BlockShelf, facts: HeightStarted) -> bool:
        """Put a fresh replica where it was; False when the journal is not about this height."""
        records = [decode_record(entry) for entry in self.journal.entries()]
        first = records[0] if records else None
        if records and not isinstance(first, HeightStarted):
            raise UnsafeError("the consensus journal does not begin with a height")
        is_ours = isinstance(first, HeightStarted) and first.height >= facts.height
        if isinstance(first, HeightStarted) and is_ours:
            if first.height > facts.height:
                raise UnsafeError(f"the journal is at height {first.height}, the chain below it")
            if first.head_hash != facts.head_hash:
                raise UnsafeError(f"the journal of height {first.height} has another past")
            for record in records:
                self._replay(record, replica, shelf)
        self._mute_if_forgotten(replica, facts.height)
        return is_ours

    def begin(self) -> None:
        """Forget the height that was stored elsewhere."""
        self.journal.reset()

    def log(self, record: LoggedEvent | BlockKept) -> None:
        """Note an input; durable only after `sync`."""
        self.journal.append(encode_record(record))
        self._is_synced = False

    def sign(self, statement: Statement) -> Signature | None:
        """
        Sign an own statement, or stay silent where that could contradict an earlier one.

        Silence is always safe: the replica goes on as if its own vote had been lost.
        """
        if self.muted_height is not None and statement.height <= self.muted_height:
            self.refused += 1
            return None
        try:
            return self.guard.sign(statement)
        except UnsafeError:
            self.refused += 1
            return None

    async def sync(self) -> None:
        """Return once causes and signatures would survive a power cut."""
        if not self._is_synced:
            await self.journal.sync()
            self._is_synced = True
        await self.guard.sync()

    def _replay(self, record: Record, replica: Replica, shelf: BlockShelf) -> None:
        if isinstance(record, BlockKept):
            shelf.restore(record.block)
            return
        at = replica.at
        if isinstance(record, MessageReceived) and at is not None:
            statement = record.message.statement
            casting = at.casting.get(type(statement))
            if casting is not None and casting.statement == statement:
                self.guard.restore(statement)
        replica.step(record)

    def _mute_if_forgotten(self, replica: Replica, height: Height) -> None:
        last = self.guard.last
        if last is None or last.height < height:
            return
        said: list[Statement] = []
        if replica.at is not None:
            said += [message.statement for message in replica.at.own.values()]
            said += [cast.statement for cast in replica.at.casting.values()]
        if not any(self.guard.is_last(statement) for statement in said):
            self.muted_height = last.height
