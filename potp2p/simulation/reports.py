"""What a seed came to: light, so that the core's campaigns load no whole node for it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SeedReport:
    """What one seed came to."""

    seed: int
    faults: tuple[str, ...]
    height: int
    """Of the lowest honest machine at the end."""
    calm_height: int
    """Highest block that an honest machine had stored when the faults ended."""
    converge_seconds: float | None
    """From the calm on; None: it never converged, or broke a rule before that."""
    violations: tuple[str, ...]
    messages: int
    trace_hash: str

    @property
    def is_sound(self) -> bool:
        """Return whether nothing bad happened and something good did."""
        return not self.violations and self.converge_seconds is not None
