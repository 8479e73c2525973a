"""What a person sees of a run."""

import pytest
from rich.cells import cell_len

from potp2p.devnet.faces import screen
from potp2p.devnet.observing import common_roots, take_in
from potp2p.devnet.progress import NodeView, Progress
from potp2p.observability.representation import status_document
from potp2p.ui.cells import ASCII, UNICODE, Glyphs
from tests.doubles.status import miner_status


def progress_of(nodes: int) -> Progress:
    views = {
        f"node-{index}": NodeView(f"node-{index}", "miner", pid=index) for index in range(nodes)
    }
    progress = Progress(0.0, views, stage="training")
    progress.losses = [2.0, 1.5, 1.0, 0.7, 0.69]
    progress.lines.append((1.0, "evil \x1b[2J line"))
    return progress


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60), (40, 10)], ids=str)
@pytest.mark.parametrize("nodes", [0, 7, 32])
def test_screen_fills_the_terminal_exactly(
    nodes: int, size: tuple[int, int], glyphs: Glyphs
) -> None:
    lines = screen(progress_of(nodes), 5.0, *size, glyphs)

    assert len(lines) == size[1]
    assert {cell_len(each.plain) for each in lines} == {size[0]}
    assert all(each.plain.isprintable() for each in lines)


def test_every_node_of_the_demo_is_on_the_small_screen() -> None:
    text = "\n".join(each.plain for each in screen(progress_of(7), 5.0, 80, 24, UNICODE))

    assert all(f"node-{index}" in text for index in range(7))


def test_view_takes_what_the_status_says() -> None:
    view = NodeView("rig-lab", "miner")

    take_in(view, status_document(miner_status()))

    assert (view.state, view.height, view.peers) == ("mining", 48_213, 34)
    assert (view.accepted, view.earned) == (214, "41.3")
    assert view.roots == {48_212: "0e" * 32, 48_213: "0f" * 32}


def test_view_of_an_empty_document_knows_nothing() -> None:
    view = NodeView("rig-lab", "miner", height=5, state="mining")

    take_in(view, {"chain": [], "sync": None, "miner": {"units": 3}})

    assert (view.state, view.height, view.accepted, view.roots) == (None, None, None, {})


def test_common_height_is_the_greatest_that_all_have_told() -> None:
    first = NodeView("a", "miner", roots={1: "x", 2: "y", 3: "z"})
    second = NodeView("b", "miner", roots={1: "x", 2: "other"})

    assert common_roots([first, second]) == (2, {"a": "y", "b": "other"})
    assert common_roots([first, NodeView("c", "miner")]) is None
    assert common_roots([]) is None
