"""Hostile peers against a real node in another process: they are cut off, it keeps serving."""

import secrets

import pytest
import trio
from libp2p.pubsub.pb import rpc_pb2

from potp2p.foundation.errors import UnreachableError
from potp2p.foundation.limits import MESSAGE_BYTES_MAX
from potp2p.network.directory import parse_peer_address
from potp2p.network.guards import Contained
from potp2p.network.identity import peer_id_of
from potp2p.network.ports import StreamProtocol, Topic
from potp2p.network.streams import protocol_id
from tests.network.nodes import DEADLINE_SECONDS, Attacker, attacking, fresh_secret, network, until

MESHSUB = "/meshsub/1.1.0"
KADEMLIA = "/ipfs/kad/1.0.0"
IDENTIFY_PUSH = "/ipfs/id/push/1.0.0"


async def assert_serving(address: str) -> None:
    """Fail unless an honest stranger gets an answer."""
    victim, _ = parse_peer_address(address)
    honest = network(address)
    async with trio.open_nursery() as nursery:
        await nursery.start(honest.run)
        answer = await honest.streams.request(
            victim, StreamProtocol.HELLO, b"still there?", deadline_seconds=DEADLINE_SECONDS
        )
        assert answer == b"still there?"
        nursery.cancel_scope.cancel()


def varint_framed(body: bytes) -> bytes:
    """Return a body behind a one- or two-byte varint length."""
    assert len(body) < 1 << 14
    low, high = len(body) & 0x7F, len(body) >> 7
    return bytes((low | 0x80, high)) + body if high else bytes((low,)) + body


async def write_and_be_cut_off(address: str, protocol: str, garbage: bytes) -> None:
    """Send bytes on a fresh stream and wait for the disconnect."""
    async with attacking(address) as attacker:
        stream = await attacker.open(protocol)
        await stream.write(garbage)
        await attacker.wait_until_disconnected()


FRAMES = {
    "oversized": (MESSAGE_BYTES_MAX + 1).to_bytes(4, "big") + b"x" * 100,
    "gigantic": b"\xff\xff\xff\xff",
    "random": b"\xd7" + secrets.token_bytes(4_000),
}


@pytest.mark.parametrize("garbage", FRAMES.values(), ids=FRAMES.keys())
@pytest.mark.parametrize("protocol", StreamProtocol)
async def test_frame_beyond_the_bound_costs_the_connection(
    victim: str, protocol: StreamProtocol, garbage: bytes
) -> None:
    await write_and_be_cut_off(victim, protocol_id(protocol), garbage)


@pytest.mark.parametrize("protocol", StreamProtocol)
async def test_frame_cut_short_costs_the_connection(victim: str, protocol: StreamProtocol) -> None:
    async with attacking(victim) as attacker:
        stream = await attacker.open(protocol_id(protocol))
        await stream.write((1000).to_bytes(4, "big") + b"only this")
        await stream.close()
        await attacker.wait_until_disconnected()


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(varint_framed(b"\xff" * 40), id="no protobuf"),
        pytest.param(varint_framed(b"\x0a\xff\x7f"), id="field longer than message"),
        pytest.param(b"\xff\xff\xff\xff\x0f", id="gigantic length"),
        pytest.param(b"\xff" * 12, id="endless varint"),
        pytest.param(
            varint_framed(rpc_pb2.RPC(senderRecord=b"not a record").SerializeToString()),
            id="false peer record",
        ),
    ],
)
async def test_malformed_gossip_costs_the_connection(victim: str, garbage: bytes) -> None:
    await write_and_be_cut_off(victim, MESHSUB, garbage)


async def test_everybody_is_served_after_every_kind_of_garbage(victim: str) -> None:
    for protocol in (MESHSUB, KADEMLIA, IDENTIFY_PUSH, "/ipfs/ping/1.0.0", "/ipfs/id/1.0.0"):
        async with attacking(victim) as attacker:
            stream = await attacker.open(protocol)
            await stream.write(secrets.token_bytes(3_000))
            await stream.close()
    await assert_serving(victim)


async def test_three_grave_faults_ban_and_two_do_not(victim: str) -> None:
    secret = fresh_secret()
    for _ in range(3):
        async with attacking(victim, secret=secret) as attacker:
            stream = await attacker.open(protocol_id(StreamProtocol.HELLO))
            await stream.write(b"\xff\xff\xff\xff")
            await attacker.wait_until_disconnected()
    async with attacking(victim, secret=secret) as attacker:
        await attacker.wait_until_disconnected()
    await assert_serving(victim)


async def test_plaintext_is_not_spoken(victim: str) -> None:
    _, address = parse_peer_address(victim)
    port = address.value_for_protocol("tcp")
    stream = await trio.open_tcp_stream("127.0.0.1", int(str(port)))
    async with stream:
        with trio.fail_after(DEADLINE_SECONDS):
            for line in (b"/multistream/1.0.0\n", b"/plaintext/2.0.0\n"):
                await stream.send_all(bytes((len(line),)) + line)
            received = b""
            while b"na\n" not in received:
                part = await stream.receive_some()
                if not part:
                    break
                received += part
    assert b"plaintext" not in received
    await assert_serving(victim)


async def test_handler_that_fails_on_a_request_costs_neither_side(victim: str) -> None:
    node, _ = parse_peer_address(victim)
    honest = network(victim)
    async with trio.open_nursery() as nursery:
        await nursery.start(honest.run)
        with pytest.raises(UnreachableError, match="the node failed on this request"):
            await honest.streams.request(
                node, StreamProtocol.QUERY, b"raise", deadline_seconds=DEADLINE_SECONDS
            )
        answer = await honest.streams.request(
            node, StreamProtocol.QUERY, b"again", deadline_seconds=DEADLINE_SECONDS
        )
        assert answer == b"again"
        nursery.cancel_scope.cancel()


async def test_validator_that_fails_on_a_message_does_not_end_the_node(victim: str) -> None:
    node, _ = parse_peer_address(victim)
    rude = network(victim)
    rude.gossip.subscribe(Topic.BLOCKS, lambda message: None)
    async with trio.open_nursery() as nursery:
        await nursery.start(rude.run)
        await until(lambda: node in rude.directory.peers())
        await rude.gossip.publish(Topic.BLOCKS, b"raise" + secrets.token_bytes(8))
        nursery.cancel_scope.cancel()
    await assert_serving(victim)


async def flood(attacker: Attacker, protocol: StreamProtocol) -> None:
    """Send far more messages than any peer may, until cut off."""
    burst = ((4).to_bytes(4, "big") + b"spam") * 500
    with Contained():
        stream = await attacker.open(protocol_id(protocol))
        while not attacker.connection.is_closed:
            await stream.write(burst)


async def hoard(attacker: Attacker) -> None:
    """Open streams and never close one, until cut off."""
    with Contained():
        while not attacker.connection.is_closed:
            await attacker.host.swarm.new_stream(attacker.victim)


@pytest.mark.parametrize("protocol", [StreamProtocol.CONSENSUS, StreamProtocol.HELLO])
async def test_flood_is_cut_off_while_others_are_served(
    victim: str, protocol: StreamProtocol
) -> None:
    async with attacking(victim) as attacker, trio.open_nursery() as nursery:
        nursery.start_soon(flood, attacker, protocol)
        await assert_serving(victim)
        await attacker.wait_until_disconnected()
        nursery.cancel_scope.cancel()
    await assert_serving(victim)


async def test_streams_without_end_cost_the_connection(victim: str) -> None:
    async with attacking(victim) as attacker, trio.open_nursery() as nursery:
        nursery.start_soon(hoard, attacker)
        await attacker.wait_until_disconnected()
        nursery.cancel_scope.cancel()
    await assert_serving(victim)


async def test_own_id_of_the_victim_is_no_way_in(victim: str) -> None:
    async with attacking(victim, secret=b"\x09" * 32) as attacker:
        await attacker.wait_until_disconnected()
    await assert_serving(victim)


def test_victim_is_who_its_address_says(victim: str) -> None:
    node, _ = parse_peer_address(victim)
    assert str(peer_id_of(node)) == victim.rsplit("/", 1)[1]
