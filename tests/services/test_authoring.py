"""One body is signed per height, the best sound one is framed, and only authors pay for two."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.types import Digest, Height, Rank, Signature, ValidatorIndex, View
from potp2p.network.ports import Heard
from potp2p.protocol.crypto.signing import sign
from potp2p.protocol.wire.blocks import BODY_DOMAIN, RANK_NONE, AuthoredBody, Block
from potp2p.protocol.wire.schema import encode
from potp2p.services.chain import ChainService
from tests.doubles.world import Machine, World, make_rules, open_world


@asynccontextmanager
async def ranked_world(folder: Path) -> AsyncIterator[World]:
    """A network that stands still at a height with two ranked authors."""
    async with open_world(folder, miners=2) as world:
        await world.submit(make_rules(rounds=1))
        chain = world.machines["validator-0"].node.chain
        await world.until(lambda: len(chain.prospects.ranking) == 2)
        top = chain.head.height
        await world.height(top)
        world.freeze()
        yield world


async def propose(machine: Machine, view: int = 0) -> Block:
    """Ask a validator for its choice, whichever seat leads."""
    chain = machine.node.chain
    seat = ValidatorIndex(chain.prospects.nodes.index(machine.node_id))
    return await machine.node.authoring.candidate(chain.prospects.height, View(view), seat)


async def body_of_rank(world: World, rank: int, judge: Machine) -> tuple[Machine, AuthoredBody]:
    """Return the honest body of a ranked author at the judge's height."""
    chain = judge.node.chain
    author = next(
        each for each in world.machines.values() if each.node_id == chain.prospects.ranking[rank]
    )
    assert author.node.chain.head.hash == chain.head.hash, "the author is in step"
    body = await author.node.authoring._own_body(chain.prospects.height, Rank(rank))
    assert body is not None
    return author, body


def changed(author: Machine, honest: AuthoredBody, **changes: object) -> AuthoredBody:
    """Return another body that the same author really signed."""
    body = replace(honest.body, **changes)  # type: ignore[arg-type]
    chain_id = author.node.chain.chain_id
    return replace(
        honest, body=body, author_signature=sign(author.keys, BODY_DOMAIN, chain_id, encode(body))
    )


async def hear(judge: Machine, source: Machine, body: AuthoredBody) -> None:
    """Let a validator hear a body from somebody."""
    await judge.node.authoring._hear(Heard(source.node_id, encode(body)))


async def test_a_body_is_signed_once_per_height_also_after_a_restart(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=0) as world:
        await world.height(2)
        world.freeze()
        leader = world.primary()
        first = await propose(leader)
        await trio.sleep(7)
        again = await propose(leader, view=1)
        world.hub.detach(leader.node_id)
        leader.boot()
        await trio.sleep(7)
        after = await propose(leader, view=2)
        assert first.header.body == again.header.body == after.header.body
        assert first.header.author_signature == after.header.author_signature
        assert first.header.frame != after.header.frame


async def test_two_views_that_ask_at_once_get_the_same_body(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=0) as world:
        await world.height(2)
        world.freeze()
        leader, blocks = world.primary(), list[Block]()

        async def ask(view: int, at: float) -> None:
            await trio.sleep(at)
            blocks.append(await propose(leader, view))

        async def slow_put(name: bytes, note: bytes) -> None:
            await trio.sleep(3)
            leader.notebook.notes[name] = note

        class SlowNotebook:
            """A disk that takes seconds."""

            get = leader.notebook.get
            put = staticmethod(slow_put)

        leader.node.authoring.notebook = SlowNotebook()  # type: ignore[assignment]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, 0, 0)
            nursery.start_soon(ask, 1, 1)
        assert blocks[0].header.body == blocks[1].header.body


async def test_nothing_is_signed_before_the_body_is_durable(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=0) as world:
        await world.height(2)
        world.freeze()
        leader = world.primary()
        leader.notebook.full = True
        with trio.move_on_after(60) as scope:
            await propose(leader)
        assert scope.cancelled_caught


async def test_the_best_rank_heard_is_framed(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with ranked_world(tmp_path) as world:
        judge = world.primary()
        second_author, second = await body_of_rank(world, 1, judge)
        first_author, first = await body_of_rank(world, 0, judge)
        await hear(judge, second_author, second)
        assert (await propose(judge)).header.body == second.body
        await hear(judge, first_author, first)
        assert (await propose(judge)).header.body == first.body


async def test_without_a_ranked_body_the_primary_frames_its_own(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with ranked_world(tmp_path) as world:
        judge = world.primary()
        start = trio.current_time()
        block = await propose(judge)
        assert (block.header.body.rank, block.header.body.author) == (RANK_NONE, judge.node_id)
        assert trio.current_time() - start <= 1, "the window has an end"


async def test_a_ranked_body_that_does_not_execute_is_passed_over_and_scored(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with ranked_world(tmp_path) as world:
        judge = world.primary()
        liar, honest = await body_of_rank(world, 0, judge)
        second_author, second = await body_of_rank(world, 1, judge)
        await hear(judge, liar, changed(liar, honest, state_root=Digest(bytes(32))))
        await hear(judge, second_author, second)
        assert (await propose(judge)).header.body == second.body
        assert {each.offender for each in world.hub.penalties} == {liar.node_id}


async def test_only_a_body_that_executes_binds_the_vote_of_who_heard_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with ranked_world(tmp_path) as world:
        judge, bound = world.primary(), list[Rank]()
        authoring = judge.node.authoring

        async def note(_height: Height, rank: Rank) -> None:
            bound.append(rank)

        authoring.better_body_heard = note
        authoring._parent_decided = trio.current_time()
        liar, honest = await body_of_rank(world, 0, judge)
        second_author, second = await body_of_rank(world, 1, judge)
        await hear(judge, liar, changed(liar, honest, state_root=Digest(bytes(32))))
        assert bound == [], "else no primary of views 0 to 2 could propose anything"
        await hear(judge, second_author, second)
        assert bound == [1]


async def test_a_second_body_costs_its_author_and_nobody_who_relays_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with ranked_world(tmp_path) as world:
        judge, relay = world.primary(), world.primary(1)
        liar, first = await body_of_rank(world, 0, judge)
        twin = changed(liar, first, time_milliseconds=first.body.time_milliseconds + 1)
        await hear(judge, liar, first)
        await hear(judge, relay, twin)
        with pytest.raises(PeerError) as refused:
            await hear(judge, liar, twin)
        assert refused.value.reason is RejectionReason.EQUIVOCATION
        assert (await propose(judge)).header.body == first.body


async def test_a_forged_body_costs_whoever_brings_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with ranked_world(tmp_path) as world:
        judge, relay = world.primary(), world.primary(1)
        author, honest = await body_of_rank(world, 0, judge)
        forged = replace(honest, author_signature=Signature(b"\x01" * 64))
        with pytest.raises(PeerError) as refused:
            await hear(judge, relay, forged)
        assert refused.value.reason is RejectionReason.BAD_SIGNATURE
        wrong_rank = changed(author, honest, rank=Rank(1))
        with pytest.raises(PeerError, match="does not hold rank"):
            await hear(judge, author, wrong_rank)
        unranked = await judge.node.authoring._own_body(honest.body.height, RANK_NONE)
        assert unranked is not None
        with pytest.raises(PeerError, match="without rank"):
            await hear(relay, judge, unranked)
        await hear(judge, author, honest)
        assert (await propose(judge)).header.body == honest.body


async def test_bodies_of_other_heights_are_weather(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with ranked_world(tmp_path) as world:
        judge = world.primary()
        author, honest = await body_of_rank(world, 0, judge)
        for height in (honest.body.height - 1, honest.body.height + 1):
            await hear(judge, author, changed(author, honest, height=height))
        assert (await propose(judge)).header.body.rank == RANK_NONE
        assert not world.hub.penalties


async def test_a_seat_that_slept_a_whole_epoch_proposes_what_others_accept(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=0) as world:
        sleeper = world.machines["validator-3"]
        await world.height(3)
        sleeper.kill()
        parameters = world.genesis.consensus
        epoch_blocks = parameters.cycle_blocks * parameters.epoch_cycles
        others = ("validator-0", "validator-1", "validator-2")
        await world.height(2 * epoch_blocks + 2, *others)
        assert sleeper.node_id in world.machines["validator-0"].node.chain.prospects.nodes
        world.start(sleeper)
        judge = world.machines["validator-0"].node.chain
        seat = judge.prospects.nodes.index(sleeper.node_id)
        assert not any(judge.prospects.anchors[seat])
        epoch = judge.prospects.epoch
        await world.until(lambda: _framed_by(judge, seat))
        assert judge.prospects.epoch == epoch, "not only once it has an anchor again"


def _framed_by(chain: ChainService, seat: int) -> bool:
    header = chain.head.header
    return header is not None and header.frame.primary == seat
