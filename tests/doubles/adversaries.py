"""Liars for the world: each turns one whole, honest machine into one that breaks a rule."""

from collections import Counter
from dataclasses import dataclass, field, fields, replace
from itertools import count
from pathlib import Path

import trio

from potp2p.foundation.errors import UnreachableError
from potp2p.foundation.types import Digest, Height, NodeId, Rank
from potp2p.network.ports import StreamProtocol, Topic
from potp2p.protocol.crypto.signing import sign
from potp2p.protocol.ledger.validity import block_hash
from potp2p.protocol.wire.blocks import BODY_DOMAIN, AuthoredBody, Block, Seal
from potp2p.protocol.wire.exchange import (
    BlocksReply,
    BlocksRequest,
    Hello,
    Role,
    SealedBlock,
    TransactionBatch,
)
from potp2p.protocol.wire.schema import decode, encode
from potp2p.services.authoring import AuthoringService
from potp2p.services.consensus_ports import BlockVerdict
from potp2p.services.replica_chain import ReplicaChain
from potp2p.training.commands import Aggregate, Replay
from potp2p.training.reports import Aggregated, Replayed
from tests.doubles.network import MemoryNetwork
from tests.doubles.workers import FakeWorkers, write_checkpoint
from tests.doubles.world import Machine, World, key_of

NOWHERE = Digest(b"\x66" * 32)


class _WrongRoots(AuthoringService):
    """Signs bodies whose state nobody can reproduce."""

    __slots__ = ()

    async def _build(self, height: Height, rank: Rank) -> AuthoredBody:
        honest = await super()._build(height, rank)
        body = replace(honest.body, state_root=NOWHERE)
        signature = sign(self.keys, BODY_DOMAIN, self.chain.chain_id, encode(body))
        return replace(honest, body=body, author_signature=signature)


class _Credulous(ReplicaChain):
    """Votes for whatever is proposed."""

    __slots__ = ()

    async def check(
        self, block: Block, _block_hash: Digest, *, first_proposal: bool
    ) -> BlockVerdict:
        del block, first_proposal
        await trio.lowlevel.checkpoint()
        return BlockVerdict.SOUND


def propose_wrong_roots_and_vote_for_anything(machine: Machine) -> None:
    """Turn a validator into one that invents state and believes everything."""
    node = machine.node
    assert node.consensus is not None
    honest = node.authoring
    liar = _WrongRoots(**{each.name: getattr(honest, each.name) for each in fields(honest)})
    node.consensus.source = _Credulous(machine.node_id, node.chain, liar, node.logbook.say)


@dataclass(slots=True)
class FalseJudge(FakeWorkers):
    """A validator's device that invents results and absolves everyone."""

    def aggregate(self, command: Aggregate) -> Aggregated:
        """Write another checkpoint and claim that it is perfect."""
        write_checkpoint(Path(command.result), NOWHERE)
        return Aggregated(1, 1_000_000, milliseconds=1)

    def replay(self, command: Replay) -> Replayed:
        """Find no distance anywhere, without having computed."""
        found = FakeWorkers.replay(self, command)
        distances = replace(found.distances, overall=0, tensor_max=0, exponents_fit=True)
        return replace(found, distances=distances)


@dataclass(slots=True)
class Flooder:
    """A peer without seat or lease that sends every kind of rubbish, again and again."""

    world: World
    network: MemoryNetwork = field(init=False)
    refused: int = 0

    def __post_init__(self) -> None:
        self.network = self.world.hub.attach(key_of("flooder").node_id)

    async def run(self) -> None:
        """Flood until cancelled."""
        for turn in count():
            machine = list(self.world.machines.values())[turn % len(self.world.machines)]
            for protocol in StreamProtocol:
                await self._ask(machine.node_id, protocol, bytes([turn % 256]) * (turn % 300))
                self.network.post(machine.node_id, protocol, bytes([turn % 256]) * (turn % 300))
            await self._say_nonsense(turn, machine)
            await trio.sleep(0.1)

    async def _ask(self, peer: NodeId, protocol: StreamProtocol, body: bytes) -> None:
        try:
            await self.network.request(peer, protocol, body, deadline_seconds=1)
        except UnreachableError:
            self.refused += 1

    async def _say_nonsense(self, turn: int, machine: Machine) -> None:
        chain = machine.node.chain
        hello = Hello(chain.chain_id, Role.VALIDATOR, Height(1_000_000 + turn), "9.9.9")
        await self._ask(machine.node_id, StreamProtocol.HELLO, encode(hello))
        rubbish = TransactionBatch((b"\x00" * 90, bytes([turn % 256]) * 200))
        await self.network.publish(Topic.TRANSACTIONS, encode(rubbish))
        await self.network.publish(Topic.BLOCKS, bytes([turn % 256]) * 50)
        forged = forged_block(machine, Height(turn % 7 + chain.head.height))
        if forged is not None:
            await self.network.publish(Topic.BLOCKS, encode(forged))


def forged_block(machine: Machine, height: Height) -> SealedBlock | None:
    """Return a block of any height under an old seal's signatures."""
    head = machine.node.chain.head
    stored = machine.store.block(head.height)
    if stored is None:
        return None
    block, seal = decode(Block, stored[0]), decode(Seal, stored[1])
    body = replace(block.header.body, height=height, state_root=NOWHERE)
    header = replace(block.header, body=body)
    return SealedBlock(
        replace(block, header=header), replace(seal, height=height, block_hash=block_hash(header))
    )


@dataclass(slots=True)
class FalseArchive:
    """A peer that greets with a great height and serves blocks that only look right."""

    world: World
    network: MemoryNetwork = field(init=False)
    model: Machine = field(init=False)
    """Whose true blocks are the raw material."""
    asked: Counter[NodeId] = field(default_factory=Counter[NodeId])

    def __post_init__(self) -> None:
        self.model = self.world.machines["validator-0"]
        self.network = self.world.hub.attach(key_of("archive").node_id)
        self.network.serve(StreamProtocol.HELLO, self.greet)
        self.network.serve(StreamProtocol.BLOCKS, self.answer)

    async def greet(self, _peer: NodeId, _body: bytes) -> bytes:
        """Claim to be far ahead."""
        await trio.lowlevel.checkpoint()
        chain_id = self.model.node.chain.chain_id
        return encode(Hello(chain_id, Role.OBSERVER, Height(1 << 40), "0.0.0"))

    async def answer(self, peer: NodeId, body: bytes) -> bytes:
        """Serve true headers and seals with transactions that the seal does not cover."""
        await trio.lowlevel.checkpoint()
        self.asked[peer] += 1
        stored = self.model.store.block(decode(BlocksRequest, body).first)
        if stored is None:
            return encode(BlocksReply(()))
        block, seal = decode(Block, stored[0]), decode(Seal, stored[1])
        altered = replace(block, transactions=(*block.transactions, b"\x80"))
        if self.asked[peer] % 2:
            altered = replace(block, previous_seal=replace(seal, height=Height(1 << 30)))
        return encode(BlocksReply((encode(SealedBlock(altered, seal)),)))
