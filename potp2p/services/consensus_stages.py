"""Moments of a height that somebody may want to time."""

from collections.abc import Callable
from enum import Enum, unique

from potp2p.protocol.wire.blocks import Block, Seal


@unique
class Stage(Enum):
    """How far a height has come on this validator."""

    PROPOSED = "proposed"
    """Our own proposal leaves for the first time."""
    DECIDED = "decided"
    """A quorum of commits and the block are here."""
    STORED = "stored"
    """The block and its state are durable."""


Observe = Callable[[Stage, Block, Seal | None], None]
"""Told of a stage; an observer takes notes and nothing else. No seal before the decision."""


def ignore_stage(stage: Stage, block: Block, seal: Seal | None) -> None:
    """Let nobody time us."""
