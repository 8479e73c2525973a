"""
The base fee: a price per byte of paid transactions, burned, that follows how full blocks are.

It moves by an eighth per block at most, up above a half-full paid lane and down below (EIP-1559 in
integers). So who would fill every block pays twice as much every six blocks, while an honest fee
with some headroom stays enough for a while. What it burns buys no lottery weight: only what tasks
burn does, else whoever sends money to himself would win blocks with it.
"""

from typing import Final

from potp2p.foundation.limits import BASE_FEE_MAX
from potp2p.foundation.types import Amount
from potp2p.protocol.wire.transactions import Action, Unbond

PPM: Final = 1_000_000
TARGET: Final = PPM // 2
"""Of the paid lane; what is bought beyond it makes the next block dearer."""
STEP_DIVISOR: Final = 8
HEADROOM_BLOCKS: Final = 9
"""Full blocks that a quoted fee outlasts: (9/8)^9 is just below three."""


def next_base_fee(base_fee: int, fullness: int, floor: int) -> Amount:
    """
    Return the price of the next block's bytes after one whose paid lane was so full, in ppm.

    A network with a floor of zero has no base fee: nothing grows from zero.
    """
    assert 0 <= fullness <= PPM, fullness
    distance = base_fee * abs(fullness - TARGET)
    step = max(1, distance // (TARGET * STEP_DIVISOR)) if distance else 0
    moved = base_fee + step if fullness > TARGET else base_fee - step
    return Amount(min(max(moved, floor), max(BASE_FEE_MAX, floor)))


def base_fee_of(action: Action, base_fee: int, size: int) -> Amount:
    """
    Return what a paid transaction of so many bytes has to burn.

    A way out is free: who has nothing but its bond could never ask for it back. It costs a bond,
    and an account may have few of them on their way.
    """
    return Amount(0 if isinstance(action, Unbond) else base_fee * size)


def quoted_fee(base_fee: int, size: int) -> Amount:
    """Return a fee that is enough for the next blocks, even if each of them is full."""
    highest = base_fee
    for _ in range(HEADROOM_BLOCKS):
        highest = next_base_fee(highest, PPM, base_fee)
    # The tip that is left when nothing changes is a third of it or more; never nothing.
    return Amount(highest * size + size)
