"""A customer who pays all the time: money in motion, for the oracle to count."""

from dataclasses import dataclass
from random import Random
from typing import Final

import trio

from potp2p.foundation.errors import UnreachableError
from potp2p.foundation.types import Amount, ChainId
from potp2p.network.ports import StreamProtocol
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.crypto.identity import KeyPair, account_of
from potp2p.protocol.ledger.transition import sign_paid_transaction
from potp2p.protocol.wire.transactions import Transfer
from potp2p.simulation.genesis import key_of
from potp2p.simulation.world import World

FEE: Final = Amount(2_000_000)
PAUSE_SECONDS: Final = 0.3


@dataclass(slots=True)
class Payer:
    """Sends small amounts to this and that account, through this and that validator."""

    world: World
    keys: KeyPair
    seed: int

    async def run(self) -> None:
        """Pay until cancelled."""
        random = Random(f"potp2p/payments/{self.seed}")
        network = self.world.hub.attach(self.keys.node_id)
        chain_id = ChainId(sha256(self.world.genesis_bytes))
        validators = [name for name in self.world.machines if name.startswith("validator-")]
        nonce = 0
        while True:
            payee = account_of(key_of(f"payee-{random.randrange(5)}").node_id)
            transfer = Transfer(payee, Amount(1_000 + nonce))
            paid = sign_paid_transaction(self.keys, chain_id, nonce, FEE, transfer)
            target = self.world.machines[random.choice(validators)].node_id
            try:
                await network.request(target, StreamProtocol.SUBMIT, paid, deadline_seconds=2.0)
                nonce += 1
            except UnreachableError:
                # It may have been taken all the same; the same payment is offered once more.
                nonce = self._next_nonce(nonce)
            await trio.sleep(random.uniform(0.5, 1.5) * PAUSE_SECONDS)

    def _next_nonce(self, nonce: int) -> int:
        """Return the next nonce of the account as the validator that knows most sees it."""
        known = [
            machine.node.chain.state().account(account_of(self.keys.node_id)).nonce
            for machine in self.world.machines.values()
            if machine.is_running
        ]
        return max(known, default=nonce)
