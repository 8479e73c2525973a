"""
The signing guard: the only holder of the key under which consensus statements are signed.

Its record is made together with the key (`potp2p init`, `devnet`): that is how an empty record is
known to belong to a key that never signed. Whoever has the key without the record, or had to give a
damaged one up, does not know what was signed and stays silent until an epoch begins after the one
in which a quorum was met at work. A chain that is at genesis has nothing to contradict: at height 1
anyone may speak, and who had part in its seal has a record from then on.
"""

from dataclasses import dataclass
from typing import Annotated, Final

from potp2p.foundation.errors import PeerError, UnsafeError
from potp2p.foundation.types import GENESIS_HEIGHT, ChainId, Digest, Epoch, Height, Signature
from potp2p.protocol.crypto.hashing import tagged_hash
from potp2p.protocol.crypto.identity import KeyPair
from potp2p.protocol.crypto.signing import sign
from potp2p.protocol.wire.consensus import Commit, Prepare, Propose, Statement, ViewChange
from potp2p.protocol.wire.fields import DigestField, EpochField, HeightField, ViewField
from potp2p.protocol.wire.schema import Uint, decode, encode
from potp2p.services.consensus_ports import SafetyRecord
from potp2p.storage.ports import REPAIR_HINT

FIRST_HEIGHT: Final = GENESIS_HEIGHT + 1
GUARD_DOMAIN: Final = "potp2p/consensus/guard/1"
PHASES: Final[dict[type, int]] = {ViewChange: 0, Propose: 1, Prepare: 2, Commit: 3}
"""Order in which a validator speaks within one view."""


@dataclass(frozen=True, slots=True)
class Signed:
    """The last place in which something was signed, and what it was."""

    height: HeightField
    view: ViewField
    phase: Annotated[int, Uint(4)]
    digest: DigestField

    @property
    def place(self) -> tuple[int, int, int]:
        """Where; places are signed in rising order only."""
        return self.height, self.view, self.phase


@dataclass(frozen=True, slots=True)
class Silence:
    """Not to sign up to the end of an epoch; None until it is known which one it is now."""

    until: EpochField | None


@dataclass(frozen=True, slots=True)
class SafetyNote:
    """What the safety record holds."""

    last: Signed | None
    """None: this key never signed, or what it signed is lost and `silence` says so."""
    silence: Silence | None


BORN: Final = SafetyNote(None, None)
"""Of a key that was made just now."""
LOST: Final = SafetyNote(None, Silence(None))
"""Of a key whose past is not known."""


def decode_note(encoded: bytes) -> SafetyNote:
    """Read a safety record; UnsafeError when it does not hold one."""
    try:
        return decode(SafetyNote, encoded)
    except PeerError:
        pass
    try:
        # As potp2p 0.1 wrote it.
        return SafetyNote(decode(Signed, encoded), None)
    except PeerError as error:
        raise UnsafeError(
            f"the safety record does not read: {error.detail}; {REPAIR_HINT}"
        ) from error


class SigningGuard:
    """
    Refuses a second statement in one (height, view, phase), or any below; same bytes may repeat.

    A signature may leave the process only after `sync`.
    """

    def __init__(self, key: KeyPair, chain_id: ChainId, record: SafetyRecord) -> None:
        self._key = key
        self._chain_id = chain_id
        self._record = record
        stored = record.read()
        note = BORN if stored is None else decode_note(stored)
        self.last: Signed | None = note.last
        self.silence: Silence | None = note.silence
        self._is_durable = True

    def is_silent(self, epoch: Epoch, height: Height) -> bool:
        """Tell whether nothing may be signed at a height."""
        if self.silence is None:
            return False
        if self.silence.until is None:
            return height > FIRST_HEIGHT
        return epoch <= self.silence.until

    def met(self, epoch: Epoch, height: Height) -> None:
        """Learn that a quorum works at a height: silence lasts to the end of its epoch."""
        if self.silence == Silence(None) and height > FIRST_HEIGHT:
            self._decide_on(Silence(epoch))

    def began(self, height: Height) -> None:
        """Learn that a height begins; who committed at the first one was there from the start."""
        last = self.last
        is_second = self.silence == Silence(None) and height == FIRST_HEIGHT + 1
        if is_second and last is not None and last.place[::2] == (FIRST_HEIGHT, PHASES[Commit]):
            self._decide_on(None)

    def _decide_on(self, silence: Silence | None) -> None:
        self.silence = silence
        self._is_durable = False

    def sign(self, statement: Statement) -> Signature:
        """Sign, or raise UnsafeError where that could contradict what was signed before."""
        wanted = self._place_of(statement)
        if self.is_silent(statement.epoch, statement.height):
            raise UnsafeError("refused to sign: what this key signed before is not known")
        if self.last is not None and wanted.place <= self.last.place and wanted != self.last:
            raise UnsafeError(f"refused to sign at {wanted.place} after {self.last.place}")
        self._note(wanted)
        return sign(self._key, statement.DOMAIN, self._chain_id, encode(statement))

    def restore(self, statement: Statement) -> None:
        """Take note of an own statement in the journal, which is synced before the record is."""
        found = self._place_of(statement)
        if self.last is None or found.place > self.last.place:
            self._note(found)
        elif found.place == self.last.place and found != self.last:
            raise UnsafeError(f"journal and safety record differ at {found.place}; {REPAIR_HINT}")

    def is_last(self, statement: Statement) -> bool:
        """Tell whether this is the very statement that was signed last."""
        return self.last == self._place_of(statement)

    def _note(self, place: Signed) -> None:
        if place != self.last:
            self.last = place
            self._is_durable = False

    async def sync(self) -> None:
        """Return once the last place would survive a power cut."""
        if not self._is_durable:
            await self._record.write(encode(SafetyNote(self.last, self.silence)))
            self._is_durable = True

    def _place_of(self, statement: Statement) -> Signed:
        digest: Digest = tagged_hash(GUARD_DOMAIN, statement.DOMAIN.encode(), encode(statement))
        return Signed(statement.height, statement.view, PHASES[type(statement)], digest)
