"""What one small message costs the library on its way: Noise, Yamux and streams, both ends."""

import time
from dataclasses import dataclass
from typing import Final

import trio

from potp2p.foundation.errors import UnreachableError
from potp2p.foundation.types import ChainId, Digest
from potp2p.network.adapter import Network, NetworkConfiguration
from potp2p.network.ports import StreamProtocol
from potp2p.protocol.crypto.hashing import sha256

MESSAGES: Final = 300
MESSAGE_BYTES: Final = 220
"""A vote with its signature and frame."""
PAUSE_SECONDS: Final = 0.008
"""Below the rate that one peer may send at."""
START_SECONDS: Final = 30.0
RECEIVE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class TransportCosts:
    """Processor seconds of one message."""

    both_ends: float

    @property
    def each_end(self) -> float:
        """Return half of it: writing and reading do the same layers of work."""
        return self.both_ends / 2


async def measure_transport() -> TransportCosts:
    """Send posts between two networks of this process and count its processor time."""
    chain_id = ChainId(Digest(sha256(b"transport")))
    listener = Network(
        NetworkConfiguration(sha256(b"listener"), chain_id, listen=("/ip4/127.0.0.1/tcp/0",))
    )
    inbox = listener.streams.listen(StreamProtocol.CONSENSUS)
    async with trio.open_nursery() as nursery:
        addresses: tuple[str, ...] = await nursery.start(listener.run)
        sender = Network(
            NetworkConfiguration(sha256(b"sender"), chain_id, bootstrap=(addresses[0],))
        )
        await nursery.start(sender.run)
        with trio.move_on_after(START_SECONDS):
            await sender.directory.reach(listener.node_id)
        await _exchange(sender, listener, inbox, 10)
        before = time.process_time()
        await _exchange(sender, listener, inbox, MESSAGES)
        spent = time.process_time() - before
        nursery.cancel_scope.cancel()
    return TransportCosts(spent / MESSAGES)


async def _exchange(
    sender: Network, listener: Network, inbox: trio.MemoryReceiveChannel[object], count: int
) -> None:
    """Send so many messages and wait until they have arrived."""

    async def send() -> None:
        for number in range(count):
            body = number.to_bytes(4, "big").ljust(MESSAGE_BYTES, b"\0")
            sender.streams.post(listener.node_id, StreamProtocol.CONSENSUS, body)
            await trio.sleep(PAUSE_SECONDS)

    with trio.move_on_after(RECEIVE_SECONDS) as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            for _ in range(count):
                await inbox.receive()
    if scope.cancelled_caught:
        raise UnreachableError("messages over loopback were lost")
