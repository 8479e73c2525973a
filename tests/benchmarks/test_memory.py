"""The memory of a whole network, measured on stand-ins."""

from pathlib import Path
from typing import cast

import pytest

from potp2p.benchmarks import memory
from potp2p.benchmarks.memory import (
    MemoryPlan,
    Peak,
    family_sizes,
    kind_of,
    measure_memory,
    memory_lines,
    verify_memory_plan,
)
from potp2p.foundation.errors import ConfigurationError, OperatingError
from tests.benchmarks.programs import PROGRAMS, running_in
from tests.doubles.bench_programs import HELD_BYTES


async def test_memory_of_a_child_of_the_network_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = tmp_path / "seen"

    def look(root: int) -> dict[int, tuple[str, int]]:
        sizes = family_sizes(root)
        if any(kind == "node" and size > HELD_BYTES for kind, size in sizes.values()):
            seen.touch()
        return sizes

    monkeypatch.setenv("SEEN", str(seen))
    monkeypatch.setattr(memory, "family_sizes", look)
    plan = MemoryPlan(4, 3, tmp_path / "bench", programs=PROGRAMS)

    document = await measure_memory(plan)

    assert cast("int", document["proportional_bytes_max"]) > HELD_BYTES
    assert document["processes"] == 2
    by_kind = cast("dict[str, int]", document["by_kind"])
    assert set(by_kind) == {"devnet", "node"}
    assert by_kind["node"] > HELD_BYTES
    assert sum(by_kind.values()) == document["proportional_bytes_max"]
    assert document["is_within_targets"] is True
    assert running_in(plan.folder) == []
    assert "2 processes" in "\n".join(memory_lines(document))


async def test_network_that_fails_is_no_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE", "failing")

    with pytest.RaisesGroup(
        pytest.RaisesExc(OperatingError, match="devnet: potp2p: no block within 120 s"),
        flatten_subgroups=True,
    ):
        await measure_memory(MemoryPlan(4, 3, tmp_path / "bench", programs=PROGRAMS))


def test_peak_is_the_greatest_sum_and_not_the_sum_of_the_greatest() -> None:
    peak = Peak()

    peak.take({1: ("node", 5), 2: ("worker", 1)}, 1.0)
    peak.take({1: ("node", 1), 2: ("worker", 4), 3: ("worker", 3)}, 2.0)
    peak.take({1: ("node", 7)}, 3.0)

    assert (peak.total, peak.processes, peak.seconds, peak.samples) == (8, 3, 2.0, 3)
    assert dict(peak.by_kind) == {"node": 1, "worker": 7}


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("python -m potp2p.training.worker --device cpu", "worker"),
        ("python -m bootstrap.main --listen x", "bootstrap"),
        ("python -m cli.main start --datadir /tmp/devnet/miner-1", "node"),
        ("python -m cli.main devnet --example digits", "devnet"),
        ("python -m cli.main task watch ab", "client"),
        ("python -m potp2p.training.measure --model /tmp/start", "client"),
        ("", "client"),
    ],
)
def test_process_is_told_by_its_command_line(command: str, kind: str) -> None:
    assert kind_of(tuple(command.split())) == kind


def test_network_that_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^--miners 0"):
        verify_memory_plan(MemoryPlan(4, 0, tmp_path))
    with pytest.raises(ConfigurationError, match=r"^--validators 17"):
        verify_memory_plan(MemoryPlan(17, 3, tmp_path))
