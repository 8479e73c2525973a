"""What may lie in the inbox of the consensus service."""

from dataclasses import dataclass
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


Item: TypeAlias = Heard | TimerFired | BlockChecked | BetterBodyHeard | Offered | Adopted
