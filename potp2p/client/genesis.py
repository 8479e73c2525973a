"""The genesis document from an address: all that a newcomer needs to be told."""

from secrets import token_bytes

import trio

from potp2p.foundation.errors import ConfigurationError, PeerError, UnreachableError
from potp2p.foundation.types import ChainId
from potp2p.network.adapter import Network, NetworkConfiguration
from potp2p.network.ports import StreamProtocol
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.schema import decode

FETCH_SECONDS = 20.0
ASK_SECONDS = 5.0


async def fetch_genesis(bootstrap: tuple[str, ...], expected: ChainId | None = None) -> bytes:
    """
    Return the genesis document that the nodes at these addresses serve.

    Without an expected chain id the first answer is trusted: show the id and let the owner compare.
    """
    network = Network(NetworkConfiguration(secret_key=token_bytes(32), bootstrap=bootstrap))
    async with trio.open_nursery() as nursery:
        await nursery.start(network.run)
        found = await _ask_until_found(network, expected)
        nursery.cancel_scope.cancel()
        return found
    raise AssertionError("the nursery returns or raises")


async def _ask_until_found(network: Network, expected: ChainId | None) -> bytes:
    failure = "no peer connected"
    with trio.move_on_after(FETCH_SECONDS):
        while True:
            for peer in network.directory.peers():
                try:
                    answer = await network.streams.request(
                        peer, StreamProtocol.GENESIS, b"", deadline_seconds=ASK_SECONDS
                    )
                    decode(Genesis, answer)
                except (PeerError, UnreachableError) as error:
                    failure = str(error)
                    continue
                if expected is not None and sha256(answer) != expected:
                    failure = "it serves the genesis document of another chain"
                    continue
                return answer
            await trio.sleep(0.2)
    raise UnreachableError(f"no genesis document within {FETCH_SECONDS:.0f} s: {failure}")


def chain_id_of(genesis: bytes) -> ChainId:
    """Return the id of the chain that a document starts."""
    try:
        decode(Genesis, genesis)
    except PeerError as error:
        raise ConfigurationError(f"not a genesis document: {error.detail}") from error
    return ChainId(sha256(genesis))
