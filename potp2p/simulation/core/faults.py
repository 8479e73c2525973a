"""What may go wrong in a committee before it calms down, and a random choice of it."""

from dataclasses import dataclass
from random import Random

from potp2p.foundation.committee import faulty_max


@dataclass(frozen=True, slots=True)
class Faults:
    """What may go wrong before `calm_at`, in virtual milliseconds and probabilities."""

    calm_at: int = 0
    loss: float = 0.0
    duplication: float = 0.0
    latency: tuple[int, int] = (1, 100)
    partitions: bool = False
    """Halves, single members and one-way cuts, a few seconds each."""
    clogs: bool = False
    """Links that stand still for up to 5 s and then deliver everything at once."""
    crashes: bool = False
    """Memory is lost, and what was written but not synced, in part."""
    pauses: bool = False
    """Processes that stand still for a while and then handle everything that came."""
    skew: bool = False
    """Clocks that run a fifth too fast or too slow, for ever."""
    brisk: bool = False
    """Timers that run out while letters are still on their way; they grow until they do not."""
    silent: frozenset[int] = frozenset()
    """Seats that never speak."""
    twins: frozenset[int] = frozenset()
    """Seats with a second instance under the same key."""
    liars: frozenset[int] = frozenset()
    """Seats that lie with a single instance."""
    liar: str = ""
    """How the seats of `liars` and `twins` lie, by name in `liars.LIARS`."""
    skippers: frozenset[int] = frozenset()
    """Seats that, as primaries, propose their own body whatever they were sent."""
    authors: bool = False
    """Ranked bodies come: early, late, to few, twice, or broken."""
    forgetful: bool = False
    """At each height some hold an overdue statement and refuse what lacks it; others lack it."""

    @property
    def untrusted(self) -> frozenset[int]:
        """Seats whose words bind nobody's honour."""
        return self.twins | self.liars


def draw_faults(size: int, random: Random, liars: tuple[str, ...]) -> Faults:
    """Return a random subset of all faults (swarm testing), never beyond what must be survived."""

    def some(chance: float) -> bool:
        return random.random() < chance

    liable = frozenset(random.sample(range(size), faulty_max(size)))
    kind = random.random()
    return Faults(
        calm_at=random.randint(3_000, 30_000),
        loss=random.choice((0.0, 0.0, 0.02, 0.1, 0.3)),
        duplication=random.choice((0.0, 0.0, 0.1, 0.4)),
        latency=random.choice(((1, 100), (1, 100), (1, 1_000))),
        partitions=some(0.4),
        clogs=some(0.2),
        crashes=some(0.4),
        pauses=some(0.2),
        skew=some(0.2),
        brisk=some(0.3),
        silent=liable if kind < 0.15 else frozenset(),
        twins=liable if 0.7 < kind < 0.85 else frozenset(),
        liars=liable if kind >= 0.85 else frozenset(),
        liar=random.choice(liars) if kind > 0.77 else "",
        authors=some(0.2),
        forgetful=some(0.25),
    )
