"""A claim of height is a reason to ask and nothing more; blocks are served within one frame."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.limits import BLOCKS_REQUEST_SECONDS, MESSAGE_BYTES_MAX
from potp2p.foundation.types import ChainId, Digest, Epoch, Height, NodeId
from potp2p.network.ports import Heard, StreamProtocol, Topic
from potp2p.protocol.ledger.validity import block_hash
from potp2p.protocol.wire.blocks import Block, Seal
from potp2p.protocol.wire.exchange import (
    BlockNotice,
    BlocksReply,
    BlocksRequest,
    Hello,
    Role,
    SealedBlock,
)
from potp2p.protocol.wire.schema import decode, encode
from tests.doubles.adversaries import forged_block
from tests.doubles.network import MemoryNetwork
from tests.doubles.world import Machine, World, key_of, open_world

FAR = Height(1 << 40)


@pytest.fixture
async def frozen(tmp_path: Path, autojump_clock: MockClock) -> AsyncIterator[World]:
    """Four validators with a few blocks that stand still."""
    async with open_world(tmp_path, miners=0) as world:
        await world.height(4)
        world.freeze()
        yield world


@dataclass
class Braggart:
    """A peer that claims a height and then serves nothing, at once or never."""

    world: World
    stalls: bool = False
    asked: Counter[NodeId] = field(default_factory=Counter[NodeId])
    network: MemoryNetwork = field(init=False)

    def __post_init__(self) -> None:
        self.network = self.world.hub.attach(key_of("braggart").node_id)
        self.network.serve(StreamProtocol.HELLO, self.greet)
        self.network.serve(StreamProtocol.BLOCKS, self.answer)

    async def greet(self, _peer: NodeId, _body: bytes) -> bytes:
        await trio.lowlevel.checkpoint()
        chain_id = self.world.machines["validator-0"].node.chain.chain_id
        return encode(Hello(chain_id, Role.VALIDATOR, FAR, "0.0.0"))

    async def answer(self, peer: NodeId, _body: bytes) -> bytes:
        await trio.lowlevel.checkpoint()
        self.asked[peer] += 1
        if self.stalls:
            await trio.sleep_forever()
        return encode(BlocksReply(()))


def sealed_at(machine: Machine, height: int) -> SealedBlock:
    """Return a decided block as it is gossiped."""
    stored = machine.store.block(Height(height))
    assert stored is not None
    return SealedBlock(decode(Block, stored[0]), decode(Seal, stored[1]))


@pytest.mark.parametrize("stalls", [False, True])
async def test_a_peer_that_lies_about_its_height_delays_catch_up_only_once(
    frozen: World, stalls: bool, autojump_clock: MockClock
) -> None:
    braggart = Braggart(frozen, stalls=stalls)
    late = frozen.add("observer", Role.OBSERVER)
    start = trio.current_time()
    await frozen.height(3, "observer")
    assert trio.current_time() - start < BLOCKS_REQUEST_SECONDS + 8
    await frozen.until(lambda: braggart.asked[late.node_id] > 0)
    await trio.sleep(2 * BLOCKS_REQUEST_SECONDS)
    shown = late.node.status.snapshot().chain
    assert shown.target_height != FAR, "a claim that was not kept is still shown"
    frozen.assert_one_history("observer", "validator-0")


async def test_peers_of_another_chain_are_refused_and_not_believed(
    frozen: World, autojump_clock: MockClock
) -> None:
    machine = frozen.machines["validator-0"]
    stranger = key_of("stranger").node_id
    hello = Hello(ChainId(bytes(32)), Role.VALIDATOR, FAR, "0.0.0")
    with pytest.raises(PeerError) as refused:
        await machine.node.sync.answer_hello(stranger, encode(hello))
    assert refused.value.reason is RejectionReason.WRONG_CHAIN
    assert machine.node.sync.target_height is None


async def test_heights_of_clients_and_bootstrap_nodes_do_not_count(
    frozen: World, autojump_clock: MockClock
) -> None:
    machine = frozen.machines["validator-0"]
    for index, role in enumerate((Role.CLIENT, Role.BOOTSTRAP)):
        hello = Hello(machine.node.chain.chain_id, role, FAR, "0.0.0")
        await machine.node.sync.answer_hello(key_of(f"peer {index}").node_id, encode(hello))
    assert machine.node.sync.target_height is None


async def test_blocks_are_served_in_order_until_a_frame_is_full(
    frozen: World, autojump_clock: MockClock
) -> None:
    machine = frozen.machines["validator-0"]
    top = machine.node.chain.head.height
    answer = await machine.node.sync.answer_blocks(
        key_of("x").node_id, encode(BlocksRequest(Height(2), 64))
    )
    heights = [
        decode(SealedBlock, each).block.header.body.height
        for each in decode(BlocksReply, answer).blocks
    ]
    assert heights == list(range(2, top + 1))
    stored = machine.store.block(Height(1))
    assert stored is not None
    heavy = encode(replace(decode(Block, stored[0]), transactions=(bytes(16_000),) * 30))
    machine.store._blocks[1:] = [(heavy, stored[1])] * 5
    answer = await machine.node.sync.answer_blocks(
        key_of("x").node_id, encode(BlocksRequest(Height(1), 64))
    )
    assert len(answer) <= MESSAGE_BYTES_MAX
    assert len(decode(BlocksReply, answer).blocks) == 2


async def test_only_blocks_of_our_history_are_forwarded(
    frozen: World, autojump_clock: MockClock
) -> None:
    machine = frozen.machines["validator-0"]
    sync, top = machine.node.sync, machine.node.chain.head.height
    for height in range(1, top + 1):
        sync.validate_sealed(encode(sealed_at(machine, height)))
    for height in (1, top, top + 1, top + 2, top + 50):
        forged = forged_block(machine, Height(height))
        assert forged is not None
        with pytest.raises(PeerError):
            sync.validate_sealed(encode(forged))
    true = sealed_at(machine, top)
    other = replace(true, seal=replace(true.seal, block_hash=Digest(bytes(32))))
    with pytest.raises(PeerError, match="seal of another block"):
        sync.validate_sealed(encode(other))


async def test_blocks_of_an_epoch_that_we_do_not_know_yet_are_ignored_without_blame(
    frozen: World, autojump_clock: MockClock
) -> None:
    machine = frozen.machines["validator-0"]
    true = sealed_at(machine, 3)
    body = replace(true.block.header.body, height=Height(9_000), epoch=Epoch(90))
    header = replace(true.block.header, body=body)
    seal = replace(true.seal, height=Height(9_000), epoch=Epoch(90), block_hash=block_hash(header))
    block = replace(true.block, header=header)
    with pytest.raises(PeerError) as refused:
        machine.node.sync.validate_sealed(encode(SealedBlock(block, seal)))
    assert refused.value.reason is RejectionReason.UNPROVEN
    machine.network.hear(
        Topic.BLOCKS, Heard(key_of("ahead").node_id, encode(SealedBlock(block, seal)))
    )
    assert not frozen.hub.penalties, "an honest peer is blamed for our own backwardness"


async def test_a_lost_block_is_fetched_after_a_gap(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=0) as world:
        observer = world.add("observer", Role.OBSERVER)
        await world.height(3)
        world.hub.partition(
            [observer.node_id],
            [each.node_id for each in world.machines.values() if each is not observer],
        )
        behind = observer.node.chain.head.height
        await world.height(behind + 10, "validator-0")
        assert observer.node.chain.head.height <= behind + 1
        world.hub.heal()
        await world.height(behind + 12)
        world.assert_one_history()
        assert not world.hub.penalties


async def test_a_block_too_large_for_gossip_is_announced_by_header_and_seal(
    frozen: World, autojump_clock: MockClock
) -> None:
    machine = frozen.machines["validator-0"]
    sync, top = machine.node.sync, machine.node.chain.head.height
    true = sealed_at(machine, top)
    sync.validate_sealed(encode(BlockNotice(true.block.header, true.seal)))
    forged = forged_block(machine, Height(top + 1))
    assert forged is not None
    with pytest.raises(PeerError):
        sync.validate_sealed(encode(BlockNotice(forged.block.header, forged.seal)))
