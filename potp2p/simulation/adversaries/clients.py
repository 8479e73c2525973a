"""Clients that order training for another reason than its result, or will not pay for it."""

from dataclasses import dataclass, field
from typing import ClassVar

import trio

from potp2p.exchange.blobs import BlobExchange
from potp2p.foundation.committee import weak_quorum
from potp2p.foundation.types import Amount, NodeId
from potp2p.node.composition import Node
from potp2p.simulation.adversaries.cheat import Cheat
from potp2p.simulation.adversaries.customer import Customer
from potp2p.simulation.adversaries.kinds import Kind


@dataclass(slots=True)
class SelfDealer(Cheat):
    """
    A miner whose owner orders training that only it takes, and so pays itself.

    Hopes to buy lottery weight with money that comes back. Stopped by the arithmetic: weight is
    what a round burned, and a cycle's subsidy is at most what was burned (outside devnets), so the
    owner wins back less than it burned; its own accounts are never its auditors.
    """

    KIND: ClassVar = Kind.SELF_DEALING_CLIENT


@dataclass(slots=True)
class PartialBlobs(BlobExchange):
    """An exchange that answers some peers only, and some day nobody."""

    friends: frozenset[NodeId] = frozenset()
    is_serving: bool = True
    refusals: int = 0

    async def answer(self, peer: NodeId, body: bytes) -> bytes:
        """Serve friends while it serves at all; others find nothing."""
        if self.is_serving and peer in self.friends:
            return await BlobExchange.answer(self, peer, body)
        self.refusals += 1
        await trio.lowlevel.checkpoint()
        return b""


@dataclass(slots=True)
class WithholdingCustomer(Customer):
    """
    Serves its package to f + 1 validators until they attest it, and to nobody afterwards.

    Hopes that auditors cannot replay, so that miners go unpaid and the budget comes back while the
    trained model is public. Stopped by attestation: who attests a package keeps and serves it until
    the audit windows close, and f + 1 of them cannot all be its friends.
    """

    exchange: PartialBlobs = field(init=False)

    def serve(self) -> None:
        """Answer f + 1 validators only."""
        seats = tuple(
            machine.node_id
            for name, machine in self.world.machines.items()
            if name.startswith("validator-")
        )
        self.exchange = PartialBlobs(
            self.store, self.network, self.network, self.keys.node_id, friends=few_of(seats)
        )

    def vanish(self) -> None:
        """Stop serving."""
        self.exchange.is_serving = False


def few_of(seats: tuple[NodeId, ...]) -> frozenset[NodeId]:
    """Return the f + 1 validators whose word starts a task: the least that must be served."""
    return frozenset(seats[: weak_quorum(len(seats))])


def decline_below(node: Node, price: int) -> None:
    """Have an honest miner ask for a price, so that a task below it is left to others."""
    assert node.mining is not None, "a miner"
    node.mining.registrar.lowest_price = Amount(price)
