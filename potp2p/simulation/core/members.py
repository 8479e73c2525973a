"""One process of a simulated committee: what its disk keeps and what a crash takes."""

from dataclasses import dataclass, field

from potp2p.foundation.types import Digest
from potp2p.protocol.consensus.effects import CheckBlock
from potp2p.protocol.consensus.events import LoggedEvent, Timer
from potp2p.protocol.consensus.machine import Replica
from potp2p.protocol.wire.blocks import Seal
from potp2p.protocol.wire.consensus import Statement
from potp2p.simulation.core.letters import Letter
from potp2p.simulation.core.stubs import GENESIS_HEAD, TIMING


@dataclass
class Member:
    """One process: a seat, a disk and what a crash takes."""

    name: int
    seat: int
    is_honest: bool
    replica: Replica = field(default_factory=lambda: Replica(TIMING))
    log: list[LoggedEvent] = field(default_factory=list[LoggedEvent])
    synced: int = 0
    guard: tuple[tuple[int, int, int], Statement] | None = None
    held: set[Digest] = field(default_factory=set[Digest])
    chain: list[Seal] = field(default_factory=list[Seal])
    life: int = 0
    is_up: bool = True
    timers: dict[Timer, int] = field(default_factory=dict[Timer, int])
    early: list[tuple[int, Letter]] = field(default_factory=list[tuple[int, Letter]])
    awaited: dict[Digest, CheckBlock] = field(default_factory=dict[Digest, CheckBlock])
    ranks: dict[int, int] = field(default_factory=dict[int, int])
    fetches: int = 0

    @property
    def height(self) -> int:
        """Return the height in work."""
        return len(self.chain) + 1

    @property
    def head(self) -> Digest:
        """Return the hash of the last final block."""
        return self.chain[-1].block_hash if self.chain else GENESIS_HEAD
