"""The window of catch-up: lowest gaps first, nothing twice, never more than its bounds."""

from potp2p.foundation.limits import (
    BLOCKS_AHEAD_BYTES_MAX,
    BLOCKS_AHEAD_MAX,
    MESSAGE_BYTES_MAX,
    RANGE_BYTES,
    RANGES_ASKED_MAX,
)
from potp2p.foundation.types import Height, NodeId
from potp2p.protocol.wire.exchange import BLOCKS_PER_REQUEST_MAX
from potp2p.services.block_window import AskedRange, BlockWindow
from potp2p.services.sealed import SealedArrival
from tests.doubles.archives import MadeChain, made_chain

FAR = Height(1 << 40)
ONE, TWO = NodeId(b"\x02" * 33), NodeId(b"\x03" * 33)


def arrival(chain: MadeChain, height: int, source: NodeId = ONE, *, size: int = 0) -> SealedArrival:
    """Return a made block as if a peer had sent it, as heavy as told."""
    made = chain.made[height - 1]
    return SealedArrival(made.block, made.seal, bytes(size), b"", source)


def ask(window: BlockWindow, peer: NodeId = ONE, last: Height = FAR) -> AskedRange | None:
    """Put the next range on its way."""
    wanted = window.missing(last)
    if wanted is None:
        return None
    asked = AskedRange(peer, *wanted, since=0.0)
    window.asked.append(asked)
    return asked


def test_ranges_follow_each_other_and_their_number_is_bounded() -> None:
    window = BlockWindow(Height(5))
    asked = [ask(window) for _ in range(RANGES_ASKED_MAX + 1)]
    assert asked.pop() is None
    heights = [height for each in asked if each is not None for height in each.heights]
    assert heights == list(range(5, 5 + RANGES_ASKED_MAX * BLOCKS_PER_REQUEST_MAX))


def test_nothing_beyond_what_peers_claim_is_asked_for() -> None:
    window = BlockWindow(Height(5))
    assert window.missing(Height(7)) == (5, 3)
    assert window.missing(Height(4)) is None


async def test_a_hole_is_asked_for_before_what_lies_above_it() -> None:
    chain = await made_chain(230)
    window = BlockWindow(Height(1))
    for height in (1, 2, 4, 5):
        window.put(arrival(chain, height))
    assert window.missing(FAR) == (3, 1)


async def test_what_lies_too_far_ahead_is_neither_asked_for_nor_kept() -> None:
    chain = await made_chain(230)
    window = BlockWindow(Height(1))
    window.advance(Height(0))
    window.first = Height(230 - BLOCKS_AHEAD_MAX)
    window.put(arrival(chain, 230, size=10))
    assert window.held_bytes == 0
    window.first = Height(230)
    window.put(arrival(chain, 229, size=10))
    assert window.held_bytes == 0
    window.put(arrival(chain, 230, size=10))
    window.put(arrival(chain, 230, TWO, size=20))
    assert window.held_bytes == 10, "a copy was counted or took the place of the first"


async def test_heavy_blocks_make_small_ranges_and_stop_asking_in_time() -> None:
    chain = await made_chain(230)
    window = BlockWindow(Height(1))
    size = MESSAGE_BYTES_MAX - 1
    height = 2
    while ask(window) is not None:
        window.asked.clear()
        window.put(arrival(chain, height, size=size))
        height += 1
        window.asked.append(AskedRange(TWO, Height(1), 1, 0.0))
        assert height < 100, "there is no end to it"
    assert window.held_bytes + 2 * MESSAGE_BYTES_MAX > BLOCKS_AHEAD_BYTES_MAX
    assert window.held_bytes <= BLOCKS_AHEAD_BYTES_MAX
    window.asked.clear()
    assert window.missing(FAR) == (1, max(1, RANGE_BYTES // size)), "the head starves"


async def test_all_that_a_liar_brought_is_forgotten_and_wanted_again() -> None:
    chain = await made_chain(230)
    window = BlockWindow(Height(1))
    for height in range(1, 7):
        window.put(arrival(chain, height, ONE if height % 2 else TWO, size=5))
    window.forget(TWO)
    assert window.held_bytes == 15
    assert window.missing(Height(6)) == (2, 1)


async def test_the_chain_moving_on_frees_what_lies_below() -> None:
    chain = await made_chain(230)
    window = BlockWindow(Height(1))
    for height in range(1, 7):
        window.put(arrival(chain, height, size=5))
    window.advance(Height(4))
    assert window.held_bytes == 10
    ready = window.next()
    assert ready is not None
    assert ready.height == 5


def test_only_the_request_that_all_wait_for_is_overdue() -> None:
    window = BlockWindow(Height(1))
    first, second = ask(window), ask(window, TWO)
    assert first is not None
    assert window.overdue(before=-1.0) is None
    assert window.overdue(before=0.0) == first
    window.asked = [each for each in window.asked if each == second]
    assert window.overdue(before=0.0) is None
