"""Real nodes over loopback for tests, honest and hostile."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.network.connection.swarm_connection import SwarmConn
from libp2p.peer.id import ID
from multiaddr import Multiaddr

from potp2p.foundation.errors import PeerError
from potp2p.foundation.types import ChainId, Digest, NodeId
from potp2p.network.adapter import Network, NetworkConfiguration
from potp2p.network.directory import parse_peer_address
from potp2p.network.host import GuardedHost, GuardedSwarm, running
from potp2p.network.identity import key_pair_of, peer_id_of

CHAIN = ChainId(Digest(b"\x07" * 32))
LOOPBACK = ("/ip4/127.0.0.1/tcp/0",)
DEADLINE_SECONDS = 60.0

_secrets = itertools.count(1_000_000)


def fresh_secret() -> bytes:
    """Return a secret no other test of this run has."""
    return next(_secrets).to_bytes(32, "big")


def network(*bootstrap: str, chain_id: ChainId = CHAIN) -> Network:
    """Return a network that is not running yet."""
    return Network(NetworkConfiguration(fresh_secret(), chain_id, LOOPBACK, bootstrap))


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what no event announces; the deadline is the test's verdict."""
    with trio.fail_after(DEADLINE_SECONDS):
        while not holds():  # noqa: ASYNC110 - the library tells nobody
            await trio.sleep(0.01)


async def echo(asker: NodeId, request: bytes) -> bytes:
    """Answer with the request."""
    await trio.lowlevel.checkpoint()
    return request


@dataclass(slots=True)
class Attacker:
    """A peer that writes what it likes to one victim."""

    host: GuardedHost
    victim: ID
    connection: SwarmConn

    async def open(self, protocol: str) -> INetStream:
        """Open a stream on a protocol of the victim."""
        return await self.host.new_stream(self.victim, [TProtocol(protocol)])

    async def wait_until_disconnected(self) -> None:
        """Return once the victim closed our connection."""
        with trio.fail_after(DEADLINE_SECONDS):
            await self.connection.event_closed.wait()


def _ignore(peer: NodeId, error: PeerError) -> None:
    pass


def _forget(peer: ID) -> None:
    pass


@asynccontextmanager
async def attacking(address: str, *, secret: bytes | None = None) -> AsyncIterator[Attacker]:
    """Run an attacker connected to a victim."""
    node, multiaddress = parse_peer_address(address)
    victim = peer_id_of(node)
    swarm = GuardedSwarm(key_pair_of(secret or fresh_secret()), lambda peer: True)
    host = GuardedHost(swarm, mdns=False, announce=(), on_fault=_ignore, on_identified=_forget)
    async with running(host, ()):
        with trio.fail_after(DEADLINE_SECONDS):
            connection = await swarm.dial_addr(Multiaddr(str(multiaddress)), victim)
        assert isinstance(connection, SwarmConn)
        yield Attacker(host, victim, connection)


Serve = Callable[[NodeId, bytes], Awaitable[bytes]]
