"""Following the seats from epoch to epoch over the network: asked of anyone, believed of nobody."""

from dataclasses import dataclass

from potp2p.client.light import Trust
from potp2p.foundation.errors import MissingError
from potp2p.foundation.limits import EPOCHS_PER_REQUEST_MAX
from potp2p.foundation.types import Epoch, NodeId
from potp2p.network.ports import StreamProtocol, Streams
from potp2p.protocol.wire.certificates import EpochLink, EpochsReply, EpochsRequest
from potp2p.protocol.wire.schema import decode, encode

ASK_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class EpochReader:
    """Asks one peer at a time for what leads from known seats to later ones."""

    streams: Streams

    async def follow(self, trust: Trust, peer: NodeId, epoch: Epoch) -> Trust:
        """
        Return what is known once the seats of an epoch are; asks nothing if they are known.

        MissingError where the peer does not have what leads there, PeerError where it forges it.
        """
        while trust.epochs <= epoch:
            links = await self.links(peer, Epoch(trust.epochs - 1), epoch - trust.epochs + 1)
            trust = trust.follow(links)
        return trust

    async def links(self, peer: NodeId, first: Epoch, wanted: int) -> tuple[EpochLink, ...]:
        """Return some of the links wanted, at least one; MissingError without any."""
        answer = await self.streams.request(
            peer,
            StreamProtocol.EPOCHS,
            encode(EpochsRequest(first, min(wanted, EPOCHS_PER_REQUEST_MAX))),
            deadline_seconds=ASK_SECONDS,
        )
        links = decode(EpochsReply, answer).links[:wanted]
        if not links:
            raise MissingError(f"the peer cannot show who followed the seats of epoch {first}")
        return links

    async def path(self, peer: NodeId, epoch: Epoch) -> tuple[EpochLink, ...]:
        """Return the links of every epoch before one, unverified."""
        found: list[EpochLink] = []
        while len(found) < epoch:
            found += await self.links(peer, Epoch(len(found)), epoch - len(found))
        return tuple(found)
