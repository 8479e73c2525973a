"""What may go wrong in a committee before it calms down."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Faults:
    """What may go wrong before `calm_at`, in virtual milliseconds and probabilities."""

    calm_at: int = 0
    loss: float = 0.0
    duplication: float = 0.0
    latency: tuple[int, int] = (1, 100)
    partitions: bool = False
    crashes: bool = False
    silent: frozenset[int] = frozenset()
    """Seats that never speak."""
    twins: frozenset[int] = frozenset()
    """Seats with a second instance under the same key."""
    authors: bool = False
    """Ranked bodies arrive early, late or nowhere, differently at each member."""
