"""
A new node's state from peers, before anything else of the node exists.

Only a folder whose chain is still at genesis begins with a snapshot; any other is brought on by
blocks, and must pass through the trusted checkpoint on its way.
"""

import trio

from potp2p.foundation.types import GENESIS_HEIGHT, ChainId
from potp2p.network.adapter import Network, NetworkConfiguration
from potp2p.node.composition import Adapters
from potp2p.node.launch import Launch
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.schema import decode
from potp2p.services.snapshot_fetch import SnapshotFetcher


async def begin_at_checkpoint(
    launch: Launch, secret: bytes, genesis: bytes, adapters: Adapters
) -> None:
    """
    Put the state of a snapshot that the checkpoint proves in the place of the first one.

    Returns at once without a checkpoint, or where the chain has begun already; UnreachableError
    when no peer has such a snapshot.
    """
    head = adapters.chain_store.head()
    snapshots = adapters.snapshots
    assert head is not None, "genesis comes first"
    if launch.checkpoint is None or head.height > GENESIS_HEIGHT or snapshots is None:
        return
    say = adapters.logbook.say
    say("chain", f"looking for a snapshot that leads to checkpoint {launch.checkpoint.height}")
    network = Network(_configuration(launch, secret, ChainId(sha256(genesis))))
    async with trio.open_nursery() as nursery:
        await nursery.start(network.run)
        fetcher = SnapshotFetcher(
            ChainId(sha256(genesis)),
            decode(Genesis, genesis).consensus,
            launch.checkpoint,
            network.streams,
            network.directory,
            snapshots.incoming,
            say,
        )
        offer = await fetcher.fetch()
        nursery.cancel_scope.cancel()
        height = offer.header.body.height
        say("chain", f"begun with the state of height {height}; earlier blocks are not kept here")


def _configuration(launch: Launch, secret: bytes, chain_id: ChainId) -> NetworkConfiguration:
    """Return a network of its own for the time before the node: it serves nothing."""
    return NetworkConfiguration(
        secret_key=secret,
        chain_id=chain_id,
        listen=launch.listen,
        bootstrap=launch.bootstrap,
        announce=launch.announce,
        mdns=launch.mdns,
    )
