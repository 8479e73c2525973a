"""Miners that keep something back: the payload, the trace, or other miners' claims."""

from dataclasses import dataclass, field
from typing import ClassVar, cast

from potp2p.exchange.blobs import BlobExchange
from potp2p.foundation.types import Height
from potp2p.node.composition import Node
from potp2p.protocol.ledger.transition import decode_transaction
from potp2p.protocol.wire.transactions import Attest, Contribute, Free, RevealAudit, RevealTrace
from potp2p.services.chain import ChainService
from potp2p.services.outbox import OutboxService
from potp2p.simulation.adversaries.cheat import Cheat, Run
from potp2p.simulation.adversaries.kinds import Kind
from potp2p.simulation.adversaries.miners import FreeRider
from potp2p.simulation.adversaries.overlay import Overlay
from potp2p.training.commands import Train
from potp2p.training.reports import Trained


@dataclass(slots=True)
class Withholder(Cheat):
    """
    Claims its leases and serves no payload, ever.

    Hopes to block rounds that others would be paid for, or to be paid for bytes nobody saw. Stopped
    before any audit: what f+1 validators do not hold is never attested, so the lease is missed.
    """

    KIND: ClassVar = Kind.WITHHOLDER

    async def train(self, command: Train, run: Run) -> Trained:
        """Train, so that the claim looks right."""
        self.commit(command.lease)
        return await Cheat.train(self, command, run)

    def take_over(self, node: Node) -> None:
        """Never release what was withheld until the claim stood."""
        Cheat.take_over(self, node)
        assert node.mining is not None, "a miner"

        def keep(_blob: object) -> None:
            self.deeds["withheld"] += 1

        node.mining.blobs = cast("BlobExchange", Overlay(node.mining.blobs, release=keep))


@dataclass(slots=True)
class NoReveal(FreeRider):
    """
    A free-rider that stays silent when audited.

    Hopes that without its trace nothing can be held against it. Stopped by the rule that a trace
    not opened by its deadline fails like a wrong one.
    """

    KIND: ClassVar = Kind.NO_REVEAL

    def take_over(self, node: Node) -> None:
        """Say everything but the opening of a trace."""
        Cheat.take_over(self, node)
        assert node.mining is not None, "a miner"
        honest = node.mining.outbox

        def say(action: Free) -> None:
            if isinstance(action, RevealTrace):
                self.deeds["kept silent"] += 1
            else:
                honest.say(action)

        node.mining.outbox = cast("OutboxService", Overlay(honest, say=say))


@dataclass(slots=True)
class RivalAuthor(Cheat):
    """
    Mines honestly, and leaves other miners' claims and reveals out of the blocks that it authors.

    Hopes that rivals miss their deadlines. Stopped by forced inclusion: validators refuse a block
    that has room and leaves out what they have held for some blocks; ranked authors change with
    every height besides. It pays for each claim that stands in another's block: the tip was its own
    to take.
    """

    KIND: ClassVar = Kind.RIVAL_AUTHOR
    hidden: dict[Height, frozenset[bytes]] = field(default_factory=dict[Height, frozenset[bytes]])
    """What it left out of its block of a height, whether or not that block came to stand."""

    def take_over(self, node: Node) -> None:
        """Put together blocks from what does not help a rival."""
        Cheat.take_over(self, node)
        chain = node.authoring.chain
        pool = chain.mempool

        def candidates() -> tuple[bytes, ...]:
            every = pool.candidates()
            kept = tuple(each for each in every if not self._helps_a_rival(each))
            self.deeds["left out"] += len(every) - len(kept)
            self.hidden[Height(chain.head.height + 1)] = frozenset(every).difference(kept)
            return kept

        node.authoring.chain = cast(
            "ChainService", Overlay(chain, mempool=Overlay(pool, candidates=candidates))
        )

    def _helps_a_rival(self, encoded: bytes) -> bool:
        body = decode_transaction(encoded).body
        assert self.node is not None
        rival = body.sender != self.node.authoring.keys.node_id
        return rival and isinstance(body.action, Contribute | RevealTrace | RevealAudit | Attest)
