"""The journal's records: events that changed the replica, and blocks that it may have to show."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, TypeAlias, TypeGuard

from potp2p.foundation.errors import PeerError, UnsafeError
from potp2p.foundation.limits import BLOCK_BYTES_MAX, BLOCK_OVERHEAD_BYTES_MAX
from potp2p.protocol.consensus.events import (
    BetterBodyHeard,
    BlockChecked,
    BlockOffered,
    Event,
    HeightStarted,
    LoggedEvent,
    MessageReceived,
    Resumed,
    SealReceived,
    StatusReceived,
    Timer,
    TimerFired,
)
from potp2p.protocol.wire.schema import Octets, decode_own, encode
from potp2p.services.consensus_snapshot import HeightKept
from potp2p.storage.ports import REPAIR_HINT


@dataclass(frozen=True, slots=True)
class BlockKept:
    """A block that we are about to judge: a vote for it obliges us to hand it on."""

    KIND: ClassVar = 64
    block: Annotated[bytes, Octets(1, BLOCK_BYTES_MAX + BLOCK_OVERHEAD_BYTES_MAX)]


Record: TypeAlias = (
    HeightStarted
    | MessageReceived
    | TimerFired
    | BlockOffered
    | BlockChecked
    | SealReceived
    | BetterBodyHeard
    | BlockKept
    | HeightKept
)


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One entry of the journal."""

    record: Record


def changes_state(event: Event) -> TypeGuard[LoggedEvent]:
    """Tell whether replay needs an event; ticks that only repeat what was said it does not."""
    if isinstance(event, TimerFired):
        return event.timer is Timer.VIEW
    return not isinstance(event, StatusReceived | Resumed)


def encode_record(record: Record) -> bytes:
    """Return a record's bytes in the journal."""
    return encode(JournalEntry(record))


def decode_record(encoded: bytes) -> Record:
    """Read our own bytes back; damage that the checksum missed must not be voted upon."""
    try:
        return decode_own(JournalEntry, encoded, bytes_max=2 * BLOCK_BYTES_MAX).record
    except PeerError as error:
        raise UnsafeError(
            f"the consensus journal is damaged: {error.detail}; {REPAIR_HINT}"
        ) from error
