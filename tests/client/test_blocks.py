"""Single blocks and snapshots are shown only when genesis leads to their seals."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from potp2p.client.blocks import fetch_block, list_snapshots
from potp2p.client.light import trust_in
from potp2p.client.session import Client
from potp2p.exchange.blobs import BlobExchange
from potp2p.foundation.errors import MissingError
from potp2p.foundation.types import Digest, Height
from potp2p.protocol.wire.certificates import EpochsReply
from potp2p.protocol.wire.exchange import BlocksRequest
from potp2p.protocol.wire.schema import decode, encode
from potp2p.protocol.wire.snapshots import (
    OffersRequest,
    SnapshotOffers,
    SnapshotRequest,
)
from potp2p.simulation.network import MemoryHub
from potp2p.simulation.stores import FolderBlobStore
from tests.doubles.archives import MadeChain, made_chain
from tests.doubles.snapshot_hosts import BLOCKS, NEWEST, Host, Server, open_host
from tests.doubles.world import key_of


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
async def host(tmp_path: Path, stack: ExitStack, tmp_path_factory: pytest.TempPathFactory) -> Host:
    chain = await made_chain(BLOCKS)
    return await open_host(chain, tmp_path / "host", stack, tmp_path_factory.mktemp("host"))


def client_of(hub: MemoryHub, chain: MadeChain, folder: Path) -> Client:
    """Attach a light client that knows the genesis document only."""
    trust, genesis = trust_in(encode(chain.genesis))
    keys = key_of("client")
    network = hub.attach(keys.node_id)
    store = FolderBlobStore(folder / "client-blobs")
    blobs = BlobExchange(store, network, network, keys.node_id)
    return Client(keys, trust, genesis, network, store, blobs)  # type: ignore[arg-type]


@dataclass(slots=True)
class Forger(Server):
    """Serves another block than was asked for, true in itself."""

    async def serve(self, request: BlocksRequest) -> Sequence[bytes]:
        """Serve the block after it."""
        return await Server.serve(self, replace(request, first=Height(request.first + 1)))


@pytest.mark.parametrize("height", [1, 100, 101, 230])
async def test_a_block_of_any_epoch_is_proved_from_genesis(
    height: int, host: Host, tmp_path: Path
) -> None:
    hub = MemoryHub()
    Server("server", host.chain, hub, host=host)
    found = await fetch_block(client_of(hub, host.chain, tmp_path), Height(height))
    assert found.block == host.chain.made[height - 1].block
    assert found.block_hash == host.chain.made[height - 1].seal.block_hash
    assert not hub.penalties


async def test_a_block_that_nobody_keeps_is_missing_and_said_so(host: Host, tmp_path: Path) -> None:
    hub = MemoryHub()
    server = Server("server", host.chain, hub, host=host)
    client = client_of(hub, host.chain, tmp_path)
    with pytest.raises(MissingError, match="not decided yet, or peers keep no history that old"):
        await fetch_block(client, Height(BLOCKS + 1))
    server.lie_of_epochs = lambda _answer: encode(EpochsReply(()))
    with pytest.raises(MissingError, match="cannot show who followed the seats"):
        await fetch_block(client, Height(150))
    assert not hub.penalties, "to have little is no fault"


def own_seats(answer: bytes) -> bytes:
    """Announce seats of one's own."""
    links = decode(EpochsReply, answer).links
    own = replace(links[0].validators, nodes=(key_of("liar").node_id,) * 4)
    return encode(EpochsReply((replace(links[0], validators=own),)))


def other_end(answer: bytes) -> bytes:
    """Show the end of an epoch under the seal of another block."""
    links = decode(EpochsReply, answer).links
    seal = replace(links[0].seal, block_hash=Digest(bytes(32)))
    return encode(EpochsReply((replace(links[0], seal=seal),)))


def stolen_seal(request: SnapshotRequest, answer: bytes) -> bytes:
    """Offer a state under the seal of another height."""
    if not isinstance(request.wanted, OffersRequest):
        return answer
    first, second = decode(SnapshotOffers, answer).offers
    return encode(SnapshotOffers((replace(first, seal=second.seal),)))


@pytest.mark.parametrize("lie", [own_seats, other_end])
async def test_a_false_way_to_the_seats_costs_its_bearer_and_another_peer_is_asked(
    lie: Callable[[bytes], bytes], host: Host, tmp_path: Path
) -> None:
    hub = MemoryHub()
    liar = Server("liar", host.chain, hub, host=host, lie_of_epochs=lie)
    client = client_of(hub, host.chain, tmp_path)
    with pytest.raises(MissingError, match="no block 150"):
        await fetch_block(client, Height(150))
    Server("honest", host.chain, hub, host=host)
    found = await fetch_block(client, Height(150))
    assert found.block == host.chain.made[149].block
    assert {each.offender for each in hub.penalties} == {liar.node}


async def test_another_block_than_was_asked_for_costs_its_bearer(
    host: Host, tmp_path: Path
) -> None:
    hub = MemoryHub()
    forger = Forger("forger", host.chain, hub, host=host)
    with pytest.raises(MissingError, match="block of another height"):
        await fetch_block(client_of(hub, host.chain, tmp_path), Height(5))
    assert {each.offender for each in hub.penalties} == {forger.node}


async def test_snapshots_on_offer_are_listed_when_their_seals_hold(
    host: Host, tmp_path: Path
) -> None:
    hub = MemoryHub()
    server = Server("server", host.chain, hub, host=host)
    client = client_of(hub, host.chain, tmp_path)
    offers = await list_snapshots(client)
    assert [each.header.body.height for each in offers] == [NEWEST, 100]
    server.lie = stolen_seal
    with pytest.raises(MissingError, match="seal of another header"):
        await list_snapshots(client)
    server.lie = lambda _request, _answer: b""
    with pytest.raises(MissingError, match="no connected peer keeps one"):
        await list_snapshots(client)
