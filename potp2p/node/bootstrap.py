"""A node that only peers, answers the DHT and hands out a genesis: composition for hosting."""

import signal
from collections.abc import Callable
from dataclasses import dataclass

import trio

from potp2p.foundation.errors import ConfigurationError, PeerError
from potp2p.foundation.limits import MESSAGE_BYTES_MAX
from potp2p.foundation.types import NodeId
from potp2p.network.adapter import Network, NetworkConfiguration
from potp2p.network.identity import peer_name
from potp2p.network.ports import StreamProtocol
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.schema import decode


@dataclass(frozen=True, slots=True)
class BootstrapConfiguration:
    """What a bootstrap node is built from; plain values."""

    secret_key: bytes
    listen: tuple[str, ...]
    announce: tuple[str, ...] = ()
    bootstrap: tuple[str, ...] = ()
    """Other bootstrap nodes, so that newcomers of any of them meet."""
    genesis: bytes | None = None
    """The document served to newcomers; none is served without."""


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a started node can be reached."""

    addresses: tuple[str, ...]
    """Full multiaddresses, peer id included."""
    peer_id: str


def verify_genesis(document: bytes) -> None:
    """Refuse to hand out what no node would accept."""
    try:
        decode(Genesis, document)
    except PeerError as error:
        raise ConfigurationError(f"not a genesis document: {error.detail}") from error


async def run_bootstrap(
    configuration: BootstrapConfiguration, on_listening: Callable[[Listening], None]
) -> None:
    """Serve until SIGINT or SIGTERM."""
    if configuration.genesis is not None:
        verify_genesis(configuration.genesis)
    network = Network(
        NetworkConfiguration(
            secret_key=configuration.secret_key,
            listen=configuration.listen,
            announce=configuration.announce,
            bootstrap=configuration.bootstrap,
        )
    )
    genesis = configuration.genesis
    if genesis is not None:
        assert len(genesis) <= MESSAGE_BYTES_MAX, "verified above"

        async def answer(asker: NodeId, request: bytes) -> bytes:
            await trio.lowlevel.checkpoint()
            return genesis

        network.streams.serve(StreamProtocol.GENESIS, answer)
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            addresses = await nursery.start(network.run)
            on_listening(Listening(addresses, peer_name(network.node_id)))
            async for _ in signals:
                break
            nursery.cancel_scope.cancel()
