"""Who may fill the pool of transactions: whoever has a seat, a registration, money or a stamp."""

from collections.abc import Callable
from dataclasses import dataclass

from potp2p.foundation.limits import NONCES_AHEAD_MAX
from potp2p.foundation.types import ChainId
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.ledger.stamp import is_stamp
from potp2p.protocol.ledger.state import State
from potp2p.protocol.ledger.transition import is_free
from potp2p.protocol.wire.transactions import RegisterMiner, TransactionBody


@dataclass(frozen=True, slots=True)
class Admission:
    """
    Reads the state after the head; owns nothing.

    Free statements cost their sender nothing, so without this a stranger's fresh keys could keep
    everyone else's statements out of every pool.
    """

    chain_id: ChainId
    stamp_bits: int
    state: Callable[[], State]

    def has_standing(self, body: TransactionBody) -> bool:
        """Tell whether a sender could have its statement executed, now or soon."""
        state, account = self.state(), account_of(body.sender)
        if not is_free(body.action):
            owner = state.account(account)
            return 0 <= body.nonce - owner.nonce <= NONCES_AHEAD_MAX and owner.balance >= body.fee
        if isinstance(body.action, RegisterMiner):
            return is_stamp(self.chain_id, body.sender, body.action.stamp, self.stamp_bits)
        if any(seat.node == body.sender for seat in state.chain().seats):
            return True
        return state.miner(account) is not None
