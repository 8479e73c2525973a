"""
The three network ports in memory: several nodes in one trio process, with faults on demand.

A `MemoryHub` joins `MemoryNetwork` objects. Without a delay every message arrives at once, in the
sender's own step; with one, `hub.run()` must be running and delivers by trio's clock, so a test
under MockClock never waits. Requests run the other node's handler in the asker's task.
"""

import heapq
import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import trio

from potp2p.foundation.errors import PeerError, RejectionReason, UnreachableError
from potp2p.foundation.limits import (
    GOSSIP_BYTES_MAX,
    GOSSIP_INBOX_MAX,
    MESSAGE_BYTES_MAX,
    POST_INBOX_MAX,
)
from potp2p.foundation.types import BlobId, NodeId
from potp2p.network.peers import Conduct, Judgement
from potp2p.network.ports import (
    Answer,
    Heard,
    NetworkFacts,
    StreamProtocol,
    Topic,
    Validate,
)
from potp2p.simulation.transits import Address, Fate, Forger, Penalty, Tamper, Transit


def _never(transit: Transit) -> bool:
    return False


def _at_once(transit: Transit) -> float:
    return 0.0


def _once(transit: Transit) -> int:
    return 1


def _unwatched(fate: Fate, transit: Transit) -> None:
    """Let a message pass unseen."""


@dataclass(slots=True)
class MemoryHub:
    """The wire between nodes: who is attached, who is cut off, what is lost or late."""

    drop: Callable[[Transit], bool] = _never
    """Loses a message when it answers true; a lost request takes its whole deadline."""
    delay_seconds: Callable[[Transit], float] = _at_once
    """How long a message travels; each direction of a request travels this long."""
    copies: Callable[[Transit], int] = _once
    """How often a message that is not lost arrives; each copy has its own delay."""
    watch: Callable[[Fate, Transit], None] = _unwatched
    """Sees everything that happens to messages."""
    keeps_transits: bool = True
    transits: list[Transit] = field(default_factory=list[Transit])
    """Everything that was sent, lost or not, oldest first."""
    penalties: list[Penalty] = field(default_factory=list[Penalty])
    """Every fault that was scored, oldest first."""
    tampers: dict[Address, Tamper] = field(default_factory=dict[Address, Tamper])
    """Hands on what comes from single addresses."""
    forgers: dict[Address, Forger] = field(default_factory=dict[Address, Forger])
    """Hands on what single addresses answer."""
    conducts: dict[Address, Conduct] | None = None
    """Who counts whose faults; None: nobody is ever banned."""
    _nodes: dict[Address, "MemoryNetwork"] = field(default_factory=dict[Address, "MemoryNetwork"])
    _aliases: dict[NodeId, list[Address]] = field(default_factory=dict[NodeId, list[Address]])
    """Further places of a node whose key is used by several machines."""
    _cuts: set[tuple[Address, Address]] = field(default_factory=set[tuple[Address, Address]])
    """Ways that are closed, from whom to whom."""
    _providers: dict[BlobId, list[NodeId]] = field(default_factory=dict[BlobId, list[NodeId]])
    _late: list[tuple[float, int, Callable[[], None]]] = field(
        default_factory=list[tuple[float, int, Callable[[], None]]]
    )
    _counter: "itertools.count[int]" = field(default_factory=itertools.count)
    _changed: trio.Event = field(default_factory=trio.Event)

    def attach(self, node: NodeId, *, address: str | None = None) -> "MemoryNetwork":
        """Return a node's new network; a node that was attached before starts afresh."""
        network = MemoryNetwork(node, self, node if address is None else address.encode())
        self._nodes[network.address] = network
        known = self._aliases.setdefault(node, [])
        if address is not None and network.address not in known:
            known.append(network.address)
        return network

    def detach(self, node: NodeId, *, address: str | None = None) -> None:
        """Take a node off the wire, as a killed process goes."""
        del self._nodes[node if address is None else address.encode()]
        for holders in self._providers.values():
            if node in holders:
                holders.remove(node)

    def cut(self, one: Address, other: Address) -> None:
        """Lose everything between two nodes until healed."""
        self.cut_one_way(one, other)
        self.cut_one_way(other, one)

    def cut_one_way(self, sender: Address, receiver: Address) -> None:
        """Lose everything from one node to another until healed."""
        self._cuts.add((sender, receiver))

    def partition(self, *groups: Iterable[Address]) -> None:
        """Cut every pair of nodes that are in different groups; other pairs stay as they are."""
        sides = [tuple(group) for group in groups]
        for left, right in itertools.combinations(sides, 2):
            for one, other in itertools.product(left, right):
                self.cut(one, other)

    def heal(self) -> None:
        """Undo every cut."""
        self._cuts.clear()

    def find(self, sender: Address, receiver: NodeId) -> "MemoryNetwork | None":
        """Return the receiver's network if the two can talk now."""
        return next(iter(self._reachable(sender, receiver)), None)

    def others(self, address: Address) -> tuple[NodeId, ...]:
        """Return every node that this one can talk to now, in order of attachment."""
        own = self._nodes[address].node if address in self._nodes else address
        return tuple(
            dict.fromkeys(
                other.node
                for where, other in self._nodes.items()
                if other.node != own
                and (address, where) not in self._cuts
                and (where, address) not in self._cuts
            )
        )

    def send(
        self, sender: Address, transit: Transit, deliver: Callable[["MemoryNetwork"], None]
    ) -> None:
        """Carry a message to its receiver, at once or late, unless it is lost."""
        if self.keeps_transits:
            self.transits.append(transit)
        self.watch(Fate.SENT, transit)
        targets = () if self.drop(transit) else self._reachable(sender, transit.receiver)
        if not targets:
            self.watch(Fate.LOST, transit)
        for target in targets:
            for _ in range(self.copies(transit)):
                self._carry(sender, target, transit, deliver)

    async def run(self) -> None:
        """Deliver what is late, by trio's clock, until cancelled."""
        while True:
            self._changed = trio.Event()
            due = self._late[0][0] if self._late else math.inf
            with trio.move_on_at(due):
                await self._changed.wait()
            while self._late and self._late[0][0] <= trio.current_time():
                _, _, arrive = heapq.heappop(self._late)
                arrive()

    def announce(self, node: NodeId, blob: BlobId) -> None:
        """Enter a provider record; the latest announcer comes last."""
        holders = self._providers.setdefault(blob, [])
        if node not in holders:
            holders.append(node)

    def holders(self, address: Address, blob: BlobId) -> tuple[NodeId, ...]:
        """Return who announced a blob and can be talked to."""
        reachable = set(self.others(address))
        return tuple(holder for holder in self._providers.get(blob, []) if holder in reachable)

    def waiting(self) -> int:
        """Return how many messages are on their way."""
        return len(self._late)

    def _reachable(self, sender: Address, receiver: NodeId) -> "tuple[MemoryNetwork, ...]":
        places = (receiver, *self._aliases.get(receiver, ()))
        found = (self._nodes.get(place) for place in places)
        return tuple(
            each for each in found if each is not None and (sender, each.address) not in self._cuts
        )

    def _carry(
        self,
        sender: Address,
        target: "MemoryNetwork",
        transit: Transit,
        deliver: Callable[["MemoryNetwork"], None],
    ) -> None:
        def arrive() -> None:
            now = self._nodes.get(target.address)
            if now is None or (sender, target.address) in self._cuts:
                self.watch(Fate.LOST, transit)
            else:
                self.watch(Fate.ARRIVED, transit)
                deliver(now)

        delay = self.delay_seconds(transit)
        if delay <= 0:
            arrive()
            return
        heapq.heappush(self._late, (trio.current_time() + delay, next(self._counter), arrive))
        self._changed.set()


class MemoryNetwork:
    """One node's side of the hub; satisfies Gossip, Streams and Directory at once."""

    def __init__(self, node: NodeId, hub: MemoryHub, address: Address) -> None:
        self.node = node
        self.address = address
        self._hub = hub
        self._topics: dict[Topic, tuple[Validate, trio.MemorySendChannel[Heard]]] = {}
        self._answers: dict[StreamProtocol, Answer] = {}
        self._inboxes: dict[StreamProtocol, trio.MemorySendChannel[Heard]] = {}
        self._heard: set[tuple[Topic, bytes]] = set()
        self.lost_messages = 0
        self.banned: set[NodeId] = set()

    @property
    def gossip(self) -> "MemoryNetwork":
        """The Gossip port."""
        return self

    @property
    def streams(self) -> "MemoryNetwork":
        """The Streams port."""
        return self

    @property
    def directory(self) -> "MemoryNetwork":
        """The Directory port."""
        return self

    def facts(self) -> NetworkFacts:
        """What status may show."""
        return NetworkFacts(
            listen=(f"/memory/{self.node.hex()}",),
            peers=len(self.peers()),
            inbound=0,
            bytes_in=0,
            bytes_out=0,
            lost_messages=self.lost_messages,
            banned=len(self.banned),
        )

    async def publish(self, topic: Topic, message: bytes) -> None:
        """Send to everyone in reach, each at most once."""
        assert len(message) <= GOSSIP_BYTES_MAX, "the caller splits its batches"
        await trio.lowlevel.checkpoint()
        self._heard.add((topic, message))
        for peer in self._hub.others(self.address):
            self._send(Transit(self.node, peer, topic, message))

    def subscribe(self, topic: Topic, validate: Validate) -> trio.MemoryReceiveChannel[Heard]:
        """Return the bounded inbox of a topic."""
        assert topic not in self._topics, f"{topic} has a subscriber already"
        inbox_out, inbox = trio.open_memory_channel[Heard](GOSSIP_INBOX_MAX)
        self._topics[topic] = (validate, inbox_out)
        return inbox

    def hear(self, topic: Topic, heard: Heard) -> None:
        """Take a gossip message off the wire."""
        if topic not in self._topics or heard.source in self.banned:
            return
        if (topic, heard.body) in self._heard:
            return
        self._heard.add((topic, heard.body))
        validate, inbox_out = self._topics[topic]
        try:
            validate(heard.body)
        except PeerError as error:
            self.penalise(heard.source, error)
        else:
            self._put(inbox_out, heard)

    def serve(self, protocol: StreamProtocol, answer: Answer) -> None:
        """Answer requests of a protocol."""
        assert protocol not in self._answers, f"{protocol} is served already"
        self._answers[protocol] = answer

    async def request(
        self, peer: NodeId, protocol: StreamProtocol, body: bytes, *, deadline_seconds: float
    ) -> bytes:
        """Ask one peer; its handler runs in our task, under our deadline."""
        assert len(body) <= MESSAGE_BYTES_MAX, "the caller bounds its requests"
        transit = Transit(self.node, peer, protocol, body)
        if self._hub.keeps_transits:
            self._hub.transits.append(transit)
        self._hub.watch(Fate.SENT, transit)
        await trio.lowlevel.checkpoint()
        with trio.move_on_after(deadline_seconds):
            if self._hub.drop(transit):
                self._hub.watch(Fate.LOST, transit)
                await trio.sleep_forever()
            await trio.sleep(self._hub.delay_seconds(transit))
            receiver = self._hub.find(self.address, peer)
            if receiver is None or self.node in receiver.banned:
                raise UnreachableError(f"peer {peer.hex()[:12]} cannot be dialled")
            self._hub.watch(Fate.ASKED, transit)
            reply = await receiver.answer(self.node, protocol, body)
            await trio.sleep(self._hub.delay_seconds(transit))
            if self._hub.find(receiver.address, self.node) is None:
                await trio.sleep_forever()
            self._hub.watch(Fate.ANSWERED, Transit(peer, self.node, protocol, reply))
            return reply
        raise UnreachableError(f"peer {peer.hex()[:12]} did not answer {protocol} in time")

    async def answer(self, asker: NodeId, protocol: StreamProtocol, body: bytes) -> bytes:
        """Serve a request off the wire."""
        if protocol not in self._answers:
            raise UnreachableError(f"peer {self.node.hex()[:12]} does not serve {protocol}")
        forge = self._hub.forgers.get(self.address)
        try:
            reply = await self._answers[protocol](asker, body)
            return reply if forge is None else forge(protocol, reply)
        except PeerError as error:
            self.penalise(asker, error)
            raise UnreachableError(
                f"peer {self.node.hex()[:12]} refused {protocol}: {error}"
            ) from error

    def post(self, peer: NodeId, protocol: StreamProtocol, body: bytes) -> None:
        """Send without waiting; lost when the peer is out of reach."""
        assert len(body) <= MESSAGE_BYTES_MAX, "the caller bounds its posts"
        self._send(Transit(self.node, peer, protocol, body))

    def listen(self, protocol: StreamProtocol) -> trio.MemoryReceiveChannel[Heard]:
        """Return the bounded inbox of posts."""
        assert protocol not in self._inboxes, f"{protocol} has a listener already"
        inbox_out, inbox = trio.open_memory_channel[Heard](POST_INBOX_MAX)
        self._inboxes[protocol] = inbox_out
        return inbox

    def take(self, protocol: StreamProtocol, heard: Heard) -> None:
        """Take a post off the wire."""
        if protocol in self._inboxes and heard.source not in self.banned:
            self._put(self._inboxes[protocol], heard)

    async def provide(self, blob: BlobId) -> None:
        """Announce a blob at once."""
        await trio.lowlevel.checkpoint()
        self._hub.announce(self.node, blob)

    async def find_providers(self, blob: BlobId, *, count: int) -> tuple[NodeId, ...]:
        """Return who announced a blob, without ourselves."""
        await trio.lowlevel.checkpoint()
        return self._hub.holders(self.address, blob)[:count]

    def peers(self) -> tuple[NodeId, ...]:
        """Return everyone in reach: the hub is a full mesh."""
        return self._hub.others(self.address)

    async def reach(self, peer: NodeId) -> None:
        """Succeed exactly when the peer is attached and not cut off."""
        await trio.lowlevel.checkpoint()
        if self._hub.find(self.address, peer) is None:
            raise UnreachableError(f"peer {peer.hex()[:12]} cannot be dialled")

    def penalise(self, peer: NodeId, error: PeerError) -> None:
        """Record a fault; a test that wants a ban adds the peer to `banned`."""
        if error.reason is RejectionReason.UNPROVEN:
            return
        self._hub.penalties.append(Penalty(self.node, peer, error))
        if self._hub.conducts is not None:
            conduct = self._hub.conducts.setdefault(self.address, Conduct(trio.current_time))
            if conduct.fault(peer, error.reason) is Judgement.BAN:
                self.banned.add(peer)

    def _send(self, honest: Transit) -> None:
        tamper = self._hub.tampers.get(self.address)
        for transit in (honest,) if tamper is None else tamper(honest):
            self._hub.send(self.address, transit, _delivery(transit))

    def _put(self, inbox_out: trio.MemorySendChannel[Heard], heard: Heard) -> None:
        try:
            inbox_out.send_nowait(heard)
        except (trio.WouldBlock, trio.BrokenResourceError):
            self.lost_messages += 1


def _delivery(transit: Transit) -> Callable[[MemoryNetwork], None]:
    heard = Heard(transit.sender, transit.body)
    if isinstance(transit.channel, Topic):
        topic = transit.channel
        return lambda receiver: receiver.hear(topic, heard)
    protocol = transit.channel
    return lambda receiver: receiver.take(protocol, heard)
