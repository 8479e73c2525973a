"""A rig's offer to the network, with the stamp that makes an identity cost seconds of hashing."""

from collections.abc import Callable
from dataclasses import dataclass

import trio

from potp2p.foundation.types import AccountId, Amount, ChainId, Cycle, NodeId
from potp2p.protocol.ledger.records import Miner
from potp2p.protocol.ledger.stamp import last_before, search_stamp
from potp2p.protocol.wire.tasks import ToleranceClass
from potp2p.protocol.wire.transactions import RegisterMiner
from potp2p.workers.ports import WorkerFacts, WorkerState

STAMP_TRIES = 500
"""Hashes between two turns of the event loop: about half a millisecond."""
LOOK_SECONDS = 0.2


@dataclass(slots=True)
class Registrar:
    """Puts the offer together once the devices are known."""

    chain_id: ChainId
    node: NodeId
    payout: AccountId
    name: str
    lowest_price: Amount
    stamp_bits: int
    worker_facts: Callable[[], tuple[WorkerFacts, ...]]

    async def offer(self, last_stamp: bytes, cycle: Callable[[], Cycle]) -> RegisterMiner:
        """Wait for a device, search a stamp of this cycle above the last one, and return both."""
        facts = self._ready_devices()
        while not facts:
            await trio.sleep(LOOK_SECONDS)
            facts = self._ready_devices()
        classes = 0
        for each in ToleranceClass:
            classes |= 1 << each
        return RegisterMiner(
            devices=len(facts),
            memory_bytes=min(each.memory_bytes or 0 for each in facts),
            classes=classes,
            lowest_price=self.lowest_price,
            payout=self.payout,
            name=self.name,
            stamp=await self._stamp(last_before(last_stamp, cycle())),
        )

    def is_told(self, miner: Miner) -> bool:
        """Tell whether the chain knows what the operator wants: payout, price and name."""
        known = (miner.payout, miner.lowest_price, miner.name)
        return known == (self.payout, self.lowest_price, self.name)

    def _ready_devices(self) -> tuple[WorkerFacts, ...]:
        facts = self.worker_facts()
        known = all(each.memory_bytes is not None for each in facts)
        alive = (WorkerState.IDLE, WorkerState.BUSY)
        return tuple(each for each in facts if each.state in alive) if known else ()

    async def _stamp(self, after: bytes) -> bytes:
        stamp, valid = after, False
        while not valid:
            await trio.lowlevel.checkpoint()
            stamp, valid = search_stamp(
                self.chain_id, self.node, self.stamp_bits, after=stamp, tries=STAMP_TRIES
            )
        return stamp
