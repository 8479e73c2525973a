"""The in-memory network keeps the promises of the ports that services rely on."""

import pytest
import trio
import trio.testing

from potp2p.foundation.errors import PeerError, RejectionReason, UnreachableError
from potp2p.foundation.types import BlobId, Digest, NodeId
from potp2p.network.ports import Heard, StreamProtocol, Topic
from potp2p.simulation.network import MemoryHub
from potp2p.simulation.transits import Fate, Transit

ANNA = NodeId(b"\x02" + b"a" * 32)
BORIS = NodeId(b"\x02" + b"b" * 32)
CLARA = NodeId(b"\x02" + b"c" * 32)
BLOB = BlobId(Digest(b"\x11" * 32))


def accept(message: bytes) -> None:
    """Let every message pass."""


def refuse(message: bytes) -> None:
    """Let no message pass."""
    raise PeerError(RejectionReason.MALFORMED, "refused by the test")


async def echo(asker: NodeId, body: bytes) -> bytes:
    """Answer with the request."""
    return body


async def test_gossip_reaches_everyone_but_the_publisher_and_only_once() -> None:
    hub = MemoryHub()
    anna, boris, clara = hub.attach(ANNA), hub.attach(BORIS), hub.attach(CLARA)
    inboxes = [node.subscribe(Topic.BLOCKS, accept) for node in (anna, boris, clara)]
    await anna.publish(Topic.BLOCKS, b"block")
    await boris.publish(Topic.BLOCKS, b"block")
    assert inboxes[1].receive_nowait() == inboxes[2].receive_nowait() == Heard(ANNA, b"block")
    for inbox in inboxes:
        with pytest.raises(trio.WouldBlock):
            inbox.receive_nowait()


async def test_refused_gossip_is_scored_and_not_delivered() -> None:
    hub = MemoryHub()
    anna, boris = hub.attach(ANNA), hub.attach(BORIS)
    inbox = boris.subscribe(Topic.BLOCKS, refuse)
    await anna.publish(Topic.BLOCKS, b"block")
    assert [(penalty.judge, penalty.offender) for penalty in hub.penalties] == [(BORIS, ANNA)]
    with pytest.raises(trio.WouldBlock):
        inbox.receive_nowait()


async def test_request_is_answered_and_a_refusal_is_unreachable_and_scored() -> None:
    hub = MemoryHub()
    anna, boris = hub.attach(ANNA), hub.attach(BORIS)
    boris.serve(StreamProtocol.HELLO, echo)

    async def refuse_all(asker: NodeId, body: bytes) -> bytes:
        raise PeerError(RejectionReason.MALFORMED, "no")

    boris.serve(StreamProtocol.BLOCKS, refuse_all)
    assert await anna.request(BORIS, StreamProtocol.HELLO, b"x", deadline_seconds=1) == b"x"
    with pytest.raises(UnreachableError, match="refused blocks: malformed: no"):
        await anna.request(BORIS, StreamProtocol.BLOCKS, b"x", deadline_seconds=1)
    with pytest.raises(UnreachableError, match="does not serve blobs"):
        await anna.request(BORIS, StreamProtocol.BLOBS, b"x", deadline_seconds=1)
    assert len(hub.penalties) == 1


async def test_partition_stops_everything_until_healed() -> None:
    hub = MemoryHub()
    anna, boris = hub.attach(ANNA), hub.attach(BORIS)
    boris.serve(StreamProtocol.HELLO, echo)
    inbox = boris.listen(StreamProtocol.CONSENSUS)
    hub.partition([ANNA], [BORIS])
    anna.post(BORIS, StreamProtocol.CONSENSUS, b"lost")
    assert anna.peers() == ()
    with pytest.raises(UnreachableError):
        await anna.request(BORIS, StreamProtocol.HELLO, b"x", deadline_seconds=1)
    hub.heal()
    anna.post(BORIS, StreamProtocol.CONSENSUS, b"heard")
    assert inbox.receive_nowait() == Heard(ANNA, b"heard")


async def test_late_messages_arrive_in_order_of_time(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    hub = MemoryHub(delay_seconds=lambda transit: float(transit.body))
    anna, boris = hub.attach(ANNA), hub.attach(BORIS)
    inbox = boris.listen(StreamProtocol.CONSENSUS)
    nursery.start_soon(hub.run)
    anna.post(BORIS, StreamProtocol.CONSENSUS, b"20")
    anna.post(BORIS, StreamProtocol.CONSENSUS, b"10")
    start = trio.current_time()
    assert (await inbox.receive()).body == b"10"
    assert (await inbox.receive()).body == b"20"
    assert trio.current_time() - start == pytest.approx(20)


async def test_dropped_request_waits_out_its_deadline(
    autojump_clock: trio.testing.MockClock,
) -> None:
    hub = MemoryHub(drop=lambda transit: True)
    anna = hub.attach(ANNA)
    hub.attach(BORIS)
    start = trio.current_time()
    with pytest.raises(UnreachableError, match="did not answer hello in time"):
        await anna.request(BORIS, StreamProtocol.HELLO, b"x", deadline_seconds=7)
    assert trio.current_time() - start == pytest.approx(7)


async def test_providers_are_found_while_attached_and_never_include_the_asker() -> None:
    hub = MemoryHub()
    anna, boris = hub.attach(ANNA), hub.attach(BORIS)
    await anna.provide(BLOB)
    await boris.provide(BLOB)
    assert await anna.find_providers(BLOB, count=5) == (BORIS,)
    hub.detach(BORIS)
    assert await anna.find_providers(BLOB, count=5) == ()


async def test_way_that_is_cut_loses_one_direction_only() -> None:
    hub = MemoryHub()
    anna, boris = hub.attach(ANNA), hub.attach(BORIS)
    inboxes = [node.listen(StreamProtocol.CONSENSUS) for node in (anna, boris)]
    hub.cut_one_way(ANNA, BORIS)
    anna.post(BORIS, StreamProtocol.CONSENSUS, b"vote")
    boris.post(ANNA, StreamProtocol.CONSENSUS, b"vote")
    assert inboxes[0].receive_nowait() == Heard(BORIS, b"vote")
    with pytest.raises(trio.WouldBlock):
        inboxes[1].receive_nowait()


async def test_request_whose_answer_finds_no_way_back_takes_its_deadline(
    autojump_clock: trio.testing.MockClock,
) -> None:
    hub = MemoryHub()
    anna, boris = hub.attach(ANNA), hub.attach(BORIS)
    boris.serve(StreamProtocol.HELLO, echo)
    hub.cut_one_way(BORIS, ANNA)
    with pytest.raises(UnreachableError, match="in time"):
        await anna.request(BORIS, StreamProtocol.HELLO, b"hello", deadline_seconds=3)
    assert trio.current_time() == pytest.approx(3)


async def test_two_machines_of_one_key_both_hear_and_both_speak() -> None:
    hub = MemoryHub()
    anna, boris, double = (
        hub.attach(ANNA),
        hub.attach(BORIS),
        hub.attach(BORIS, address="boris-double"),
    )
    inboxes = [node.listen(StreamProtocol.CONSENSUS) for node in (anna, boris, double)]
    anna.post(BORIS, StreamProtocol.CONSENSUS, b"vote")
    assert inboxes[1].receive_nowait() == inboxes[2].receive_nowait() == Heard(ANNA, b"vote")
    double.post(ANNA, StreamProtocol.CONSENSUS, b"another")
    assert inboxes[0].receive_nowait() == Heard(BORIS, b"another")
    assert anna.peers() == (BORIS,)
    assert double.peers() == (ANNA,)
    hub.cut(ANNA, b"boris-double")
    anna.post(BORIS, StreamProtocol.CONSENSUS, b"vote")
    assert inboxes[1].receive_nowait() == Heard(ANNA, b"vote")
    with pytest.raises(trio.WouldBlock):
        inboxes[2].receive_nowait()


async def test_copies_of_a_message_arrive_each_by_themselves() -> None:
    seen: list[tuple[Fate, bytes]] = []
    hub = MemoryHub(
        copies=lambda _: 2, watch=lambda fate, transit: seen.append((fate, transit.body))
    )
    anna, boris = hub.attach(ANNA), hub.attach(BORIS)
    inbox = boris.listen(StreamProtocol.CONSENSUS)
    anna.post(BORIS, StreamProtocol.CONSENSUS, b"vote")
    assert [inbox.receive_nowait(), inbox.receive_nowait()] == [Heard(ANNA, b"vote")] * 2
    assert seen == [(Fate.SENT, b"vote"), (Fate.ARRIVED, b"vote"), (Fate.ARRIVED, b"vote")]


async def test_liar_on_the_wire_replaces_what_it_sends_and_answers() -> None:
    hub = MemoryHub()
    anna, boris = hub.attach(ANNA), hub.attach(BORIS)
    inbox = boris.listen(StreamProtocol.CONSENSUS)
    anna.serve(StreamProtocol.HELLO, echo)
    hub.tampers[ANNA] = lambda transit: (
        Transit(transit.sender, transit.receiver, transit.channel, b"lie"),
    )
    hub.forgers[ANNA] = lambda _, reply: reply + b" and more"
    anna.post(BORIS, StreamProtocol.CONSENSUS, b"truth")
    assert inbox.receive_nowait() == Heard(ANNA, b"lie")
    answer = await boris.request(ANNA, StreamProtocol.HELLO, b"hello", deadline_seconds=1)
    assert answer == b"hello and more"


async def test_third_grave_fault_bans_where_faults_are_counted() -> None:
    hub = MemoryHub(conducts={})
    anna, boris = hub.attach(ANNA), hub.attach(BORIS)
    inbox = boris.listen(StreamProtocol.CONSENSUS)
    for _ in range(3):
        assert not boris.banned
        boris.penalise(ANNA, PeerError(RejectionReason.BAD_SIGNATURE, "of the test"))
    assert boris.banned == {ANNA}
    anna.post(BORIS, StreamProtocol.CONSENSUS, b"vote")
    with pytest.raises(trio.WouldBlock):
        inbox.receive_nowait()
    assert [each.is_grave for each in hub.penalties] == [True] * 3
