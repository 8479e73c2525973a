"""A customer who orders training and pays all the time: money in motion, for the oracle."""

from dataclasses import dataclass
from random import Random
from typing import Final

import trio

from potp2p.exchange.blobs import BlobExchange
from potp2p.exchange.packing import pack
from potp2p.foundation.errors import UnreachableError
from potp2p.foundation.types import POT, Amount, ChainId
from potp2p.network.ports import StreamProtocol
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.crypto.identity import KeyPair, account_of
from potp2p.protocol.ledger.transition import sign_paid_transaction
from potp2p.protocol.wire.transactions import SubmitTask, Transfer
from potp2p.simulation.genesis import key_of
from potp2p.simulation.network import MemoryNetwork
from potp2p.simulation.packages import make_rules, write_files
from potp2p.simulation.stores import FolderBlobStore
from potp2p.simulation.world import World

FEE: Final = Amount(2_000_000)
PAUSE_SECONDS: Final = 0.3
BUDGET: Final = Amount(60 * POT)
ROUNDS: Final = 2
SHARDS: Final = 3


@dataclass(slots=True)
class Payer:
    """Sends small amounts to this and that account, through this and that validator."""

    world: World
    keys: KeyPair
    seed: int
    orders: bool
    """Whether a task is submitted first, and its package served."""

    async def run(self) -> None:
        """Pay until cancelled."""
        random = Random(f"potp2p/payments/{self.seed}")
        network = self.world.hub.attach(self.keys.node_id)
        chain_id = ChainId(sha256(self.world.genesis_bytes))
        validators = [name for name in self.world.machines if name.startswith("validator-")]
        order = await self._order(network) if self.orders else None
        nonce = 0
        while True:
            payee = account_of(key_of(f"payee-{random.randrange(5)}").node_id)
            transfer = Transfer(payee, Amount(1_000 + nonce))
            action = transfer if nonce or order is None else order
            paid = sign_paid_transaction(self.keys, chain_id, nonce, FEE, action)
            target = self.world.machines[random.choice(validators)].node_id
            try:
                await network.request(target, StreamProtocol.SUBMIT, paid, deadline_seconds=2.0)
                nonce += 1
            except UnreachableError:
                # It may have been taken all the same; the same payment is offered once more.
                nonce = self._next_nonce(nonce)
            await trio.sleep(random.uniform(0.5, 1.5) * PAUSE_SECONDS)

    async def _order(self, network: MemoryNetwork) -> SubmitTask:
        """Pack a task and serve it."""
        rules = make_rules(rounds=ROUNDS, shards=SHARDS, shards_per_round=SHARDS)
        folder = self.world.folder / "package"
        write_files(folder, rules)
        store = FolderBlobStore(self.world.folder / "customer")
        # The exchange answers whoever asks for what the store holds.
        BlobExchange(store, network, network, self.keys.node_id)
        root = await pack(folder, rules, store)
        await network.provide(root)
        return SubmitTask(root, BUDGET, rules)

    def _next_nonce(self, nonce: int) -> int:
        """Return the next nonce of the account as the validator that knows most sees it."""
        known = [
            machine.node.chain.state().account(account_of(self.keys.node_id)).nonce
            for machine in self.world.machines.values()
            if machine.is_running
        ]
        return max(known, default=nonce)
