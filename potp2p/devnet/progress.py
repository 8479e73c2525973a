"""What is known about a run so far: changed by the run, shown by a face."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

LINES_KEPT: Final = 200


@dataclass(slots=True)
class NodeView:
    """One node as its process and its status show it."""

    name: str
    role: str
    pid: int | None = None
    exit_code: int | None = None
    state: str | None = None
    height: int | None = None
    peers: int | None = None
    accepted: int | None = None
    earned: str | None = None
    roots: dict[int, str] = field(default_factory=dict[int, str])


@dataclass(slots=True)
class Progress:
    """The whole run."""

    started_at: float
    """On trio's clock."""
    nodes: dict[str, NodeView]
    stage: str = "starting"
    task: str | None = None
    task_status: str | None = None
    round: int = 0
    rounds: int | None = None
    losses: list[float] = field(default_factory=list[float])
    escrow: str | None = None
    lines: deque[tuple[float, str]] = field(
        default_factory=lambda: deque[tuple[float, str]](maxlen=LINES_KEPT)
    )
    """Seconds since the start, and what happened."""

    @property
    def height(self) -> int | None:
        """Return the greatest height that any node shows."""
        return max(
            (node.height for node in self.nodes.values() if node.height is not None), default=None
        )
