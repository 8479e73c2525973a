"""
A real node in its own process, for the hostile tests: `python -m tests.network.victim`.

Serves every stream protocol with an echo, prints its address, and ends when stdin does.
"""

import sys

import trio

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.types import ChainId, Digest, NodeId
from potp2p.network.adapter import Network, NetworkConfiguration
from potp2p.network.ports import Heard, StreamProtocol, Topic

CHAIN = ChainId(Digest(b"\x07" * 32))
POSTS = (StreamProtocol.CONSENSUS, StreamProtocol.BODIES)
REQUESTS = tuple(protocol for protocol in StreamProtocol if protocol not in POSTS)


def validate(message: bytes) -> None:
    """Refuse on request, fail on request, else accept."""
    if message.startswith(b"refuse"):
        raise PeerError(RejectionReason.MALFORMED, "refused on request")
    if message.startswith(b"raise"):
        raise RuntimeError("failed on request")


async def echo(asker: NodeId, request: bytes) -> bytes:
    """Answer with the request."""
    await trio.lowlevel.checkpoint()
    validate(request)
    return request


async def drain(inbox: trio.MemoryReceiveChannel[Heard]) -> None:
    """Read an inbox as a service would."""
    async for _ in inbox:
        pass


async def run() -> None:
    """Serve until stdin ends."""
    network = Network(
        NetworkConfiguration(
            secret_key=b"\x09" * 32, chain_id=CHAIN, listen=("/ip4/127.0.0.1/tcp/0",)
        )
    )
    inboxes = [network.streams.listen(protocol) for protocol in POSTS]
    inboxes += [network.gossip.subscribe(topic, validate) for topic in Topic]
    for protocol in REQUESTS:
        network.streams.serve(protocol, echo)
    async with trio.open_nursery() as nursery:
        addresses = await nursery.start(network.run)
        for inbox in inboxes:
            nursery.start_soon(drain, inbox)
        print(addresses[0], flush=True)  # noqa: T201
        await trio.to_thread.run_sync(sys.stdin.read)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(run)
