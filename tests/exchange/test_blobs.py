"""Blobs between peers: verified per chunk, several sources, resumed, withheld when asked to."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from potp2p.exchange.blobs import BlobExchange
from potp2p.foundation.errors import MissingError, PeerError, RejectionReason
from potp2p.foundation.limits import CHUNK_BYTES
from potp2p.foundation.types import BlobId, Digest, NodeId
from potp2p.network.ports import StreamProtocol
from potp2p.protocol.wire.exchange import BlobRequest, ChunkRequest
from potp2p.protocol.wire.schema import decode
from potp2p.storage.blobs import BlobFiles
from tests.doubles.network import MemoryHub, MemoryNetwork

CONTENT = bytes(range(256)) * (CHUNK_BYTES // 256 * 2) + b"the last chunk is short"
"""Three chunks."""
ROOM = 1 << 30


def node(number: int) -> NodeId:
    return NodeId(b"\x02" + bytes([number]) * 32)


@dataclass
class Member:
    network: MemoryNetwork
    store: BlobFiles
    exchange: BlobExchange


@dataclass
class World:
    hub: MemoryHub
    folder: Path

    def join(self, number: int) -> Member:
        network = self.hub.attach(node(number))
        store = BlobFiles(self.folder / str(number))
        exchange = BlobExchange(store, network.streams, network.directory, node(number))
        return Member(network, store, exchange)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(MemoryHub(), tmp_path)


async def give(member: Member, folder: Path, *, withheld: bool = False) -> BlobId:
    source = folder / "source"
    source.write_bytes(CONTENT)
    if withheld:
        return await member.exchange.withhold(source)
    return await member.exchange.publish(source)


async def test_blob_is_found_through_the_directory_and_served_on(
    world: World, tmp_path: Path
) -> None:
    first, second, third = (world.join(number) for number in (1, 2, 3))
    blob = await give(first, tmp_path)

    path = await second.exchange.fetch(blob, bytes_max=ROOM)
    assert path.read_bytes() == CONTENT

    world.hub.detach(node(1))
    path = await third.exchange.fetch(blob, [node(2)], bytes_max=ROOM)
    assert path.read_bytes() == CONTENT


async def test_chunks_come_from_several_peers(world: World, tmp_path: Path) -> None:
    first, second, third = (world.join(number) for number in (1, 2, 3))
    blob = await give(first, tmp_path)
    await second.exchange.fetch(blob, [node(1)], bytes_max=ROOM)
    world.hub.transits.clear()

    await third.exchange.fetch(blob, [node(1), node(2)], bytes_max=ROOM)

    asked = {
        transit.receiver
        for transit in world.hub.transits
        if isinstance(decode(BlobRequest, transit.body).wanted, ChunkRequest)
    }
    assert asked == {node(1), node(2)}


async def test_liar_is_scored_and_the_blob_comes_from_another(world: World, tmp_path: Path) -> None:
    honest, reader = world.join(1), world.join(2)
    blob = await give(honest, tmp_path)
    liar = world.hub.attach(node(9))

    async def lie(_peer: NodeId, body: bytes) -> bytes:
        await trio.lowlevel.checkpoint()
        match decode(BlobRequest, body).wanted:
            case ChunkRequest():
                return bytes(CHUNK_BYTES)
            case _:
                return await honest.exchange.answer(node(9), body)

    liar.serve(StreamProtocol.BLOBS, lie)

    path = await reader.exchange.fetch(blob, [node(9), node(1)], bytes_max=ROOM)

    assert path.read_bytes() == CONTENT
    assert {(each.offender, each.error.reason) for each in world.hub.penalties} == {
        (node(9), RejectionReason.BAD_PROOF)
    }


async def test_foreign_manifest_is_refused(world: World, tmp_path: Path) -> None:
    honest, reader = world.join(1), world.join(2)
    await give(honest, tmp_path)
    liar = world.hub.attach(node(9))

    async def lie(_peer: NodeId, _body: bytes) -> bytes:
        await trio.lowlevel.checkpoint()
        return b"\x82\x01\x58\x20" + bytes(32)

    liar.serve(StreamProtocol.BLOBS, lie)
    with pytest.raises(MissingError):
        await reader.exchange.fetch(BlobId(Digest(bytes(32))), [node(9)], bytes_max=ROOM)
    assert world.hub.penalties[0].error.reason is RejectionReason.BAD_PROOF


async def test_download_resumes_where_it_stopped(world: World, tmp_path: Path) -> None:
    first, second = world.join(1), world.join(2)
    blob = await give(first, tmp_path)
    served = 0

    async def stop_after_two(peer: NodeId, body: bytes) -> bytes:
        nonlocal served
        if isinstance(decode(BlobRequest, body).wanted, ChunkRequest):
            served += 1
            if served > 2:
                return b""
        return await first.exchange.answer(peer, body)

    flaky = world.hub.attach(node(9))
    flaky.serve(StreamProtocol.BLOBS, stop_after_two)
    second.exchange.parallel = 1
    world.hub.cut(node(1), node(2))
    with pytest.raises(MissingError):
        await second.exchange.fetch(blob, [node(9)], bytes_max=ROOM)

    world.hub.heal()
    world.hub.transits.clear()
    third = world.hub.attach(node(3))
    files = BlobFiles(tmp_path / "2")
    restarted = BlobExchange(files, third.streams, third.directory, node(3))
    path = await restarted.fetch(blob, [node(1)], bytes_max=ROOM)

    assert path.read_bytes() == CONTENT
    wanted = [decode(BlobRequest, transit.body).wanted for transit in world.hub.transits]
    assert wanted == [ChunkRequest(blob, 2)]


async def test_withheld_blob_is_served_only_after_its_release(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("potp2p.exchange.blobs.WITHHELD_SECONDS", 0)
    miner, copier = world.join(1), world.join(2)
    blob = await give(miner, tmp_path, withheld=True)
    with pytest.raises(MissingError):
        await copier.exchange.fetch(blob, [node(1)], bytes_max=ROOM)

    miner.exchange.release(blob)
    assert (await copier.exchange.fetch(blob, [node(1)], bytes_max=ROOM)).is_file()


async def test_blob_larger_than_allowed_is_refused_before_a_chunk_is_asked(
    world: World, tmp_path: Path
) -> None:
    first, second = world.join(1), world.join(2)
    blob = await give(first, tmp_path)
    world.hub.transits.clear()
    with pytest.raises(PeerError) as caught:
        await second.exchange.fetch(blob, [node(1)], bytes_max=CHUNK_BYTES)
    assert caught.value.reason is RejectionReason.OUT_OF_BOUNDS
    assert len(world.hub.transits) == 1


async def test_two_readers_of_one_blob_share_one_download(world: World, tmp_path: Path) -> None:
    first, second = world.join(1), world.join(2)
    blob = await give(first, tmp_path)
    world.hub.transits.clear()

    async def read() -> None:
        await second.exchange.fetch(blob, [node(1)], bytes_max=ROOM)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        nursery.start_soon(read)
    assert len(world.hub.transits) == 4
