"""Who orders training in a simulated network: packs, serves, submits, waits."""

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

import trio

from potp2p.exchange.blobs import BlobExchange
from potp2p.exchange.packing import pack
from potp2p.foundation.errors import UnreachableError
from potp2p.foundation.types import POT, Amount, ChainId, Digest, TaskId
from potp2p.network.ports import StreamProtocol
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.crypto.identity import KeyPair
from potp2p.protocol.ledger.transition import (
    decode_transaction,
    sign_paid_transaction,
    transaction_id,
)
from potp2p.protocol.wire.tasks import TaskRules
from potp2p.protocol.wire.transactions import Paid, SubmitTask
from potp2p.simulation.network import MemoryNetwork
from potp2p.simulation.stores import FolderBlobStore
from potp2p.simulation.world import World

FEE = Amount(POT // 10)
"""More than any base fee that a simulated network comes to."""
LOOK_SECONDS = 0.25
HAND_SECONDS = 2.0


@dataclass(slots=True)
class Customer:
    """An account with money and a light peer of its own."""

    world: World
    keys: KeyPair
    folder: Path
    network: MemoryNetwork = field(init=False)
    store: FolderBlobStore = field(init=False)

    def __post_init__(self) -> None:
        self.network = self.world.hub.attach(self.keys.node_id)
        self.store = FolderBlobStore(self.folder)
        self.serve()

    def serve(self) -> None:
        """Answer whoever asks for what the store holds."""
        BlobExchange(self.store, self.network, self.network, self.keys.node_id)

    def vanish(self) -> None:
        """Be there no longer, once the package is attested: an honest one stays."""

    async def submit(self, package: Path, rules: TaskRules, budget: Amount) -> TaskId:
        """Order training and return the task once it stands on the chain."""
        root = await pack(package, rules, self.store)
        await self.network.provide(root)
        return TaskId(await self.pay(SubmitTask(root, budget, rules)))

    async def pay(self, action: Paid) -> Digest:
        """Send a paid transaction until it is executed; return its id."""
        chain = self.world.machines["validator-0"].node.chain
        nonce = chain.state().account(self.keys.account).nonce
        chain_id = ChainId(sha256(self.world.genesis_bytes))
        encoded = sign_paid_transaction(self.keys, chain_id, nonce, FEE, action)
        while chain.state().account(self.keys.account).nonce == nonce:
            for name, machine in self.world.machines.items():
                if name.startswith("validator-"):
                    with contextlib.suppress(UnreachableError):
                        await self.network.request(
                            machine.node_id,
                            StreamProtocol.SUBMIT,
                            encoded,
                            deadline_seconds=HAND_SECONDS,
                        )
            await trio.sleep(LOOK_SECONDS)
        return transaction_id(decode_transaction(encoded).body)
