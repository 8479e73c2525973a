"""Who may have a statement wait, and where: seats and bonded miners, strangers, payers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

from potp2p.foundation.errors import PeerError
from potp2p.foundation.limits import (
    MEMPOOL_PER_SENDER_MAX,
    MEMPOOL_PER_STRANGER_MAX,
    MEMPOOL_PER_UNPROVEN_MAX,
    NONCES_AHEAD_MAX,
    SIGNATURE_BYTES,
)
from potp2p.foundation.types import ChainId, Height, Signature
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.ledger.context import BlockContext
from potp2p.protocol.ledger.lane import deadline_of
from potp2p.protocol.ledger.money import at_risk
from potp2p.protocol.ledger.stamp import is_stamp
from potp2p.protocol.ledger.state import State
from potp2p.protocol.ledger.transition import apply, is_free
from potp2p.protocol.wire.blocks import RANK_NONE
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.transactions import (
    Action,
    Bond,
    Challenge,
    Free,
    RegisterMiner,
    SubmitTask,
    Transaction,
    TransactionBody,
    Transfer,
    Unbond,
)

NO_SIGNATURE: Final = Signature(bytes(SIGNATURE_BYTES))


@unique
class Room(Enum):
    """Parts of the pool that cannot take each other's places."""

    OWN = "own"
    """What this node says itself."""
    MEMBERS = "members"
    """Free statements of seats and of registered miners with a bond."""
    STRANGERS = "strangers"
    """Free statements of everyone else: registrations with a stamp, miners without a
    bond, challenges of whoever has one."""
    PAID = "paid"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a statement may wait, and how well."""

    room: Room
    at_most: int
    """Statements of this sender that may wait in this room."""
    ahead: int = 0
    """Nonces of the sender that must be used before this one."""


@dataclass(frozen=True, slots=True)
class Admission:
    """
    Reads the state after the head; owns nothing.

    Neither a free statement nor a paid one that is never executed costs its sender anything, so
    without this a stranger's fresh keys could keep everyone else's statements out of every pool.
    """

    chain_id: ChainId
    genesis: Genesis
    state: Callable[[], State]
    height: Callable[[], Height]
    """Of the head."""

    def has_standing(self, body: TransactionBody) -> Standing | None:
        """Tell where a statement that could be executed now or soon may wait; None: nowhere."""
        return self._free(body) if is_free(body.action) else self._paid(body)

    def base_fee(self) -> int:
        """Return the price per byte of the next block's paid statements."""
        return self.state().chain().base_fee

    def deadlines(self, actions: Sequence[Free]) -> list[Height]:
        """Return by when each free statement must stand."""
        state = self.state()
        return [deadline_of(state, self.genesis, action) for action in actions]

    def _paid(self, body: TransactionBody) -> Standing | None:
        owner = self.state().account(account_of(body.sender))
        ahead = body.nonce - owner.nonce
        if not 0 <= ahead <= NONCES_AHEAD_MAX:
            return None
        # A bond is as good a sign of someone as a balance, and a validator may have nothing else.
        unbonds = isinstance(body.action, Unbond) and 0 < body.action.amount <= owner.bond
        if owner.balance == 0 and not unbonds:
            return None
        if owner.balance < body.fee + _spent(body.action):
            return None
        if ahead == 0 and not self._would_apply(body):
            return None
        proven = owner.nonce > 0
        return Standing(Room.PAID, NONCES_AHEAD_MAX if proven else MEMPOOL_PER_UNPROVEN_MAX, ahead)

    def _would_apply(self, body: TransactionBody) -> bool:
        """
        Try what may be next, unless it moves money that is there.

        What fails never stands in a block and so pays nothing: to charge for it would pay authors
        for letting statements fail, and fill blocks with what does nothing. So it must not travel
        either: whoever sends what fails has it checked once, by the node that it is sent to.
        """
        if isinstance(body.action, Transfer | Bond):
            return True
        state = self.state()
        nobody = state.chain().seats[0].node
        height = Height(self.height() + 1)
        context = BlockContext(self.chain_id, self.genesis, height, nobody, RANK_NONE, None)
        try:
            apply(state.child(), Transaction(body, NO_SIGNATURE), context)
        except PeerError:
            return False
        return True

    def _free(self, body: TransactionBody) -> Standing | None:
        state, account = self.state(), account_of(body.sender)
        if isinstance(body.action, RegisterMiner) and not is_stamp(
            self.chain_id, body.sender, body.action.stamp, self.genesis.training.stamp_bits
        ):
            return None
        is_miner = state.miner(account) is not None
        owner = state.account(account)
        # Who asks for a seat, or has left one, has as much to lose as who holds one.
        if (
            at_risk(owner) >= self.genesis.money.validator_bond
            or any(seat.node == body.sender for seat in state.chain().seats)
            or (is_miner and owner.bond > 0)
        ):
            return Standing(Room.MEMBERS, MEMPOOL_PER_SENDER_MAX)
        challenges = isinstance(body.action, Challenge) and owner.bond > 0
        if is_miner or challenges or isinstance(body.action, RegisterMiner):
            return Standing(Room.STRANGERS, MEMPOOL_PER_STRANGER_MAX)
        return None


def _spent(action: Action) -> int:
    """Return what an action takes from its sender's balance besides the fee."""
    match action:
        case Transfer() | Bond():
            return action.amount
        case SubmitTask():
            return action.budget
        case _:
            return 0
