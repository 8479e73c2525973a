"""Several whole networks over loopback in one process: the promises of the three ports."""

import pytest
import trio

from potp2p.foundation.errors import (
    ConfigurationError,
    OperatingError,
    PeerError,
    RejectionReason,
    UnreachableError,
)
from potp2p.foundation.limits import MESSAGE_BYTES_MAX
from potp2p.foundation.types import BlobId, ChainId, Digest, NodeId
from potp2p.network.adapter import Network, NetworkConfiguration
from potp2p.network.ports import Heard, StreamProtocol, Topic
from tests.network.nodes import DEADLINE_SECONDS, LOOPBACK, echo, fresh_secret, network, until

BLOB = BlobId(Digest(b"\x21" * 32))
STRANGER = NodeId(
    bytes.fromhex("02" + "c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5")
)


def accept(message: bytes) -> None:
    """Let every message pass."""


def is_mesh(networks: list[Network]) -> bool:
    """Whether everyone is connected to everyone."""
    return all(len(one.directory.peers()) == len(networks) - 1 for one in networks)


async def start(nursery: trio.Nursery, count: int) -> list[Network]:
    """Start networks that know only the first one's address, and wait for their mesh."""
    networks = [network()]
    addresses = await nursery.start(networks[0].run)
    for _ in range(count - 1):
        networks.append(network(*addresses))
        await nursery.start(networks[-1].run)
    await until(lambda: is_mesh(networks))
    return networks


async def test_nodes_given_one_address_become_a_mesh(nursery: trio.Nursery) -> None:
    networks = await start(nursery, 6)
    assert {one.facts().peers for one in networks} == {5}
    nursery.cancel_scope.cancel()


async def test_request_is_answered_refused_or_late() -> None:
    server, asker = network(), network()
    finished = trio.Event()

    async def refuse(peer: NodeId, request: bytes) -> bytes:
        raise PeerError(RejectionReason.NOT_FOUND, "nothing here")

    async def fail(peer: NodeId, request: bytes) -> bytes:
        raise OperatingError("disk on fire")

    async def dawdle(peer: NodeId, request: bytes) -> bytes:
        await finished.wait()
        return b"too late"

    server.streams.serve(StreamProtocol.HELLO, echo)
    server.streams.serve(StreamProtocol.BLOCKS, refuse)
    server.streams.serve(StreamProtocol.QUERY, fail)
    server.streams.serve(StreamProtocol.SUBMIT, dawdle)
    async with trio.open_nursery() as nursery:
        addresses = await nursery.start(server.run)
        asker = network(*addresses)
        await nursery.start(asker.run)

        async def ask(protocol: StreamProtocol, seconds: float = DEADLINE_SECONDS) -> bytes:
            return await asker.streams.request(
                server.node_id, protocol, b"question", deadline_seconds=seconds
            )

        assert await ask(StreamProtocol.HELLO) == b"question"
        with pytest.raises(UnreachableError, match="refused blocks: not_found: nothing here"):
            await ask(StreamProtocol.BLOCKS)
        with pytest.raises(UnreachableError, match="refused query: disk on fire"):
            await ask(StreamProtocol.QUERY)
        with pytest.raises(UnreachableError, match="did not answer submit in time"):
            await ask(StreamProtocol.SUBMIT, 0.2)
        with pytest.raises(UnreachableError, match="does not serve blobs"):
            await ask(StreamProtocol.BLOBS)
        assert await ask(StreamProtocol.HELLO) == b"question"
        assert server.facts().banned == 0
        nursery.cancel_scope.cancel()


async def test_largest_answer_arrives_and_requests_share_few_streams() -> None:
    server = network()
    body = bytes(range(256)) * (MESSAGE_BYTES_MAX // 256)

    async def largest(peer: NodeId, request: bytes) -> bytes:
        await trio.lowlevel.checkpoint()
        return body

    server.streams.serve(StreamProtocol.BLOBS, largest)
    async with trio.open_nursery() as nursery:
        asker = network(*await nursery.start(server.run))
        await nursery.start(asker.run)
        answers: list[bytes] = []

        async def ask() -> None:
            answers.append(
                await asker.streams.request(
                    server.node_id, StreamProtocol.BLOBS, b"", deadline_seconds=DEADLINE_SECONDS
                )
            )

        async with trio.open_nursery() as askers:
            for _ in range(40):
                askers.start_soon(ask)
        assert answers == [body] * 40
        assert asker.facts().bytes_in > 40 * len(body)
        assert server.facts().banned == 0
        nursery.cancel_scope.cancel()


async def test_posts_arrive_in_order_with_their_sender() -> None:
    listener = network()
    inbox = listener.streams.listen(StreamProtocol.CONSENSUS)
    async with trio.open_nursery() as nursery:
        poster = network(*await nursery.start(listener.run))
        for index in range(100):
            poster.streams.post(
                listener.node_id, StreamProtocol.CONSENSUS, index.to_bytes(4, "big")
            )
        await nursery.start(poster.run)
        with trio.fail_after(DEADLINE_SECONDS):
            received = [await inbox.receive() for _ in range(100)]
        assert received == [Heard(poster.node_id, index.to_bytes(4, "big")) for index in range(100)]
        nursery.cancel_scope.cancel()


async def test_posts_to_nobody_are_counted_as_lost_and_hold_nothing() -> None:
    poster = network()
    async with trio.open_nursery() as nursery:
        await nursery.start(poster.run)
        for _ in range(300):
            poster.streams.post(STRANGER, StreamProtocol.CONSENSUS, b"vote")
        assert poster.facts().lost_messages == 300 - 256
        await until(lambda: poster.facts().lost_messages == 300)
        nursery.cancel_scope.cancel()


async def test_gossip_of_one_chain_is_not_heard_on_another() -> None:
    ours, theirs = network(), network(chain_id=ChainId(Digest(b"\x08" * 32)))
    inbox = theirs.gossip.subscribe(Topic.BLOCKS, accept)
    ours.gossip.subscribe(Topic.BLOCKS, accept)
    async with trio.open_nursery() as nursery:
        addresses = await nursery.start(theirs.run)
        ours = network(*addresses)
        ours.gossip.subscribe(Topic.BLOCKS, accept)
        friend = network(*addresses)
        friends_inbox = friend.gossip.subscribe(Topic.BLOCKS, accept)
        await nursery.start(ours.run)
        await nursery.start(friend.run)
        await until(lambda: is_mesh([ours, theirs, friend]))
        with trio.fail_after(DEADLINE_SECONDS):
            await say_until_heard(ours, b"block", friends_inbox)
        with pytest.raises(trio.WouldBlock):
            inbox.receive_nowait()
        nursery.cancel_scope.cancel()


def len_of(inbox: trio.MemoryReceiveChannel[Heard]) -> int:
    """Return how many messages wait."""
    return inbox.statistics().current_buffer_used


async def say_until_heard(
    speaker: Network, message: bytes, inbox: trio.MemoryReceiveChannel[Heard]
) -> Heard:
    """Publish again and again, since a mesh forms in its own time; what is heard is one copy."""
    while True:
        await speaker.gossip.publish(Topic.BLOCKS, message)
        with trio.move_on_after(0.3):
            return await inbox.receive()


async def test_gossip_is_heard_once_by_everyone_and_refusals_are_scored() -> None:
    first = network()
    refused = 0

    def picky(message: bytes) -> None:
        nonlocal refused
        if message == b"bad":
            refused += 1
            raise PeerError(RejectionReason.MALFORMED, "bad")

    inboxes = [first.gossip.subscribe(Topic.BLOCKS, picky)]
    networks = [first]
    async with trio.open_nursery() as nursery:
        addresses = await nursery.start(first.run)
        for _ in range(3):
            networks.append(network(*addresses))
            inboxes.append(networks[-1].gossip.subscribe(Topic.BLOCKS, picky))
            await nursery.start(networks[-1].run)
        await until(lambda: is_mesh(networks))
        speaker = networks[3]
        for index, inbox in enumerate(inboxes[:3]):
            with trio.fail_after(DEADLINE_SECONDS):
                await say_until_heard(speaker, b"warm up %d" % index, inbox)
        for index in range(20):
            await speaker.gossip.publish(Topic.BLOCKS, b"message %d" % index)
        await speaker.gossip.publish(Topic.BLOCKS, b"bad")
        for inbox in inboxes[:3]:
            heard: list[bytes] = []
            with trio.fail_after(DEADLINE_SECONDS):
                while sum(body.startswith(b"message") for body in heard) < 20:
                    heard.append((await inbox.receive()).body)
            assert len(heard) == len(set(heard))
        await until(lambda: refused >= 3)
        left = [inbox.receive_nowait() for inbox in inboxes[:3] if len_of(inbox)]
        assert [heard for heard in left if not heard.body.startswith(b"warm up")] == []
        assert len_of(inboxes[3]) == 0
        nursery.cancel_scope.cancel()


async def test_providers_are_found_by_nodes_that_were_never_told() -> None:
    async with trio.open_nursery() as nursery:
        networks = await start(nursery, 5)
        await networks[2].directory.provide(BLOB)
        await networks[3].directory.provide(BLOB)
        found: tuple[NodeId, ...] = ()
        with trio.fail_after(DEADLINE_SECONDS):
            while len(found) < 2:
                found = await networks[4].directory.find_providers(BLOB, count=4)
        assert set(found) == {networks[2].node_id, networks[3].node_id}
        own = await networks[2].directory.find_providers(BLOB, count=4)
        assert own == (networks[3].node_id,)
        nobody = await networks[4].directory.find_providers(BlobId(Digest(b"\x22" * 32)), count=4)
        assert nobody == ()
        nursery.cancel_scope.cancel()


async def test_reach_finds_a_peer_whose_address_was_never_told() -> None:
    async with trio.open_nursery() as nursery:
        meeting_point = network()
        addresses = await nursery.start(meeting_point.run)
        one, other = network(*addresses), network(*addresses)
        await nursery.start(one.run)
        await nursery.start(other.run)
        with trio.fail_after(DEADLINE_SECONDS):
            while other.node_id not in one.directory.peers():
                try:
                    await one.directory.reach(other.node_id)
                except UnreachableError:
                    await trio.sleep(0.05)  # the meeting point has not met it yet
        with pytest.raises(UnreachableError, match="cannot be dialled"):
            await one.directory.reach(STRANGER)
        nursery.cancel_scope.cancel()


async def test_peer_that_comes_back_is_found_again() -> None:
    secret = fresh_secret()
    async with trio.open_nursery() as nursery:
        keeper = network()
        addresses = await nursery.start(keeper.run)
        for _ in range(2):
            visitor = Network(NetworkConfiguration(secret, listen=LOOPBACK, bootstrap=addresses))
            name = visitor.node_id
            async with trio.open_nursery() as life:
                await life.start(visitor.run)
                await until(lambda: keeper.directory.peers() == (name,))  # noqa: B023
                life.cancel_scope.cancel()
            await until(lambda: keeper.directory.peers() == ())
        nursery.cancel_scope.cancel()


async def test_bootstrap_node_that_starts_late_is_dialled_until_it_answers() -> None:
    late = network()
    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as first_life:
            addresses = await first_life.start(late.run)
            first_life.cancel_scope.cancel()
        eager = network(*addresses)
        await nursery.start(eager.run)
        port = addresses[0].split("/")[4]
        again = Network(
            NetworkConfiguration(
                late._configuration.secret_key, listen=(f"/ip4/127.0.0.1/tcp/{port}",)
            )
        )
        await nursery.start(again.run)
        await until(lambda: eager.directory.peers() == (again.node_id,))
        nursery.cancel_scope.cancel()


async def test_third_fault_found_by_a_service_bans_and_disconnects() -> None:
    async with trio.open_nursery() as nursery:
        judge = network()
        culprit = network(*await nursery.start(judge.run))
        await nursery.start(culprit.run)
        await until(lambda: judge.directory.peers() == (culprit.node_id,))
        for _ in range(3):
            judge.directory.penalise(
                culprit.node_id, PeerError(RejectionReason.BAD_SIGNATURE, "forged")
            )
        await until(lambda: judge.directory.peers() == ())
        assert judge.facts().banned == 1
        with pytest.raises(UnreachableError, match="is banned"):
            await judge.directory.reach(culprit.node_id)
        nursery.cancel_scope.cancel()


async def test_cancelled_network_ends_and_frees_its_port() -> None:
    async with trio.open_nursery() as nursery:
        networks = await start(nursery, 3)
        port = networks[0].facts().listen[0].split("/")[4]
        nursery.cancel_scope.cancel()
    with pytest.raises(OSError, match="all attempts to connect"):
        await trio.open_tcp_stream("127.0.0.1", int(port))


async def test_address_that_cannot_be_listened_on_is_an_operating_error() -> None:
    unlucky = Network(NetworkConfiguration(fresh_secret(), listen=("/ip4/192.0.2.1/tcp/1",)))
    with pytest.raises(OperatingError, match=r"cannot listen on /ip4/192\.0\.2\.1/tcp/1"):
        await unlucky.run()


def test_address_that_is_none_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="not a multiaddress: 'nonsense'"):
        Network(NetworkConfiguration(fresh_secret(), listen=("nonsense",)))
    with pytest.raises(ConfigurationError, match="not a peer address: '/ip4"):
        Network(NetworkConfiguration(fresh_secret(), bootstrap=("/ip4/127.0.0.1/tcp/1",)))


class BrokenCache:
    """Fails whatever is asked of it."""

    def __init__(self) -> None:
        self.touched = trio.Event()

    def __getattr__(self, name: str) -> object:
        self.touched.set()
        raise RuntimeError(name)


async def test_router_survives_a_failing_heartbeat(nursery: trio.Nursery) -> None:
    speaker, listener = network(), network()
    speaker.gossip.subscribe(Topic.BLOCKS, accept)
    addresses = await nursery.start(speaker.run)
    listener = network(*addresses)
    inbox = listener.gossip.subscribe(Topic.BLOCKS, accept)
    await nursery.start(listener.run)
    pubsub = speaker.gossip._pubsub
    assert pubsub is not None
    healthy, broken = pubsub.router.mcache, BrokenCache()
    pubsub.router.mcache = broken
    with trio.fail_after(DEADLINE_SECONDS):
        await broken.touched.wait()
    pubsub.router.mcache = healthy
    with trio.fail_after(DEADLINE_SECONDS):
        assert (await say_until_heard(speaker, b"alive", inbox)).body == b"alive"
    nursery.cancel_scope.cancel()
