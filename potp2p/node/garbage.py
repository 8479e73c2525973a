"""Python's garbage collector, told what never becomes garbage."""

import gc
from typing import Final

YOUNG_MAX: Final = 5_000
"""Objects between two looks at the young ones: a block's worth, a millisecond."""


def settle_garbage() -> None:
    """
    Leave out of every later collection what a started node holds: modules, classes, codecs.

    A full collection walks all objects at once. With the 150,000 of the libraries in it, it held
    the event loop for 80 to 100 ms, longer than anything that a node does itself.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_MAX, *gc.get_threshold()[1:])
