"""What survives a crash: the journal of the height and the guard over our signatures."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from potp2p.foundation.committee import quorum
from potp2p.foundation.errors import UnsafeError
from potp2p.foundation.limits import CHECKS_KEPT_MAX, JOURNAL_COMPACT_BYTES
from potp2p.foundation.types import Digest, Height, Signature, ValidatorIndex
from potp2p.protocol.consensus.events import HeightStarted, LoggedEvent, MessageReceived
from potp2p.protocol.consensus.height import HeightState
from potp2p.protocol.consensus.machine import Replica
from potp2p.protocol.wire.consensus import Statement
from potp2p.services.consensus_blocks import BlockShelf, ShelvedBlock
from potp2p.services.consensus_guard import SigningGuard
from potp2p.services.consensus_ports import Journal
from potp2p.services.consensus_records import BlockKept, Record, decode_record, encode_record
from potp2p.services.consensus_snapshot import (
    HeightKept,
    blocks_that_matter,
    keep_height,
    restore_height,
)
from potp2p.storage.ports import REPAIR_HINT


@dataclass(slots=True)
class ReplicaMemory:
    """
    Journal before guard, both before the network.

    Nothing leaves before `sync`; the journal is synced first, so that it knows all that was signed.
    Two flushes for each vote, on purpose: were the guard's place a frame of the same file, the loss
    of one page could take both, and nobody would know; were it written in the same flush, a power
    cut could keep the guard's word and lose its cause, and validators that share a power line would
    all fall silent at one height. The second flush overwrites one page: 0.09 ms on ext4, measured.
    """

    journal: Journal
    guard: SigningGuard
    refused: int = 0
    """Signatures that the guard refused, or that we withheld for want of memory."""
    muted_height: Height | None = None
    """Up to here we stay silent: the guard signed what the journal no longer knows."""
    _is_synced: bool = field(default=True)
    _heard: set[ValidatorIndex] = field(default_factory=set[ValidatorIndex])
    """Who spoke at this height since we began it or were started."""
    _kept: set[Digest] = field(default_factory=set[Digest])
    """Blocks in the journal."""
    _compact_at: int = JOURNAL_COMPACT_BYTES
    _replica: Replica | None = None
    _shelf: BlockShelf | None = None

    def recover(self, replica: Replica, shelf: BlockShelf, facts: HeightStarted) -> bool:
        """Put a fresh replica where it was; False when the journal is not about this height."""
        self._replica, self._shelf = replica, shelf
        records = [decode_record(entry) for entry in self.journal.entries()]
        first = beginning_of(records)
        if first is not None:
            verify_beginning(first, facts.height, facts.head_hash)
        is_ours = first is not None and first.height == facts.height
        if is_ours:
            for record in records:
                self._replay(record, replica, shelf)
        self.guard.began(facts.height)
        self._mute_if_forgotten(replica, facts.height)
        return is_ours

    def begin(self) -> None:
        """Forget the height that was stored elsewhere."""
        self.journal.reset()
        self._heard.clear()
        self._kept.clear()
        self._compact_at = JOURNAL_COMPACT_BYTES

    def keep_block(self, block: ShelvedBlock) -> None:
        """Note a block, once, that we propose or judge: we may have to hand it on."""
        if block.block_hash not in self._kept:
            self._kept.add(block.block_hash)
            self.log(BlockKept(block.encoded))

    def log(self, record: LoggedEvent | BlockKept) -> None:
        """Note an input; durable only after `sync`."""
        self.journal.append(encode_record(record))
        self._is_synced = False
        if isinstance(record, HeightStarted):
            self.guard.began(record.height)
        elif isinstance(record, MessageReceived):
            self._hear(record)

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
            if self.journal.size() > self._compact_at:
                await self._compact()
            else:
                await self.journal.sync()
            self._is_synced = True
        await self.guard.sync()

    async def _compact(self) -> None:
        """Replace what led here by where we are: a height that does not end stays bounded."""
        at = None if self._replica is None else self._replica.at
        assert at is not None, "only a height fills a journal"
        assert self._shelf is not None, "recovery comes first"
        if len(at.checked) > CHECKS_KEPT_MAX:
            await self.journal.sync()
            return
        wanted = blocks_that_matter(at)
        blocks = [kept for key, kept in sorted(self._shelf.held.items()) if key in wanted]
        records: list[Record] = [keep_height(at), *(BlockKept(each.encoded) for each in blocks)]
        await self.journal.rewrite([encode_record(record) for record in records])
        self._shelf.keep_only(wanted)
        self._kept = {each.block_hash for each in blocks}
        self._compact_at = max(JOURNAL_COMPACT_BYTES, 2 * self.journal.size())

    def _hear(self, received: MessageReceived) -> None:
        """Notice when a quorum is at work where we are: then this is the network's epoch."""
        self._heard.add(received.message.statement.signer)
        at = None if self._replica is None else self._replica.at
        if at is not None and len(self._heard) >= quorum(len(at.facts.validators)):
            self.guard.met(at.facts.epoch, at.facts.height)

    def _replay(self, record: Record, replica: Replica, shelf: BlockShelf) -> None:
        if isinstance(record, BlockKept):
            shelf.restore(record.block)
            self._kept = set(shelf.held)
            return
        if isinstance(record, HeightKept):
            replica.at = restore_height(record, replica.timing)
            self._restore_guard(replica.at)
            return
        at = replica.at
        if isinstance(record, MessageReceived) and at is not None:
            statement = record.message.statement
            casting = at.casting.get(type(statement))
            if casting is not None and casting.statement == statement:
                self.guard.restore(statement)
        replica.step(record)

    def _restore_guard(self, at: HeightState) -> None:
        for message in at.own.values():
            self.guard.restore(message.statement)

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


def beginning_of(records: Sequence[Record]) -> HeightStarted | None:
    """Return the height that a journal is about; None for an empty one."""
    if not records:
        return None
    first = records[0].facts if isinstance(records[0], HeightKept) else records[0]
    if not isinstance(first, HeightStarted):
        raise UnsafeError(f"the consensus journal does not begin with a height; {REPAIR_HINT}")
    return first


def verify_beginning(first: HeightStarted, height: Height, head_hash: Digest) -> None:
    """
    Raise UnsafeError unless a journal fits the next height of the chain.

    An earlier height is stored already. A later one, or one on another past, means that the chain
    is older than what this node signed.
    """
    if first.height > height:
        raise UnsafeError(
            f"the journal is at height {first.height}, the chain below it; {REPAIR_HINT}"
        )
    if first.height == height and first.head_hash != head_hash:
        raise UnsafeError(f"the journal of height {height} has another past; {REPAIR_HINT}")
