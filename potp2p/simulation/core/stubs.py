"""Plain facts of one height with stub signatures: what a pure committee needs of the world."""

from functools import cache
from typing import Final

from potp2p.foundation.types import Digest, Epoch, Height, NodeId, Signature, ValidatorIndex
from potp2p.protocol.consensus.events import HeightStarted
from potp2p.protocol.consensus.view_change import Timing
from potp2p.protocol.wire.blocks import Seal

TIMING: Final = Timing(block_interval=500, view_timeout=3_000, view_step=2_000, view_cap=30_000)
"""Timers of the testnet (DESIGN section 13) with the devnet's interval."""
BRISK: Final = Timing(block_interval=500, view_timeout=300, view_step=200, view_cap=3_000)
"""Timers hardly longer than the network's delays: many views in little time."""
EPOCH: Final = Epoch(0)
FIRST_HEIGHT: Final = Height(1)
GENESIS_HEAD: Final = Digest(bytes(32))


@cache
def stub_signature(signer: int) -> Signature:
    """Stand for a signature of a seat; the machine never looks inside."""
    return Signature(bytes([signer]) * 64)


@cache
def nodes(size: int) -> tuple[NodeId, ...]:
    """Return the validators of a committee in seat order."""
    return tuple(NodeId(bytes([2, *bytes(31), index])) for index in range(size))


@cache
def _seats(order: tuple[int, ...]) -> tuple[ValidatorIndex, ...]:
    return tuple(ValidatorIndex(seat) for seat in order)


def start(  # noqa: PLR0913  # what a height is made of
    size: int,
    seat: int | None,
    *,
    height: int = FIRST_HEIGHT,
    head: Digest = GENESIS_HEAD,
    head_seal: Seal | None = None,
    primaries: tuple[int, ...] | None = None,
) -> HeightStarted:
    """Return the facts of a height whose view v is led by seat v, or by the order given."""
    return HeightStarted(
        Height(height),
        EPOCH,
        head,
        nodes(size),
        None if seat is None else ValidatorIndex(seat),
        _seats(tuple(range(size)) if primaries is None else primaries),
        head_seal,
    )
