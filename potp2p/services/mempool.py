"""
Transactions on their way into a block: checked once, bounded, forgotten when included or stale.

Own transactions are handed to a few validators; validators gossip what they got in one batch per
interval, since a gossip delivery costs milliseconds of CPU (DESIGN section 10).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.limits import (
    MEMPOOL_BYTES_MAX,
    MEMPOOL_PER_SENDER_MAX,
    MEMPOOL_STALE_BLOCKS,
    MEMPOOL_TRANSACTIONS_MAX,
    TRANSACTION_BYTES_MAX,
)
from potp2p.foundation.types import ChainId, Digest, Height, NodeId
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.ledger.transition import (
    decode_transaction,
    is_free,
    transaction_id,
    verify_transaction,
)
from potp2p.protocol.wire.transactions import TransactionBody

KEEP_REASONS = frozenset({RejectionReason.BAD_NONCE, RejectionReason.TOO_EARLY})
"""Refusals that time may cure: a gap in the nonces, a phase that has not come."""


@dataclass(frozen=True, slots=True)
class Pending:
    """One transaction that waits."""

    encoded: bytes
    sender: NodeId
    nonce: int
    fee: int
    free: bool
    arrived: Height


@dataclass(slots=True)
class Mempool:
    """The one owner of pending transactions."""

    chain_id: ChainId
    height: Callable[[], Height]
    has_standing: Callable[[TransactionBody], bool]
    """Tells whether the state lets a sender's statement wait at all."""
    _pending: dict[Digest, Pending] = field(default_factory=dict[Digest, Pending])
    _verified: set[Digest] = field(default_factory=set[Digest])
    """SHA-256 of the exact bytes whose signature holds: an id leaves the signature out."""
    _per_sender: dict[NodeId, int] = field(default_factory=dict[NodeId, int])
    _bytes: int = 0

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, encoded: bytes) -> bool:
        """Take a transaction; False when it is known already. Raises PeerError to refuse it."""
        if len(encoded) > TRANSACTION_BYTES_MAX:
            raise PeerError(RejectionReason.OUT_OF_BOUNDS, "transaction too large")
        transaction = decode_transaction(encoded)
        identifier = transaction_id(transaction.body)
        if identifier in self._pending:
            if not self.is_verified(encoded):
                # Known by its id, but these bytes may carry a signature that others refuse.
                verify_transaction(transaction, self.chain_id)
            return False
        sender = transaction.body.sender
        if self._per_sender.get(sender, 0) >= MEMPOOL_PER_SENDER_MAX:
            raise PeerError(RejectionReason.RATE, "too many transactions of one sender wait")
        if (
            len(self._pending) >= MEMPOOL_TRANSACTIONS_MAX
            or self._bytes + len(encoded) > MEMPOOL_BYTES_MAX
        ):
            raise PeerError(RejectionReason.RATE, "the pool of transactions is full")
        if not self.has_standing(transaction.body):
            raise PeerError(RejectionReason.RATE, "no seat, registration, money or stamp")
        verify_transaction(transaction, self.chain_id)
        self._pending[identifier] = Pending(
            encoded,
            sender,
            transaction.body.nonce,
            transaction.body.fee,
            is_free(transaction.body.action),
            self.height(),
        )
        self._verified.add(sha256(encoded))
        self._per_sender[sender] = self._per_sender.get(sender, 0) + 1
        self._bytes += len(encoded)
        return True

    def is_verified(self, encoded: bytes) -> bool:
        """Tell whether exactly these bytes had their signature checked here."""
        return sha256(encoded) in self._verified

    def candidates(self) -> tuple[bytes, ...]:
        """Return what may go into a block: free ones by age, then paid by fee, in nonce order."""
        free = sorted((each for each in self._pending.values() if each.free), key=_age)
        paid = sorted(
            (each for each in self._pending.values() if not each.free),
            key=lambda each: (-each.fee, each.sender, each.nonce),
        )
        return tuple(each.encoded for each in (*free, *_in_nonce_order(paid)))

    def settle(self, included: Iterable[bytes]) -> None:
        """Forget what a block included, and what has waited too long."""
        for encoded in included:
            self._drop(transaction_id(decode_transaction(encoded).body))
        oldest = self.height() - MEMPOOL_STALE_BLOCKS
        for identifier in [key for key, each in self._pending.items() if each.arrived < oldest]:
            self._drop(identifier)

    def refuse(self, refused: Iterable[tuple[bytes, PeerError]]) -> None:
        """Forget what the ledger refused for good when a block was put together."""
        for encoded, error in refused:
            if error.reason not in KEEP_REASONS:
                self._drop(transaction_id(decode_transaction(encoded).body))

    def _drop(self, identifier: Digest) -> None:
        gone = self._pending.pop(identifier, None)
        if gone is None:
            return
        self._verified.discard(sha256(gone.encoded))
        self._bytes -= len(gone.encoded)
        left = self._per_sender[gone.sender] - 1
        if left:
            self._per_sender[gone.sender] = left
        else:
            del self._per_sender[gone.sender]


def _age(pending: Pending) -> tuple[Height, bytes]:
    return pending.arrived, pending.encoded


def _in_nonce_order(paid: list[Pending]) -> list[Pending]:
    """Keep the places that fees won, but let each sender fill its places by rising nonce."""
    queues: dict[NodeId, list[Pending]] = {}
    for each in sorted(paid, key=lambda each: -each.nonce):
        queues.setdefault(each.sender, []).append(each)
    return [queues[each.sender].pop() for each in paid]
