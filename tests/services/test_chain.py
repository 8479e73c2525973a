"""What follows the head is checked field by field; what a quorum sealed is stored whole."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from trio.testing import MockClock

from potp2p.foundation.errors import OperatingError, PeerError, RejectionReason
from potp2p.foundation.types import (
    Cycle,
    Digest,
    Epoch,
    Height,
    Rank,
    Signature,
    ValidatorIndex,
    View,
)
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.crypto.signing import sign
from potp2p.protocol.ledger.block import Slices
from potp2p.protocol.ledger.state import open_state
from potp2p.protocol.wire.blocks import BODY_DOMAIN, Block, BlockBody, Frame, Seal
from potp2p.protocol.wire.exchange import SealedBlock
from potp2p.protocol.wire.schema import decode, encode
from potp2p.services.chain import stored_head
from tests.doubles.stores import MemoryChainStore
from tests.doubles.world import Machine, World, key_of, open_world

OTHER = Digest(b"\x44" * 32)


@pytest.fixture
async def frozen(tmp_path: Path, autojump_clock: MockClock) -> AsyncIterator[World]:
    """A network that stands still after a few blocks."""
    async with open_world(tmp_path, miners=0) as world:
        await world.height(3)
        world.freeze()
        yield world


async def next_block(world: World) -> Block:
    """Return the honest proposal for the next height."""
    leader = world.primary()
    chain = leader.node.chain
    seat = ValidatorIndex(chain.prospects.nodes.index(leader.node_id))
    return await leader.node.authoring.candidate(chain.prospects.height, View(0), seat)


def judge(world: World) -> Machine:
    """Return a machine that did not make the proposal, at the proposal's parent."""
    height = world.primary().node.chain.head.height
    return next(
        each
        for each in world.machines.values()
        if each is not world.primary() and each.node.chain.head.height == height
    )


def resigned(world: World, block: Block, change: Callable[[BlockBody], BlockBody]) -> Block:
    """Return a block with another body that its author really signed."""
    body = change(block.header.body)
    author = next(each for each in world.machines.values() if each.node_id == body.author)
    chain_id = author.node.chain.chain_id
    signature = sign(author.keys, BODY_DOMAIN, chain_id, encode(body))
    return replace(block, header=replace(block.header, body=body, author_signature=signature))


def framed(block: Block, change: Callable[[Frame], Frame]) -> Block:
    """Return a block in another frame."""
    return replace(block, header=replace(block.header, frame=change(block.header.frame)))


async def test_every_field_of_a_body_is_checked_by_name(
    frozen: World, autojump_clock: MockClock
) -> None:
    block, chain = await next_block(frozen), judge(frozen).node.chain
    other = next(
        each.node_id
        for each in frozen.machines.values()
        if each.node_id != block.header.body.author
    )
    changes: dict[str, Callable[[BlockBody], BlockBody]] = {
        "version of block": lambda body: replace(body, version=body.version + 1),
        "height of block": lambda body: replace(body, height=Height(body.height + 1)),
        "parent of block": lambda body: replace(body, previous_hash=OTHER),
        "epoch of block": lambda body: replace(body, epoch=Epoch(body.epoch + 1)),
        "cycle of block": lambda body: replace(body, cycle=Cycle(body.cycle + 1)),
        "certificate of block": lambda body: replace(body, certificate_hash=OTHER),
        "next validators of block": lambda body: replace(body, next_validators_hash=OTHER),
        "parent's seal of block": lambda body: replace(body, previous_seal_hash=OTHER),
        "transactions of block": lambda body: replace(body, transactions_root=OTHER),
        "state root is not reproduced": lambda body: replace(body, state_root=OTHER),
        "author does not hold rank 0": lambda body: replace(body, rank=Rank(0)),
        "unranked body by another": lambda body: replace(body, author=other),
    }
    for complaint, change in changes.items():
        with pytest.raises(PeerError, match=complaint):
            await chain.verify(resigned(frozen, block, change))
    await chain.verify(block)


async def test_signature_and_frame_are_checked(frozen: World, autojump_clock: MockClock) -> None:
    block, chain = await next_block(frozen), judge(frozen).node.chain
    unsigned = replace(
        block, header=replace(block.header, author_signature=Signature(b"\x01" * 64))
    )
    with pytest.raises(PeerError) as refused:
        await chain.verify(unsigned)
    assert refused.value.reason is RejectionReason.BAD_SIGNATURE
    seats = len(chain.prospects.nodes)
    for change in (
        lambda frame: replace(frame, primary=ValidatorIndex((frame.primary + 1) % seats)),
        lambda frame: replace(frame, view=View(frame.view + 1)),
    ):
        with pytest.raises(PeerError) as refused:
            await chain.verify(framed(block, change))
        assert refused.value.reason is RejectionReason.NOT_PRIMARY
    with pytest.raises(PeerError) as refused:
        await chain.verify(framed(block, lambda frame: replace(frame, reveal=OTHER)))
    assert refused.value.reason is RejectionReason.BAD_PROOF


async def test_author_without_seat_or_rank_is_refused(
    frozen: World, autojump_clock: MockClock
) -> None:
    block, chain = await next_block(frozen), judge(frozen).node.chain
    stranger = key_of("stranger")
    body = replace(block.header.body, author=stranger.node_id)
    signature = sign(stranger, BODY_DOMAIN, chain.chain_id, encode(body))
    forged = replace(block, header=replace(block.header, body=body, author_signature=signature))
    with pytest.raises(PeerError, match="without a seat"):
        await chain.verify(forged)


async def test_a_block_carries_the_very_seal_of_its_parent(
    frozen: World, autojump_clock: MockClock
) -> None:
    block, chain = await next_block(frozen), judge(frozen).node.chain
    assert block.previous_seal is not None
    with pytest.raises(PeerError, match="parent's seal"):
        await chain.verify(replace(block, previous_seal=None))
    fewer = replace(block.previous_seal, signatures=block.previous_seal.signatures[:-1])
    with pytest.raises(PeerError, match="parent's seal"):
        await chain.verify(replace(block, previous_seal=fewer))


def sealed_at(machine: Machine, height: int) -> SealedBlock:
    """Return a decided block as it is gossiped."""
    stored = machine.store.block(Height(height))
    assert stored is not None
    return SealedBlock(decode(Block, stored[0]), decode(Seal, stored[1]))


async def test_a_seal_is_checked_with_all_that_it_covers(
    frozen: World, autojump_clock: MockClock
) -> None:
    donor = frozen.machines["validator-0"]
    fresh = frozen.add("observer", frozen.machines["validator-0"].role)
    chain, good = fresh.node.chain, sealed_at(donor, 1)
    fresh.kill()
    second = sealed_at(donor, 2)
    bad: list[tuple[str, SealedBlock]] = [
        ("sealed block 2", second),
        ("seal of another block", replace(good, seal=second.seal)),
        ("seal of another height", replace(good, seal=replace(good.seal, height=Height(2)))),
        ("seal of another height", replace(good, seal=replace(good.seal, epoch=Epoch(1)))),
        (
            "transactions of another block",
            replace(good, block=replace(good.block, transactions=(b"\x80",))),
        ),
        (
            "parent's seal of another block",
            replace(good, block=replace(good.block, previous_seal=second.seal)),
        ),
        (
            "signatures",
            replace(good, seal=replace(good.seal, signatures=good.seal.signatures[:2])),
        ),
        ("bad_signature", replace(good, seal=replace(good.seal, view=View(7)))),
    ]
    for complaint, sealed in bad:
        with pytest.raises(PeerError, match=complaint):
            chain.verify_sealed(sealed)
    chain.verify_sealed(good)
    await chain.commit(good.block, good.seal)
    assert chain.head.height == 1
    chain.verify_sealed(second)


async def test_a_sealed_block_that_fails_here_stops_the_node(
    frozen: World, autojump_clock: MockClock
) -> None:
    block, machine = await next_block(frozen), judge(frozen)
    wrong = resigned(frozen, block, lambda body: replace(body, state_root=OTHER))
    seal = Seal(block.header.body.epoch, block.header.body.height, View(0), OTHER, ())
    stored = machine.store.head()
    with pytest.raises(OperatingError, match="fails here"):
        await machine.node.chain.commit(wrong, seal)
    assert machine.store.head() == stored
    assert machine.node.chain.head.height == block.header.body.height - 1


async def test_the_head_survives_a_restart(frozen: World, autojump_clock: MockClock) -> None:
    machine = frozen.machines["validator-1"]
    before = machine.node.chain.head
    machine.hub.detach(machine.node_id)
    machine.boot()
    assert machine.node.chain.head == before
    assert stored_head(machine.store, machine.node.chain.chain_id) == before


def test_a_store_without_genesis_is_no_chain() -> None:
    with pytest.raises(OperatingError, match="genesis"):
        stored_head(MemoryChainStore(), key_of("any").node_id[:32])  # type: ignore[arg-type]


async def test_execution_is_given_up_where_the_head_moves_meanwhile(
    frozen: World, autojump_clock: MockClock
) -> None:
    block, chain = await next_block(frozen), judge(frozen).node.chain
    head, body = chain.head, block.header.body
    slices = chain.ledger.executing(
        head.header, body.height, body.author, body.rank, block.transactions, lambda _: True
    )
    chain.head = replace(head)

    def moving() -> Slices:
        # After the first slice somebody else has stored a block.
        next(slices)
        chain.head = head
        yield
        return (yield from slices)

    with pytest.raises(PeerError) as refused:
        await chain.in_turns(moving())

    assert refused.value.reason is RejectionReason.TOO_LATE
    assert (await chain.verify(block)).state_root == body.state_root


async def test_a_body_put_together_here_is_not_executed_again(
    frozen: World, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = await next_block(frozen)
    chain = frozen.primary().node.chain

    def refuse(*_: object) -> None:
        raise AssertionError("executed a second time")

    with monkeypatch.context() as patched:
        patched.setattr(type(chain.ledger), "executing", refuse)
        outcome = await chain.verify(block)
        assert outcome.state_root == block.header.body.state_root
        other = resigned(frozen, block, lambda body: replace(body, time_milliseconds=1))
        with pytest.raises(AssertionError, match="a second time"):
            await chain.verify(other)


async def test_records_of_the_head_are_those_in_the_store(
    frozen: World, autojump_clock: MockClock
) -> None:
    for machine in frozen.machines.values():
        chain = machine.node.chain
        fresh = open_state(chain.store)
        for seat in fresh.chain().seats:
            account = account_of(seat.node)
            assert chain.state().account(account) == fresh.account(account)
        assert chain.state().chain() == fresh.chain()
