"""A customer who orders training and pays all the time: money in motion, for the oracle."""

import contextlib
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
from potp2p.protocol.wire.transactions import Bond, Paid, SubmitTask, Transfer, Unbond
from potp2p.simulation.genesis import SEAT_BOND, key_of
from potp2p.simulation.network import MemoryNetwork
from potp2p.simulation.packages import make_rules, write_files
from potp2p.simulation.plans import NEWCOMER
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
    payments_at_once: int
    leaver: str | None
    """Whose way out of its seat begins with a seat bought for a newcomer; None: nobody's."""

    async def run(self) -> None:
        """Pay until cancelled."""
        random = Random(f"potp2p/payments/{self.seed}")
        network = self.world.hub.attach(self.keys.node_id)
        chain_id = ChainId(sha256(self.world.genesis_bytes))
        validators = [name for name in self.world.machines if name.startswith("validator-")]
        first: list[Paid] = []
        if self.leaver is not None:
            first += [
                Bond(key_of(NEWCOMER).account, Amount(2 * SEAT_BOND)),
                Transfer(key_of(self.leaver).account, Amount(POT)),
            ]
        if self.orders:
            first.append(await self._order(network))
        nonce = 0
        while True:
            target = self.world.machines[random.choice(validators)].node_id
            for _ in range(self.payments_at_once):
                payee = key_of(f"payee-{random.randrange(5)}").account
                transfer = Transfer(payee, Amount(1_000 + nonce))
                action = first[nonce] if nonce < len(first) else transfer
                paid = sign_paid_transaction(self.keys, chain_id, nonce, FEE, action)
                try:
                    await network.request(target, StreamProtocol.SUBMIT, paid, deadline_seconds=2.0)
                    nonce += 1
                except UnreachableError:
                    # It may have been taken all the same: go on with what the chain lacks.
                    nonce = self._next_nonce(nonce)
                    break
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

    async def retire(self) -> None:
        """Ask for the leaver's bond back once the newcomer is seated, until it is on its way."""
        if self.leaver is None:
            return
        machine, keys = self.world.machines[self.leaver], key_of(self.leaver)
        chain_id = ChainId(sha256(self.world.genesis_bytes))
        network = self.world.hub.attach(key_of("leaver").node_id)
        while True:
            await trio.sleep(PAUSE_SECONDS)
            prospects = machine.node.chain.prospects
            if key_of(NEWCOMER).node_id not in prospects.nodes:
                continue
            account = machine.node.chain.state().account(keys.account)
            unbond = Unbond(account.bond)
            if not account.bond or account.balance < FEE:
                continue
            paid = sign_paid_transaction(keys, chain_id, account.nonce, FEE, unbond)
            for node in prospects.nodes:
                with contextlib.suppress(UnreachableError):
                    await network.request(node, StreamProtocol.SUBMIT, paid, deadline_seconds=1.0)

    def _next_nonce(self, nonce: int) -> int:
        """Return the next nonce of the account as the validator that knows most sees it."""
        known = [
            machine.node.chain.state().account(account_of(self.keys.node_id)).nonce
            for machine in self.world.machines.values()
            if machine.is_running
        ]
        return max(known, default=nonce)
