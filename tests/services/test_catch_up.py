"""Ranges from several peers: honest or not, the chain grows, and liars pay for it alone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from potp2p.foundation.errors import OperatingError
from potp2p.foundation.limits import (
    BATCH_BLOCKS_MAX,
    BLOCKS_REQUEST_SECONDS,
    HEDGE_SECONDS,
    RANGES_PER_PEER_MAX,
)
from potp2p.foundation.types import Height, NodeId
from potp2p.protocol.ledger.genesis import chain_id_of, genesis_outcome
from potp2p.protocol.wire.exchange import SealedBlock
from potp2p.protocol.wire.schema import encode
from potp2p.services.sealed import join_sealed
from potp2p.simulation.network import MemoryHub
from potp2p.simulation.transits import Transit
from tests.doubles.archives import (
    LIES,
    Altering,
    Archive,
    CountingStore,
    Empty,
    Halving,
    MadeChain,
    Misplacing,
    Newcomer,
    Overflowing,
    Stalling,
    Teasing,
    empty_chain,
    made_chain,
    planted,
)

BLOCKS = 230
"""Three epochs of the devnet, so that seats must be known from blocks before them."""


def _soon(_transit: Transit) -> float:
    return 0.05


@pytest.fixture
async def chain(autojump_clock: MockClock) -> MadeChain:
    """A chain that tests share."""
    return await made_chain(BLOCKS)


@asynccontextmanager
async def following(newcomer: Newcomer) -> AsyncIterator[None]:
    """Run catch-up and hub as long as the context lasts."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(newcomer.hub.run)
        nursery.start_soon(newcomer.sync.run)
        yield
        nursery.cancel_scope.cancel()


def newcomer_of(chain: MadeChain) -> Newcomer:
    """Return a node that knows the genesis of a chain only."""
    return Newcomer(chain.genesis, MemoryHub(delay_seconds=_soon), planted(chain.genesis))


def offenders(newcomer: Newcomer) -> set[bytes]:
    """Return whom it scored."""
    return {each.offender for each in newcomer.hub.penalties}


async def test_a_newcomer_follows_three_epochs_from_two_peers_at_once(
    chain: MadeChain, autojump_clock: MockClock
) -> None:
    newcomer = newcomer_of(chain)
    archives = [Archive(name, chain, newcomer.hub) for name in ("one", "two")]
    async with following(newcomer):
        await newcomer.until(BLOCKS)
    newcomer.assert_follows(chain)
    assert all(len(each.asked) >= 2 for each in archives), "one peer did all the work"
    assert not newcomer.hub.penalties
    served = sum(request.count for each in archives for request in each.asked)
    assert served < 2 * BLOCKS, "blocks were fetched over and over"


async def test_requests_on_their_way_are_bounded_and_overlap_in_time(
    chain: MadeChain, autojump_clock: MockClock
) -> None:
    newcomer = newcomer_of(chain)
    most = 0

    class Counting(Archive):
        open: int = 0

        async def answer(self, peer: NodeId, body: bytes) -> bytes:
            nonlocal most
            self.open += 1
            most = max(most, self.open)
            await trio.sleep(0.2)
            try:
                return await Archive.answer(self, peer, body)
            finally:
                self.open -= 1

    Counting("one", chain, newcomer.hub)
    async with following(newcomer):
        await newcomer.until(BLOCKS)
    assert most == RANGES_PER_PEER_MAX
    newcomer.assert_follows(chain)


async def test_many_blocks_share_one_transaction_and_each_batch_is_bounded(
    chain: MadeChain, autojump_clock: MockClock
) -> None:
    store = CountingStore()
    store.plant(genesis_outcome(chain.genesis, chain_id_of(chain.genesis)))
    newcomer = Newcomer(chain.genesis, MemoryHub(delay_seconds=_soon), store)
    Archive("one", chain, newcomer.hub)
    async with following(newcomer):
        await newcomer.until(BLOCKS)
    assert sum(store.sizes) == BLOCKS
    assert max(store.sizes) <= BATCH_BLOCKS_MAX
    assert len(store.sizes) < BLOCKS // 5, "a transaction for every few blocks"


@pytest.mark.parametrize("at", [0, -1])
@pytest.mark.parametrize("lie", LIES, ids=str)
async def test_a_block_that_no_quorum_sealed_costs_its_bearer_and_nobody_else(
    chain: MadeChain, lie: str, at: int, autojump_clock: MockClock
) -> None:
    newcomer = newcomer_of(chain)
    liar = Altering("liar", chain, newcomer.hub, change=LIES[lie], at=at)
    Archive("honest", chain, newcomer.hub)
    async with following(newcomer):
        await newcomer.until(BLOCKS)
    newcomer.assert_follows(chain)
    assert liar.asked
    assert offenders(newcomer) == {liar.node}


@pytest.mark.parametrize("kind", [Misplacing, Overflowing], ids=lambda kind: kind.__name__)
async def test_an_answer_to_another_question_costs_its_bearer(
    chain: MadeChain, kind: type[Archive], autojump_clock: MockClock
) -> None:
    newcomer = newcomer_of(chain)
    liar = kind("liar", chain, newcomer.hub)
    Archive("honest", chain, newcomer.hub)
    async with following(newcomer):
        await newcomer.until(BLOCKS)
    newcomer.assert_follows(chain)
    assert offenders(newcomer) == {liar.node}


async def test_a_short_answer_may_not_be_longer_than_asked_either(
    chain: MadeChain, autojump_clock: MockClock
) -> None:
    newcomer = newcomer_of(chain)
    liar = Overflowing("liar", chain, newcomer.hub, claim=Height(10))
    async with following(newcomer):
        await newcomer.sync.heights.raised()
        Archive("honest", chain, newcomer.hub)
        await newcomer.until(BLOCKS)
    assert (liar.asked[0].first, liar.asked[0].count) == (1, 10)
    assert offenders(newcomer) == {liar.node}


async def test_blocks_of_another_network_are_refused(
    chain: MadeChain, autojump_clock: MockClock
) -> None:
    other = await made_chain(BLOCKS, payers=21)
    newcomer = newcomer_of(chain)
    liar = Archive("liar", chain, newcomer.hub)
    liar.chain = MadeChain(chain.genesis, other.maker, other.store, other.encoded, other.made)
    Archive("honest", chain, newcomer.hub)
    async with following(newcomer):
        await newcomer.until(BLOCKS)
    newcomer.assert_follows(chain)
    assert offenders(newcomer) == {liar.node}


async def test_two_liars_of_three_delay_but_do_not_stop(
    chain: MadeChain, autojump_clock: MockClock
) -> None:
    newcomer = newcomer_of(chain)
    liars = [
        Altering("liar", chain, newcomer.hub, Height(1 << 30), change=LIES["a seal of too few"]),
        Stalling("stalling", chain, newcomer.hub, claim=Height(1 << 40)),
    ]
    honest = Archive("honest", chain, newcomer.hub)
    async with following(newcomer):
        seconds = await newcomer.until(BLOCKS)
    newcomer.assert_follows(chain)
    assert seconds < 2 * BLOCKS_REQUEST_SECONDS
    assert offenders(newcomer) <= {each.node for each in liars}
    assert honest.node not in offenders(newcomer)


async def test_a_silent_peer_costs_a_moment_and_then_the_others_are_asked(
    chain: MadeChain, autojump_clock: MockClock
) -> None:
    newcomer = newcomer_of(chain)
    silent = Stalling("silent", chain, newcomer.hub)
    Archive("honest", chain, newcomer.hub)
    async with following(newcomer):
        seconds = await newcomer.until(BLOCKS)
    assert silent.asked
    assert seconds < HEDGE_SECONDS + 3
    assert silent.node not in newcomer.sync.heights.above(Height(1)), "it would be asked again"
    newcomer.assert_follows(chain)
    assert not newcomer.hub.penalties, "slow is no lie"


async def test_a_claimed_height_without_blocks_is_dropped_and_sync_goes_on(
    chain: MadeChain, autojump_clock: MockClock
) -> None:
    newcomer = newcomer_of(chain)
    liars = [Empty(f"liar {each}", chain, newcomer.hub, claim=Height(1 << 40)) for each in range(3)]
    Archive("honest", chain, newcomer.hub)
    async with following(newcomer):
        await newcomer.until(BLOCKS)
        assert newcomer.sync.target_height == BLOCKS, "a claim that was not kept is still believed"
    newcomer.assert_follows(chain)
    assert all(each.asked for each in liars)


async def test_half_a_range_for_ever_still_leads_to_the_end(
    chain: MadeChain, autojump_clock: MockClock
) -> None:
    newcomer = newcomer_of(chain)
    halving = Halving("halving", chain, newcomer.hub)
    async with following(newcomer):
        await newcomer.until(30)
        Archive("honest", chain, newcomer.hub)
        await newcomer.until(BLOCKS)
    newcomer.assert_follows(chain)
    assert not newcomer.hub.penalties
    assert len(halving.asked) < BLOCKS // 4, "it was asked although better peers were there"


async def test_the_last_blocks_are_asked_of_two_peers_at_once(
    chain: MadeChain, autojump_clock: MockClock
) -> None:
    newcomer = newcomer_of(chain)
    for height in range(1, BLOCKS - 1):
        await newcomer.chain.commit(chain.made[height - 1].block, chain.made[height - 1].seal)
    archives = [
        Stalling("a silent one", chain, newcomer.hub),
        Archive("honest", chain, newcomer.hub),
    ]
    async with following(newcomer):
        seconds = await newcomer.until(BLOCKS)
    assert all(each.asked for each in archives)
    assert seconds < HEDGE_SECONDS, "it waited for one answer before it asked for the other"


async def test_a_node_away_for_one_block_gets_that_block(
    chain: MadeChain, autojump_clock: MockClock
) -> None:
    newcomer = newcomer_of(chain)
    for height in range(1, BLOCKS):
        await newcomer.chain.commit(chain.made[height - 1].block, chain.made[height - 1].seal)
    archive = Archive("honest", chain, newcomer.hub)
    async with following(newcomer):
        await newcomer.until(BLOCKS)
    assert [(each.first, each.count) for each in archive.asked] == [(BLOCKS, 1)]
    newcomer.assert_follows(chain)


async def test_a_replica_is_taken_from_its_work_only_while_blocks_come(
    chain: MadeChain, autojump_clock: MockClock
) -> None:
    left: list[float] = []
    back: list[float] = []

    @asynccontextmanager
    async def away() -> AsyncIterator[None]:
        await trio.lowlevel.checkpoint()
        left.append(trio.current_time())
        yield
        back.append(trio.current_time())

    newcomer = Newcomer(
        chain.genesis, MemoryHub(delay_seconds=_soon), planted(chain.genesis), away=away
    )
    Stalling("stalling", chain, newcomer.hub)
    async with following(newcomer):
        await trio.sleep(BLOCKS_REQUEST_SECONDS / 2)
        assert not left, "a mere claim took it from its work"
        Teasing("teasing", chain, newcomer.hub)
        await newcomer.until(5)
        await trio.sleep(HEDGE_SECONDS + 1)
        assert len(back) == len(left) == 1
        assert newcomer.chain.head.height == 5
        Archive("honest", chain, newcomer.hub)
        await newcomer.until(BLOCKS)
    assert len(left) == 2


async def test_a_crash_in_the_middle_leaves_whole_blocks_with_their_state(
    chain: MadeChain, autojump_clock: MockClock
) -> None:
    newcomer = newcomer_of(chain)
    Archive("honest", chain, newcomer.hub)
    for stop in (20, 90, 150):
        async with following(newcomer):
            await newcomer.until(stop)
        newcomer.assert_follows(chain)
        head = newcomer.chain.head.height
        newcomer.hub.detach(newcomer.keys.node_id)
        newcomer = Newcomer(chain.genesis, newcomer.hub, newcomer.store)
        assert newcomer.chain.head.height == head
    async with following(newcomer):
        await newcomer.until(BLOCKS)
    newcomer.assert_follows(chain)


async def test_news_is_not_judged_while_the_state_is_far_behind(
    chain: MadeChain, autojump_clock: MockClock
) -> None:
    newcomer = newcomer_of(chain)
    Archive("one", chain, newcomer.hub)
    async with following(newcomer):
        await newcomer.until(64)
        assert newcomer.chain.is_behind
        await newcomer.until(BLOCKS)
        await trio.sleep(1)
        assert not newcomer.chain.is_behind


@pytest.mark.parametrize("kind", [Stalling, Empty], ids=lambda kind: kind.__name__)
async def test_a_mere_claim_makes_nobody_deaf_to_what_is_new(
    kind: type[Archive], chain: MadeChain, autojump_clock: MockClock
) -> None:
    newcomer = newcomer_of(chain)
    for made in chain.made[:5]:
        await newcomer.chain.commit(made.block, made.seal)
    liar = kind("liar", chain, newcomer.hub, claim=Height(1 << 40))
    async with following(newcomer):
        for _ in range(200):
            await trio.sleep(0.1)
            assert not newcomer.chain.is_behind
    assert liar.asked


async def test_a_sealed_block_that_does_not_execute_here_stops_the_node(
    autojump_clock: MockClock,
) -> None:
    chain = empty_chain()
    await chain.extend(3)
    made = chain.maker.make(1)
    lie = LIES["another state root"](SealedBlock(made.block, made.seal))
    seal = chain.maker.seal(lie.block.header)
    chain.encoded.append(join_sealed(encode(lie.block), encode(seal)))
    newcomer = newcomer_of(chain)
    Archive("honest", chain, newcomer.hub)
    with pytest.RaisesGroup(
        pytest.RaisesExc(OperatingError, match="its state root is not reproduced"),
        flatten_subgroups=True,
    ):
        async with following(newcomer):
            await newcomer.until(4)
    head = newcomer.store.head()
    assert head is not None
    assert head.height <= 3, "a state that was not reproduced is stored"


async def test_a_sealed_block_of_another_past_stops_the_node(autojump_clock: MockClock) -> None:
    chain, fork = empty_chain(), empty_chain()
    await chain.extend(3)
    await fork.extend(1, transactions=2)
    await fork.extend(3)
    newcomer = newcomer_of(chain)
    for made in chain.made:
        await newcomer.chain.commit(made.block, made.seal)
    Archive("fork", fork, newcomer.hub)
    with pytest.RaisesGroup(
        pytest.RaisesExc(OperatingError, match="follows another history"), flatten_subgroups=True
    ):
        async with following(newcomer):
            await newcomer.until(4)


@pytest.mark.long
async def test_a_node_that_starts_from_nothing_follows_ten_thousand_blocks(
    autojump_clock: MockClock,
) -> None:
    chain = empty_chain()
    await chain.extend(10_000)
    newcomer = newcomer_of(chain)
    for name in ("one", "two", "three"):
        Archive(name, chain, newcomer.hub)
    Altering("liar", chain, newcomer.hub, change=LIES["a forged signature"])
    async with following(newcomer):
        await newcomer.until(10_000, seconds=3_600)
    newcomer.assert_follows(chain)
