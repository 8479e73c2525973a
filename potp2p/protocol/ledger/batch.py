"""
The transactions of one block as they are taken in: their two lanes, their base fee, their tips.

Half of a block's bytes and of its transactions belong to free ones: paid ones never get beyond
their half, free ones may flow over into it. So no amount of money keeps a claim, an attestation or
a reveal out of a block, and no miner misses a deadline because somebody else pays.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.limits import BLOCK_BYTES_MAX, BLOCK_TRANSACTIONS_MAX
from potp2p.protocol.incentives.fees import PPM, base_fee_of
from potp2p.protocol.ledger.context import BlockContext, require
from potp2p.protocol.ledger.state import State
from potp2p.protocol.ledger.transition import (
    apply,
    decode_transaction,
    is_free,
    verify_transaction,
)
from potp2p.protocol.wire.transactions import Transaction

TRANSACTION_OVERHEAD_BYTES: Final = 4
"""What one transaction adds to a block beside its bytes."""
BODY_RESERVE_BYTES: Final = 1 << 14
"""Room in a block for header, seal and signatures."""

Verified = Callable[[bytes], bool]
"""Tells whether the signature of exactly these bytes was checked before."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one block holds; half of both is the most that paid transactions may take."""

    bytes: int = BLOCK_BYTES_MAX
    transactions: int = BLOCK_TRANSACTIONS_MAX


BLOCK_LIMITS: Final = Limits()


@dataclass(slots=True)
class Fill:
    """What one kind of transactions takes."""

    bytes: int = 0
    transactions: int = 0

    def add(self, size: int) -> None:
        """Count one more."""
        self.bytes += size
        self.transactions += 1


@dataclass(slots=True)
class Batch:
    """What a block has taken in so far."""

    state: State
    context: BlockContext
    verified: Verified
    transactions_max: int
    """An author's own limit, at most the block's."""
    limits: Limits = BLOCK_LIMITS
    base_fee: int = field(init=False)
    """Per byte, of this block."""
    tips: int = 0
    burned: int = 0
    """Base fees, taken from their senders."""
    paid: Fill = field(default_factory=Fill)
    whole: Fill = field(default_factory=Fill)
    included: list[bytes] = field(default_factory=list[bytes])
    refused: list[tuple[bytes, PeerError]] = field(default_factory=list[tuple[bytes, PeerError]])

    def __post_init__(self) -> None:
        self.base_fee = self.state.chain().base_fee
        self.transactions_max = min(self.transactions_max, self.limits.transactions)

    @property
    def fullness(self) -> int:
        """Return how full the paid lane is, in ppm, by whatever is scarcer."""
        return max(
            2 * self.paid.bytes * PPM // self.limits.bytes,
            2 * self.paid.transactions * PPM // self.limits.transactions,
        )

    def take(self, encoded: bytes) -> None:
        """Apply one transaction, whole or not at all; PeerError where it does not apply."""
        transaction = decode_transaction(encoded)
        if not self._has_room(transaction, encoded):
            raise PeerError(RejectionReason.BAD_BLOCK, "more transactions than a block may hold")
        self._take(transaction, encoded)

    def offer(self, encoded: bytes) -> None:
        """Take a transaction if it has room and applies; remember why it does not apply."""
        if self.whole.transactions >= self.transactions_max:
            return
        try:
            transaction = decode_transaction(encoded)
            if self._has_room(transaction, encoded):
                self._take(transaction, encoded)
        except PeerError as error:
            self.refused.append((encoded, error))

    def left_out(self, due: Sequence[bytes]) -> tuple[bytes, ...]:
        """Return what of these is not in the block, though it has room and would still apply."""
        included = frozenset(self.included)
        return tuple(
            encoded for encoded in due if encoded not in included and self._would_take(encoded)
        )

    def _would_take(self, encoded: bytes) -> bool:
        transaction = decode_transaction(encoded)
        if not self._has_room(transaction, encoded):
            return False
        try:
            apply(self.state.child(), transaction, self.context)
        except PeerError:
            return False
        return True

    def _has_room(self, transaction: Transaction, encoded: bytes) -> bool:
        size = len(encoded) + TRANSACTION_OVERHEAD_BYTES
        if (
            BODY_RESERVE_BYTES + self.whole.bytes + size > self.limits.bytes
            or self.whole.transactions >= self.transactions_max
        ):
            return False
        return is_free(transaction.body.action) or (
            2 * (self.paid.bytes + size) <= self.limits.bytes
            and 2 * (self.paid.transactions + 1) <= self.limits.transactions
        )

    def _take(self, transaction: Transaction, encoded: bytes) -> None:
        body = transaction.body
        burned = 0
        if not is_free(body.action):
            burned = base_fee_of(body.action, self.base_fee, len(encoded))
            require(
                body.fee >= burned,
                RejectionReason.UNDERPRICED,
                f"fee {body.fee}, the base fee of {len(encoded)} bytes is {burned}",
            )
        if not self.verified(encoded):
            verify_transaction(transaction, self.context.chain_id)
        child = self.state.child()
        tip = apply(child, transaction, self.context) - burned
        child.merge()
        size = len(encoded) + TRANSACTION_OVERHEAD_BYTES
        self.whole.add(size)
        if not is_free(body.action):
            self.paid.add(size)
        self.tips += tip
        self.burned += burned
        self.included.append(encoded)
