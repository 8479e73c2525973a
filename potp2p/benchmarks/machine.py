"""The machine that a figure belongs to."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from potp2p.processes.documents import Document


@dataclass(frozen=True, slots=True)
class Machine:
    """What a reader needs to compare figures; the load tells who else was working."""

    system: str
    python: str
    processor: str | None
    cores: int
    memory_bytes: int
    load_before: tuple[float, float, float]
    """Averages of 1, 5 and 15 minutes."""

    @classmethod
    def look(cls) -> "Machine":
        """Look before the first process is started."""
        return cls(
            system=platform.platform(terse=True),
            python=platform.python_version(),
            processor=_processor(),
            cores=len(os.sched_getaffinity(0)),
            memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            load_before=_load(),
        )

    def document(self) -> Document:
        """Return it with the load of now beside that of then."""
        return {
            "system": self.system,
            "python": self.python,
            "processor": self.processor,
            "cores": self.cores,
            "memory_bytes": self.memory_bytes,
            "load_before": list(self.load_before),
            "load_after": list(_load()),
        }


def _load() -> tuple[float, float, float]:
    one, five, fifteen = (round(each, 2) for each in os.getloadavg())
    return one, five, fifteen


def _processor() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return None
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, None)
