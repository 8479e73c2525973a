"""
A host of the stock library in its own process: `python -m tests.network.stock_victim`.

Built as the library's examples do, without our guards. Prints its address; ends when it dies.
"""

import trio
from libp2p import new_host
from libp2p.abc import IHost, INetStream
from libp2p.crypto.x25519 import create_new_key_pair as create_noise_key_pair
from libp2p.custom_types import TProtocol
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11, GossipSub
from libp2p.pubsub.pubsub import Pubsub
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as Noise
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.stream_muxer.yamux.yamux import Yamux
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr

from potp2p.network.identity import key_pair_of

FAILING = TProtocol("/test/fails/1")
LIFE_SECONDS = 600


def stock_host(secret: bytes) -> IHost:
    """Return the library's host with its own multiplexer."""
    keys = key_pair_of(secret)
    noise = Noise(keys, noise_privkey=create_noise_key_pair().private_key)
    return new_host(key_pair=keys, sec_opt={NOISE: noise}, muxer_opt={TProtocol(YAMUX): Yamux})


async def fail(stream: INetStream) -> None:
    """Fail as any handler may, once the peer has its stream."""
    await stream.read(1)
    raise RuntimeError("handler failed")


async def run() -> None:
    """Serve until killed by a peer."""
    host = stock_host(b"\x0a" * 32)
    host.set_stream_handler(FAILING, fail)
    router = GossipSub([PROTOCOL_ID_V11], 6, 4, 12, heartbeat_interval=1)
    async with host.run([Multiaddr("/ip4/127.0.0.1/tcp/0")]):
        pubsub = Pubsub(host, router)
        async with background_trio_service(router), background_trio_service(pubsub):
            print(host.get_addrs()[0], flush=True)  # noqa: T201
            await trio.sleep(LIFE_SECONDS)


if __name__ == "__main__":
    trio.run(run)
