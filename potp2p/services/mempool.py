"""
Transactions on their way into a block: checked once, bounded, forgotten when included or stale.

Own transactions are handed to a few validators; validators gossip what they got in one batch per
interval, since a gossip delivery costs milliseconds of CPU (DESIGN section 10).
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, takewhile, zip_longest
from typing import Final, assert_never

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.limits import (
    MEMPOOL_MEMBERS_BYTES_MAX,
    MEMPOOL_MEMBERS_MAX,
    MEMPOOL_OWN_BYTES_MAX,
    MEMPOOL_OWN_MAX,
    MEMPOOL_PAID_BYTES_MAX,
    MEMPOOL_PAID_MAX,
    MEMPOOL_STALE_BLOCKS,
    MEMPOOL_STRANGERS_BYTES_MAX,
    MEMPOOL_STRANGERS_MAX,
    TRANSACTION_BYTES_MAX,
)
from potp2p.foundation.types import ChainId, Digest, Height, NodeId
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.incentives.fees import base_fee_of
from potp2p.protocol.ledger.lane import without_trace
from potp2p.protocol.ledger.transition import (
    decode_transaction,
    is_free,
    statement_id,
    verify_transaction,
)
from potp2p.protocol.wire.transactions import Free, TransactionBody
from potp2p.services.admission import Room, Standing

KEEP_REASONS: Final = frozenset(
    {RejectionReason.BAD_NONCE, RejectionReason.TOO_EARLY, RejectionReason.UNDERPRICED}
)
"""Refusals that time may cure: a gap in the nonces, a phase that has not come, a high price."""
FORGIVEN: Final = frozenset({RejectionReason.RATE, RejectionReason.UNDERPRICED})
"""Refusals of what is well signed: who bears it may be honest, and one of us may lag."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much one room holds."""

    transactions: int
    bytes: int


BOUNDS: Final = {
    Room.OWN: Bounds(MEMPOOL_OWN_MAX, MEMPOOL_OWN_BYTES_MAX),
    Room.MEMBERS: Bounds(MEMPOOL_MEMBERS_MAX, MEMPOOL_MEMBERS_BYTES_MAX),
    Room.STRANGERS: Bounds(MEMPOOL_STRANGERS_MAX, MEMPOOL_STRANGERS_BYTES_MAX),
    Room.PAID: Bounds(MEMPOOL_PAID_MAX, MEMPOOL_PAID_BYTES_MAX),
}


@dataclass(frozen=True, slots=True)
class Pending:
    """One transaction that waits."""

    identifier: Digest
    encoded: bytes
    sender: NodeId
    nonce: int
    fee: int
    room: Room
    ahead: int
    """Nonces of the sender that must be used before this one."""
    arrived: Height
    action: Free | None
    """What is free, without its trace."""

    @property
    def price(self) -> int:
        """Return the fee per byte, in sixty-four thousandths: the base fee takes from all alike."""
        return (self.fee << 16) // len(self.encoded)


@dataclass(slots=True)
class _Share:
    """What one sender has waiting in a room, oldest first."""

    pending: dict[Digest, Pending] = field(default_factory=dict[Digest, Pending])
    bytes: int = 0


@dataclass(slots=True)
class _Contents:
    """What waits in one room, and who has to leave it for whom."""

    room: Room
    shares: dict[NodeId, _Share] = field(default_factory=dict[NodeId, _Share])
    count: int = 0
    bytes: int = 0
    _by_worth: list[tuple[int, int, Digest]] = field(default_factory=list[tuple[int, int, Digest]])
    """Who pays, the first to leave first: a full room must not be searched for every newcomer."""

    def waiting(self, sender: NodeId) -> list[Pending]:
        """Return what one sender has here, oldest first."""
        share = self.shares.get(sender)
        return [] if share is None else list(share.pending.values())

    def put(self, new: Pending) -> None:
        """Take in, or replace the record of what is here."""
        self.remove(new)
        share = self.shares.setdefault(new.sender, _Share())
        share.pending[new.identifier] = new
        share.bytes += len(new.encoded)
        self.count += 1
        self.bytes += len(new.encoded)
        if self.room is Room.PAID:
            insort(self._by_worth, (*_worth(new), new.identifier))

    def remove(self, gone: Pending) -> None:
        """Let go, if it is here."""
        share = self.shares.get(gone.sender)
        known = None if share is None else share.pending.pop(gone.identifier, None)
        if share is None or known is None:
            return
        if self.room is Room.PAID:
            place = bisect_left(self._by_worth, (*_worth(known), known.identifier))
            del self._by_worth[place]
        share.bytes -= len(gone.encoded)
        self.count -= 1
        self.bytes -= len(gone.encoded)
        if not share.pending:
            del self.shares[gone.sender]

    def leaving_for(
        self, new: Pending, at_most: int, known: Mapping[Digest, Pending]
    ) -> list[Pending]:
        """Return who must leave so that a newcomer fits; PeerError: nobody has to."""
        match self.room:
            case Room.OWN:
                return self._first(self._oldest_first(), new, [])
            case Room.PAID:
                return self._worse_paid(new, at_most, known)
            case Room.MEMBERS | Room.STRANGERS:
                if len(self.waiting(new.sender)) >= at_most:
                    raise PeerError(RejectionReason.RATE, "too many transactions of one sender")
                return self._newest_of_heaviest(new)
            case _:
                assert_never(self.room)

    def _over(self, new: Pending, leaving: list[Pending]) -> bool:
        bounds = BOUNDS[self.room]
        left = sum(len(each.encoded) for each in leaving)
        return (
            self.count + 1 - len(leaving) > bounds.transactions
            or self.bytes + len(new.encoded) - left > bounds.bytes
        )

    def _oldest_first(self) -> Iterable[Pending]:
        """Yield what waits here by age; sorts only once somebody asks."""
        yield from sorted(
            (each for share in self.shares.values() for each in share.pending.values()),
            key=lambda each: each.arrived,
        )

    def _first(
        self, order: Iterable[Pending], new: Pending, leaving: list[Pending]
    ) -> list[Pending]:
        queue = iter(order)
        while self._over(new, leaving):
            each = next(queue, None)
            if each is None:
                raise PeerError(RejectionReason.RATE, "the pool of transactions is full")
            if each not in leaving:
                leaving.append(each)
        return leaving

    def _worse_paid(
        self, new: Pending, at_most: int, known: Mapping[Digest, Pending]
    ) -> list[Pending]:
        """
        Choose whoever is further from its turn, then whoever pays less.

        The turn counts first: a fee behind a gap that never closes is never paid.
        """
        waiting = self.waiting(new.sender)
        leaving = [each for each in waiting if each.nonce == new.nonce]
        if any(each.fee >= new.fee for each in leaving):
            raise PeerError(RejectionReason.RATE, "a statement with this nonce pays as much")
        if not leaving and len(waiting) >= at_most:
            raise PeerError(RejectionReason.RATE, "too many transactions of one sender wait")
        worse = takewhile(lambda place: place[:2] < _worth(new), self._by_worth)
        return self._first((known[identifier] for *_, identifier in worse), new, leaving)

    def _newest_of_heaviest(self, new: Pending) -> list[Pending]:
        """
        Choose the newest of whoever takes most of what is scarce, while that is not the newcomer.

        So a sender with nothing here finds a place as long as the room holds one of everybody's.
        """
        leaving: list[Pending] = []
        if not self._over(new, leaving):
            return leaving
        counts = {sender: len(share.pending) for sender, share in self.shares.items()}
        sizes = {sender: share.bytes for sender, share in self.shares.items()}
        counts[new.sender] = counts.get(new.sender, 0) + 1
        sizes[new.sender] = sizes.get(new.sender, 0) + len(new.encoded)
        while self._over(new, leaving):
            many = self.count + 1 - len(leaving) > BOUNDS[self.room].transactions
            weights = counts if many else sizes
            heaviest = max(weights, key=weights.__getitem__)
            if weights[heaviest] <= weights[new.sender]:
                raise PeerError(RejectionReason.RATE, "the pool of transactions is full")
            share = self.shares[heaviest].pending
            taken = len(share) - counts[heaviest]
            gone = next(islice(reversed(share.values()), taken, None))
            leaving.append(gone)
            counts[heaviest] -= 1
            sizes[heaviest] -= len(gone.encoded)
        return leaving


def _no_deadlines(actions: Sequence[Free]) -> Sequence[Height]:
    return [Height(0)] * len(actions)


@dataclass(slots=True)
class Mempool:
    """The one owner of pending transactions."""

    chain_id: ChainId
    height: Callable[[], Height]
    has_standing: Callable[[TransactionBody], Standing | None]
    """Tells whether the state lets a sender's statement wait at all, and where."""
    base_fee: Callable[[], int] = lambda: 0
    """Per byte of what is paid, in the next block."""
    deadlines: Callable[[Sequence[Free]], Sequence[Height]] = _no_deadlines
    """By when free statements must stand."""
    _pending: dict[Digest, Pending] = field(default_factory=dict[Digest, Pending])
    _verified: dict[Digest, bytes] = field(default_factory=dict[Digest, bytes])
    """By SHA-256 of the exact bytes whose signature holds: an id leaves the signature out."""
    _rooms: dict[Room, _Contents] = field(
        default_factory=lambda: {room: _Contents(room) for room in Room}
    )

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, encoded: bytes, *, own: bool = False) -> bool:
        """
        Take a transaction; False when it is known already. Raises PeerError to refuse it.

        FORGIVEN reasons mean that its shape and signature are right: whoever bears it may be
        honest. What this node says itself has its own room, where the oldest makes place for the
        newest.
        """
        if len(encoded) > TRANSACTION_BYTES_MAX:
            raise PeerError(RejectionReason.OUT_OF_BOUNDS, "transaction too large")
        if self.is_verified(encoded):
            return False
        transaction = decode_transaction(encoded)
        # Before anything that depends on the state: a refusal for want of room or standing is
        # forgiven, so nothing forged may get as far as that.
        verify_transaction(transaction, self.chain_id)
        body = transaction.body
        identifier = statement_id(encoded)
        if identifier in self._pending:
            return False
        if not is_free(body.action):
            self._require_fee(body, len(encoded))
        standing = self.has_standing(body)
        if standing is None:
            raise PeerError(
                RejectionReason.RATE, "no seat, registration, money or stamp, or it fails"
            )
        new = Pending(
            identifier,
            encoded,
            body.sender,
            body.nonce,
            body.fee,
            Room.OWN if own and is_free(body.action) else standing.room,
            standing.ahead,
            self.height(),
            without_trace(body.action) if isinstance(body.action, Free) else None,
        )
        for each in self._rooms[new.room].leaving_for(new, standing.at_most, self._pending):
            self._drop(each.identifier)
        self._keep(new)
        self._verified[sha256(encoded)] = encoded
        return True

    def _require_fee(self, body: TransactionBody, size: int) -> None:
        """Refuse what the next block would: nobody waits for the price to come down."""
        least = base_fee_of(body.action, self.base_fee(), size)
        if body.fee < least:
            raise PeerError(
                RejectionReason.UNDERPRICED,
                f"fee {body.fee}, the base fee of {size} bytes is {least} now",
            )

    def is_verified(self, encoded: bytes) -> bool:
        """Tell whether exactly these bytes had their signature checked here."""
        return sha256(encoded) in self._verified

    def by_digest(self) -> Iterable[tuple[Digest, bytes]]:
        """Return all that waits here, by the SHA-256 of its bytes."""
        return self._verified.items()

    def candidates(self) -> tuple[bytes, ...]:
        """
        Return what may go into a block: free ones by deadline, then paid by fee, in nonce order.

        Among equals whoever came first goes first, so that nobody waits for ever.
        """
        waiting = [each for each in self._pending.values() if each.action is not None]
        by_when = self.deadlines([each.action for each in waiting if each.action is not None])
        ranked = zip(by_when, map(_age, waiting), waiting, strict=True)
        free = [each for *_, each in sorted(ranked, key=lambda row: row[:2])]
        paid = sorted(
            (each for each in self._pending.values() if each.room is Room.PAID),
            key=lambda each: (-each.price, each.arrived),
        )
        return tuple(each.encoded for each in (*free, *_in_nonce_order(paid)))

    def lingering(self, at_most: int) -> tuple[bytes, ...]:
        """
        Return free statements that were here before the last block, as many as asked for.

        Each sender's oldest come first, and another sender begins at every height, so that nobody
        hides another's by leaving many of its own here.
        """
        height = self.height()
        shares = [
            [each for each in share.pending.values() if each.arrived < height]
            for room in (Room.OWN, Room.MEMBERS, Room.STRANGERS)
            for share in self._rooms[room].shares.values()
        ]
        shares = [share for share in shares if share]
        begin = height % len(shares) if shares else 0
        rows = zip_longest(*shares[begin:], *shares[:begin])
        waiting = (each.encoded for row in rows for each in row if each is not None)
        return tuple(islice(waiting, at_most))

    def settle(self, included: Iterable[bytes]) -> None:
        """Forget what a block included or made void, and what has waited too long."""
        for encoded in included:
            known = self._pending.get(statement_id(encoded))
            if known is not None:
                self._drop(known.identifier)
                if known.room is Room.PAID:
                    self._advance(known.sender, known.nonce + 1)
                continue
            body = decode_transaction(encoded).body
            if not is_free(body.action):
                self._advance(body.sender, body.nonce + 1)
        oldest = self.height() - MEMPOOL_STALE_BLOCKS
        for identifier in [key for key, each in self._pending.items() if each.arrived < oldest]:
            self._drop(identifier)

    def refuse(self, refused: Iterable[tuple[bytes, PeerError]]) -> None:
        """Forget what the ledger refused for good when a block was put together."""
        for encoded, error in refused:
            if error.reason not in KEEP_REASONS:
                self._drop(statement_id(encoded))

    def _advance(self, sender: NodeId, nonce: int) -> None:
        """Let a sender's other paid statements move up to its next nonce."""
        for each in self._rooms[Room.PAID].waiting(sender):
            if each.nonce < nonce:
                self._drop(each.identifier)
            else:
                self._keep(replace(each, ahead=each.nonce - nonce))

    def _keep(self, pending: Pending) -> None:
        self._pending[pending.identifier] = pending
        self._rooms[pending.room].put(pending)

    def _drop(self, identifier: Digest) -> None:
        gone = self._pending.pop(identifier, None)
        if gone is not None:
            self._verified.pop(sha256(gone.encoded), None)
            self._rooms[gone.room].remove(gone)


def _age(pending: Pending) -> tuple[Height, bytes]:
    return pending.arrived, pending.encoded


def _worth(pending: Pending) -> tuple[int, int]:
    return -pending.ahead, pending.price


def _in_nonce_order(paid: list[Pending]) -> list[Pending]:
    """Keep the places that fees won, but let each sender fill its places by rising nonce."""
    queues: dict[NodeId, list[Pending]] = {}
    for each in sorted(paid, key=lambda each: -each.nonce):
        queues.setdefault(each.sender, []).append(each)
    return [queues[each.sender].pop() for each in paid]
