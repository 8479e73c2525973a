"""Validators of the real service over memory: keys, disks that forget, a chain without money."""

from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from potp2p.foundation.types import (
    ChainId,
    Cycle,
    Digest,
    Epoch,
    Height,
    NodeId,
    Rank,
    Signature,
    ValidatorIndex,
    View,
)
from potp2p.protocol.consensus.effects import Accuse
from potp2p.protocol.consensus.events import HeightStarted
from potp2p.protocol.consensus.view_change import Timing
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.crypto.identity import KeyPair
from potp2p.protocol.ledger.validity import seal_hash, transactions_root, verify_seal
from potp2p.protocol.wire.blocks import (
    BLOCK_VERSION,
    RANK_NONE,
    Block,
    BlockBody,
    Frame,
    Header,
    Seal,
)
from potp2p.services.consensus import ConsensusService
from potp2p.services.consensus_guard import SigningGuard
from potp2p.services.consensus_ports import BlockVerdict
from potp2p.simulation.disks import MemoryJournal, MemoryRecord
from potp2p.simulation.network import MemoryHub, MemoryNetwork

CHAIN = ChainId(sha256(b"consensus tests"))
OTHER_CHAIN = ChainId(sha256(b"another network"))
TIMING = Timing(block_interval=500, view_timeout=1_000, view_step=700, view_cap=10_000)
EPOCH = Epoch(0)
NOTHING = Digest(bytes(32))


def key_of(index: int) -> KeyPair:
    """Return the key of a validator."""
    return KeyPair.from_secret(sha256(b"validator" + bytes([index])))


def make_block(
    facts: HeightStarted,
    primary: int,
    view: int,
    *,
    rank: Rank = RANK_NONE,
    transactions: tuple[bytes, ...] = (),
    state_root: Digest = NOTHING,
) -> Block:
    """Return a block on top of a head; author's signature and certificate mean nothing here."""
    body = BlockBody(
        version=BLOCK_VERSION,
        height=facts.height,
        previous_hash=facts.head_hash,
        previous_seal_hash=seal_hash(facts.head_seal),
        epoch=facts.epoch,
        cycle=Cycle(0),
        author=facts.validators[primary],
        rank=rank,
        transactions_root=transactions_root(transactions),
        state_root=state_root,
        next_validators_hash=NOTHING,
        certificate_hash=NOTHING,
        time_milliseconds=0,
    )
    frame = Frame(ValidatorIndex(primary), View(view), NOTHING)
    return Block(Header(body, Signature(bytes(64)), frame), facts.head_seal, transactions)


@dataclass(slots=True)
class MemoryChain:
    """A chain that accepts every block on its head whose state root is zero."""

    nodes: tuple[NodeId, ...]
    own: NodeId
    blocks: list[tuple[Block, Seal]] = field(default_factory=list[tuple[Block, Seal]])
    transactions: tuple[bytes, ...] = ()
    rank: Rank = RANK_NONE
    state_root: Digest = NOTHING
    """Of own choices; any other than zero is a lie."""
    never_chooses: bool = False
    decided_at: list[float] = field(default_factory=list[float])
    checks: int = 0
    epoch: Epoch = EPOCH

    async def candidate(self, height: Height, view: View) -> Block:
        """Return an own block."""
        await trio.lowlevel.checkpoint()
        if self.never_chooses:
            await trio.sleep_forever()
        facts = self.next_height()
        assert facts.seat is not None
        assert facts.height == height
        return make_block(
            facts,
            facts.seat,
            view,
            rank=self.rank,
            transactions=self.transactions,
            state_root=self.state_root,
        )

    async def check(
        self, block: Block, _block_hash: Digest, *, first_proposal: bool
    ) -> BlockVerdict:
        """Accept what stands on the head and reproduces the state."""
        del first_proposal
        await trio.lowlevel.checkpoint()
        self.checks += 1
        body, facts = block.header.body, self.next_height()
        on_head = (body.height, body.previous_hash) == (facts.height, facts.head_hash)
        sound = on_head and body.state_root == NOTHING
        return BlockVerdict.SOUND if sound else BlockVerdict.BROKEN

    async def decided(self, block: Block, seal: Seal) -> HeightStarted:
        """Store a block."""
        await trio.lowlevel.checkpoint()
        verify_seal(seal, self.nodes, CHAIN)
        assert seal.height == len(self.blocks) + 1
        self.blocks.append((block, seal))
        self.decided_at.append(trio.current_time())
        return self.next_height()

    def next_height(self) -> HeightStarted:
        """Return the facts after the last block; seat (height + view) mod n leads a view."""
        size, height = len(self.nodes), len(self.blocks) + 1
        seal = self.blocks[-1][1] if self.blocks else None
        return HeightStarted(
            Height(height),
            self.epoch,
            NOTHING if seal is None else seal.block_hash,
            self.nodes,
            ValidatorIndex(self.nodes.index(self.own)) if self.own in self.nodes else None,
            tuple(ValidatorIndex((height + view) % size) for view in range(size)),
            seal,
        )


@dataclass(slots=True)
class Validator:
    """One process: what its disk keeps, and the service while it runs."""

    index: int
    hub: MemoryHub
    chain: MemoryChain
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    record: MemoryRecord = field(default_factory=MemoryRecord)
    accusations: list[Accuse] = field(default_factory=list[Accuse])
    higher: list[tuple[NodeId, Height]] = field(default_factory=list[tuple[NodeId, Height]])
    network: MemoryNetwork = field(init=False)
    service: ConsensusService = field(init=False)
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)

    @property
    def key(self) -> KeyPair:
        """Return the validator's key."""
        return key_of(self.index)

    def boot(self) -> None:
        """Build network and service from what the disk keeps."""
        self.journal.crash()
        self.network = self.hub.attach(self.key.node_id)
        self.service = ConsensusService(
            self.key.node_id,
            CHAIN,
            TIMING,
            SigningGuard(self.key, CHAIN, self.record),
            self.journal,
            self.chain,
            self.network,
            self.network,
            lambda peer, height: self.higher.append((peer, height)),
            self.accusations.append,
        )
        self.scope = trio.CancelScope()

    async def run(self) -> None:
        """Run until killed."""
        with self.scope:
            await self.service.run()

    def kill(self) -> None:
        """End the process as SIGKILL does: at the next point where it waits."""
        self.scope.cancel()
        self.hub.detach(self.key.node_id)


def make_validators(size: int, hub: MemoryHub, *, seats: int | None = None) -> list[Validator]:
    """Return booted validators; those beyond `seats` hold none."""
    nodes = tuple(key_of(index).node_id for index in range(seats or size))
    validators = [
        Validator(index, hub, MemoryChain(nodes, key_of(index).node_id)) for index in range(size)
    ]
    for validator in validators:
        validator.boot()
    return validators


async def until(condition: Callable[[], bool], *, seconds: float = 120) -> None:
    """Return once a condition holds, looking every virtual 10 ms."""
    with trio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110  # virtual time; conditions are over several nodes
            await trio.sleep(0.01)
