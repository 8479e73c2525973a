"""A network without a task: where it is, whether it is left alone, and that it ends."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import trio

from potp2p.devnet.genesis import genesis_document
from potp2p.devnet.layout import lay_out
from potp2p.devnet.plan import Plan, verify_plan
from potp2p.devnet.progress import Progress
from potp2p.devnet.run import run_idle
from potp2p.foundation.errors import ConfigurationError
from potp2p.processes.documents import Document
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.schema import decode
from tests.devnet.test_run import PROGRAMS, running_in


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    out, folder = tmp_path / "out", tmp_path / "net"
    return Plan("digits", "local", 2, 1, None, 7, out, folder, programs=PROGRAMS)


@pytest.mark.parametrize("is_watched", [True, False])
async def test_idle_network_tells_where_it_is_and_is_watched_only_when_asked(
    is_watched: bool, plan: Plan
) -> None:
    told: list[Document] = []
    heights: list[int | None] = []

    async def look(progress: Progress) -> None:
        while not told:  # noqa: ASYNC110  # another task of the same loop fills it
            await trio.sleep(0.01)
        first = progress.height
        with trio.move_on_after(120 if is_watched else 1.5):
            while progress.height == first:  # noqa: ASYNC110  # likewise
                await trio.sleep(0.01)
        heights.extend((first, progress.height))
        scope.cancel()

    with trio.CancelScope() as scope:
        await run_idle(plan, look, told.append, is_watched=is_watched)

    (document,) = told
    bootstrap = cast("Document", document["bootstrap"])
    nodes = cast("list[Document]", document["nodes"])
    assert str(bootstrap["address"]).startswith("/ip4/127.0.0.1/tcp/9/p2p/")
    assert [node["name"] for node in nodes] == ["validator-1", "validator-2", "miner-1"]
    assert len({bootstrap["pid"], *(node["pid"] for node in nodes)}) == 4
    assert await trio.Path(str(document["genesis"])).is_file()
    assert (heights[0] != heights[1]) is is_watched
    assert running_in(plan.folder) == []


@pytest.mark.parametrize(("asked", "interval"), [(None, 500), (2_000, 2_000)])
def test_block_interval_is_the_one_asked_for(asked: int | None, interval: int, plan: Plan) -> None:
    plan = replace(plan, block_milliseconds=asked)

    genesis = decode(Genesis, genesis_document(plan, lay_out(plan)))

    assert genesis.consensus.block_interval == interval


@pytest.mark.parametrize("interval", [0, 199, 60_001])
def test_block_interval_that_nobody_can_live_by_is_refused(interval: int, plan: Plan) -> None:
    with pytest.raises(ConfigurationError, match=f"^--block-milliseconds {interval}: from 200"):
        verify_plan(replace(plan, block_milliseconds=interval))
