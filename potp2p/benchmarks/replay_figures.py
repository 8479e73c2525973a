"""What a replay campaign found: per task and kind of measure, against the task's class."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from potp2p.processes.documents import Document
from potp2p.protocol.verification.tolerance import VOID_FACTOR, Tolerance
from potp2p.protocol.verification.verdict import PPM, Measure, MeasureKind, Verdict, worst_of
from potp2p.protocol.wire.tasks import TaskRules

COUNTED: dict[Verdict, str] = {
    Verdict.PASS: "passed",
    Verdict.VOID: "void",
    Verdict.FAIL: "failed",
}
SHARE_SAFE_MAX = 0.5
"""Of a tolerance: half of it is left for devices that were not measured here."""


@dataclass(slots=True)
class Findings:
    """Replays of one task, or of one way to cheat on it."""

    verdicts: Counter[Verdict] = field(default_factory=Counter[Verdict])
    measured: dict[MeasureKind, list[int]] = field(
        default_factory=lambda: defaultdict[MeasureKind, list[int]](list)
    )
    tolerated: dict[MeasureKind, int] = field(default_factory=dict[MeasureKind, int])
    shares: list[float] = field(default_factory=list[float])
    """The worst measure of each replay, in tolerances."""
    pairs: dict[tuple[str, str], float] = field(default_factory=dict[tuple[str, str], float])
    """The worst share of a pair of rigs."""
    instabilities: list[int] = field(default_factory=list[int])
    """How far an auditor's own two replays lie apart, in millionths of a tolerance."""
    excused: int = 0
    """Replays that are void since those lie too far apart: they would have failed."""

    @property
    def replays(self) -> int:
        """Return how many there were."""
        return self.verdicts.total()

    @property
    def share_max(self) -> float:
        """Return the worst measure of all replays, in tolerances."""
        return max(self.shares, default=0.0)

    def is_safe(self, tolerance: Tolerance) -> bool:
        """Tell whether every replay passed with half of its tolerance left, and none drifted."""
        rejected = self.replays - self.verdicts[Verdict.PASS]
        is_stable = max(self.instabilities, default=0) <= tolerance.unstable
        return not rejected and self.share_max <= SHARE_SAFE_MAX and is_stable

    def add(self, measures: list[Measure], pair: tuple[str, str]) -> None:
        """Note one replay, every measure of it."""
        decides = worst_of(measures)
        self.verdicts[decides.verdict] += 1
        self.excused += decides.is_excused
        worst: dict[MeasureKind, int] = {}
        for each in measures:
            worst[each.kind] = max(worst.get(each.kind, 0), each.measured)
            self.tolerated[each.kind] = each.tolerance
        for kind, value in worst.items():
            self.measured[kind].append(value)
        share = max(share_of(each) for each in measures)
        self.shares.append(share)
        self.pairs[pair] = max(self.pairs.get(pair, 0.0), share)

    def document(self) -> Document:
        """Return the figures."""
        return {
            "replays": self.replays,
            **{name: self.verdicts[verdict] for verdict, name in COUNTED.items()},
            "share_max": round(self.share_max, 4),
            "share_p99": round(quantile(self.shares, 99), 4),
            "excused": self.excused,
            "instability": self._instability(),
            "measures": {
                kind.name.lower(): {
                    "p50": quantile(values, 50),
                    "p99": quantile(values, 99),
                    "max": max(values),
                    "tolerance": self.tolerated[kind],
                }
                for kind, values in sorted(self.measured.items())
            },
            "pairs": [
                {"trained": trained, "replayed": replayed, "share_max": round(share, 4)}
                for (trained, replayed), share in sorted(self.pairs.items())
            ],
        }

    def cheat_document(self) -> Document:
        """Return how a way to cheat fared: caught is failed, void is unpaid."""
        caught = self.verdicts[Verdict.FAIL]
        return {
            "replays": self.replays,
            **{name: self.verdicts[verdict] for verdict, name in COUNTED.items()},
            "catch_rate": round(caught / max(1, self.replays), 4),
            "share_min": round(min(self.shares), 3),
            "share_p50": round(quantile(self.shares, 50), 3),
            "exponents_alone": self._caught_by_exponents(),
            "excused": self.excused,
            "instability": self._instability(),
        }

    def _instability(self) -> Document:
        """Return how far own replays lie apart, in tolerances."""
        return {
            "replays": len(self.instabilities),
            "min": min(self.instabilities, default=0) / PPM,
            "p50": quantile(self.instabilities, 50) / PPM,
            "max": max(self.instabilities, default=0) / PPM,
        }

    def _caught_by_exponents(self) -> int:
        """Return how many failed by a chunk's exponent and nothing else."""
        exponents = self.measured[MeasureKind.EXPONENTS]
        pairs = zip(
            self.measured[MeasureKind.OVERALL], self.measured[MeasureKind.TENSOR], strict=True
        )
        limits = [
            VOID_FACTOR * self.tolerated[kind] for kind in (MeasureKind.OVERALL, MeasureKind.TENSOR)
        ]
        return sum(
            unfit and overall <= limits[0] and tensor <= limits[1]
            for unfit, (overall, tensor) in zip(exponents, pairs, strict=True)
        )


def share_of(measure: Measure) -> float:
    """Return a measure in tolerances; what tolerates nothing counts as beyond failing."""
    if measure.tolerance:
        return measure.measured / measure.tolerance
    return VOID_FACTOR + 1.0 if measure.measured else 0.0


def quantile(values: list[int] | list[float], percent: int) -> float:
    """Return the smallest value that so many percent do not exceed."""
    if not values:
        return 0
    return sorted(values)[max(0, -(-len(values) * percent // 100) - 1)]


def describe_task(rules: TaskRules, tolerance: Tolerance) -> Document:
    """Return what a task is judged by."""
    return {
        "class": rules.model.tolerance.name.lower(),
        "mode": rules.mode.name.lower(),
        "architecture": rules.model.architecture,
        "parameters": rules.model.parameters,
        "tolerance": {
            "overall": tolerance.overall,
            "tensor": tolerance.tensor,
            "trace": tolerance.trace,
            "unstable": tolerance.unstable / PPM,
        },
    }
