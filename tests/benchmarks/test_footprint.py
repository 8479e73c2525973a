"""The footprint of idle nodes, measured on stand-ins."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from potp2p.benchmarks.footprint import (
    FootprintPlan,
    footprint_lines,
    measure_footprint,
    verify_footprint_plan,
)
from potp2p.foundation.errors import ConfigurationError, OperatingError
from tests.benchmarks.programs import PROGRAMS, running_in


@pytest.fixture
def plan(tmp_path: Path) -> FootprintPlan:
    return FootprintPlan(1, 2, 1, tmp_path / "bench", calm_seconds=0.0, programs=PROGRAMS)


async def test_every_node_is_measured_and_none_stays(plan: FootprintPlan) -> None:
    document = await measure_footprint(plan)

    rows = cast("list[dict[str, object]]", document["processes"])
    assert [row["name"] for row in rows] == ["bootstrap", "validator-1", "validator-2", "observer"]
    assert all(cast("int", row["own_memory_bytes"]) > 1_000_000 for row in rows)
    assert document["own_memory_bytes_max"] == max(
        cast("int", row["own_memory_bytes"]) for row in rows
    )
    assert cast("int", document["blocks"]) > 0
    assert document["is_within_targets"] is True
    assert running_in(plan.folder) == []
    assert "observer" in "\n".join(footprint_lines(document))


async def test_node_that_dies_ends_the_measurement_with_its_words(
    plan: FootprintPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE", "dead")

    with pytest.raises(OperatingError, match="observer ended: potp2p: the disk is on fire"):
        await measure_footprint(plan)

    assert running_in(plan.folder) == []


@pytest.mark.parametrize(
    "change", [{"seconds": 4}, {"seconds": 3_601}, {"validators": 0}, {"miners": 17}], ids=str
)
def test_measurement_that_cannot_be_made_is_refused(
    change: dict[str, int], plan: FootprintPlan
) -> None:
    with pytest.raises(ConfigurationError, match=f"^--{next(iter(change))} "):
        verify_footprint_plan(replace(plan, **{"seconds": 60, **change}))  # type: ignore[arg-type]
