"""What may lie in the inbox of the consensus service."""

from dataclasses import dataclass, field
from typing import TypeAlias

import trio

from potp2p.network.ports import Heard
from potp2p.protocol.consensus.events import (
    BetterBodyHeard,
    BlockChecked,
    BlockOffered,
    TimerFired,
)
from potp2p.protocol.wire.blocks import Block, Seal
from potp2p.services.consensus_blocks import ShelvedBlock


@dataclass(frozen=True, slots=True)
class Offered:
    """Our own choice for a view, with its block."""

    event: BlockOffered
    kept: ShelvedBlock


@dataclass(frozen=True, slots=True)
class Adopted:
    """A sealed block from catch-up, verified there."""

    block: Block
    seal: Seal
    done: trio.Event


@dataclass(frozen=True, slots=True)
class Absence:
    """A wish to store sealed blocks without the replica: it leaves its work until that is over."""

    left: trio.Event = field(default_factory=trio.Event)
    """Set by the replica: from now on it stores nothing."""
    over: trio.Event = field(default_factory=trio.Event)
    """Set by whoever asked: the head may have moved."""


Item: TypeAlias = Absence | Heard | TimerFired | BlockChecked | BetterBodyHeard | Offered | Adopted
