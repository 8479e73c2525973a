"""The published test case, on stand-ins: what is counted, and what misses the target."""

from pathlib import Path
from typing import cast

import pytest

from potp2p.benchmarks import resnet
from potp2p.benchmarks.resnet import (
    ResnetFlags,
    ResnetPlan,
    Usage,
    measure_resnet,
    resnet_lines,
    size_of,
    verify_resnet_plan,
)
from potp2p.foundation.errors import ConfigurationError, OperatingError
from tests.benchmarks.programs import PROGRAMS, running_in

FLAGS = ResnetFlags(
    rounds=2, validators=4, miners=2, block_milliseconds=4_000, watts_per_core=10.0, seed=1
)


@pytest.fixture
def plan(tmp_path: Path) -> ResnetPlan:
    return ResnetPlan(FLAGS, tmp_path / "bench", programs=PROGRAMS)


@pytest.fixture
def seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the stand-in wait until it was looked at with its blobs there."""
    path = tmp_path / "seen"
    look = Usage.look

    def look_and_tell(usage: Usage, root: int, network: Path) -> None:
        look(usage, root, network)
        if usage.disk and "node" in usage.memory:
            path.touch()

    monkeypatch.setenv("SEEN", str(path))
    monkeypatch.setattr(Usage, "look", look_and_tell)
    monkeypatch.setattr(resnet, "LOOK_SECONDS", 0.02)


@pytest.mark.usefixtures("seen")
async def test_a_run_is_counted_and_its_rounds_are_told(plan: ResnetPlan) -> None:
    told: list[str] = []

    document = await measure_resnet(plan, told.append)

    assert told == ["[ 9.00 s] round 1/2  evaluation loss 2.0"]
    assert (document["segments"], document["rounds"], document["leases"]) == (100, 2, 20)
    assert document["passes_over_segments"] == 0.2
    assert document["payload_bytes_of_all_rounds"] == 20 * 1_000
    disk = cast("dict[str, int]", document["disk_bytes_max"])
    assert set(disk) == {"miner-1"}
    assert disk["miner-1"] >= 100_000
    memory = cast("dict[str, int]", document["memory_bytes_max"])
    assert {"devnet", "node"} <= set(memory)
    assert document["is_disk_bounded"] is True
    assert document["is_within_targets"] is True
    assert running_in(plan.folder) == []
    assert "an estimate at 10.0 W a core" in "\n".join(resnet_lines(document))


@pytest.mark.usefixtures("seen")
async def test_disk_beyond_its_bound_misses_the_target(
    plan: ResnetPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resnet, "QUOTA_MIB", 0)
    monkeypatch.setattr(resnet, "DATABASE_BYTES", 50_000)

    document = await measure_resnet(plan, lambda _text: None)

    assert document["is_disk_bounded"] is False
    assert document["is_within_targets"] is False
    assert "BEYOND the bound" in "\n".join(resnet_lines(document))


@pytest.mark.usefixtures("seen")
async def test_states_that_differ_miss_the_target(
    plan: ResnetPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE", "apart")

    document = await measure_resnet(plan, lambda _text: None)

    assert document["is_within_targets"] is False


async def test_network_that_fails_is_no_figure(
    plan: ResnetPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE", "failing")

    with pytest.RaisesGroup(
        pytest.RaisesExc(OperatingError, match="devnet: potp2p: no block within 120 s"),
        flatten_subgroups=True,
    ):
        await measure_resnet(plan, lambda _text: None)


def test_nothing_looked_at_is_not_bounded(tmp_path: Path) -> None:
    assert Usage().processor_by_kind() == {}
    assert not resnet._is_bounded(Usage())
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"x" * 5_000)
    assert 5_000 <= size_of(tmp_path) <= 64_000


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"rounds": 0}, "--rounds 0: from 1 to 100"),
        ({"validators": 17}, "--validators 17: from 1 to 16"),
        ({"miners": 0}, "--miners 0: from 1 to 16"),
        ({"block_milliseconds": 0}, "--block-milliseconds 0: from 200 to 60000"),
        ({"seed": -1}, f"--seed -1: from 0 to {(1 << 48) - 1}"),
        ({"watts_per_core": 0.0}, "--watts-per-core 0.0: above 0"),
    ],
)
def test_a_run_that_cannot_be_made_is_refused(
    tmp_path: Path, changed: dict[str, int], text: str
) -> None:
    values = {name: getattr(FLAGS, name) for name in FLAGS.__slots__}
    flags = ResnetFlags(**{**values, **changed})
    with pytest.raises(ConfigurationError, match=f"^{text}$"):
        verify_resnet_plan(ResnetPlan(flags, tmp_path))
