"""The full screen: exact sizes, only true numbers, nothing that moves the cursor."""

from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from potp2p.foundation.types import POT
from potp2p.observability.status import LogLine, NodeStatus, OutcomeLine, StateCode
from potp2p.ui.cells import ASCII, UNICODE, Glyphs
from potp2p.ui.dashboard import paint
from potp2p.ui.screen import help_page, render
from tests.doubles.status import miner_status, starting_status, validator_status

SIZES = [(80, 24), (100, 30), (120, 40), (200, 60)]


def statuses() -> list[NodeStatus]:
    observer = replace(miner_status(devices=0, leases=0), miner=None, state=StateCode.FOLLOWING)
    return [
        starting_status(),
        validator_status(),
        observer,
        *(miner_status(devices=n, leases=n, log_lines=80) for n in (0, 1, 8)),
    ]


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_screen_fills_the_terminal_exactly(size: tuple[int, int], glyphs: Glyphs) -> None:
    width, height = size
    for status in statuses():
        lines = render(status, width, height, glyphs)

        assert len(lines) == height
        assert {cell_len(each.plain) for each in lines} == {width}


def test_painted_screen_has_the_same_cells() -> None:
    console = Console(width=80, height=24, color_system=None, legacy_windows=False)

    painted = paint(console, render(miner_status(), 80, 24, UNICODE), 80).split("\n")

    assert [cell_len(each) for each in painted] == [80] * 24


def test_ascii_screen_is_ascii() -> None:
    status = miner_status()
    status = replace(status, log=(LogLine(status.time, "miner", "größer ✓"),))

    text = "".join(each.plain for each in render(status, 80, 24, ASCII))

    assert text.isascii()


def test_miner_screen_shows_what_the_chain_counts() -> None:
    text = [each.plain for each in render(miner_status(), 80, 24, UNICODE)]

    assert text[0] == (
        " potp2p 0.1.0 devnet rig-lab ● MINING up 2d 04:11          height 48,213 synced "
    )
    assert text[1] == (
        " peers 34 (12 in)   bootstrap 1/1   dn 8.7 GB up 1.2 GB             128.402 POT "
    )
    assert text[8:11] == [
        " task 7f3a91c2   vit / local   round 13/20   shard 3       due at height 48,230 ",
        " ███████████████████████████████░░░░░░░░░░░░░░░  69%  1,380/2,000               ",
        " loss 1.284   training                                            leases here 1 ",
    ]


def test_unknown_is_shown_as_unknown() -> None:
    status = miner_status(devices=1)
    device = replace(
        status.devices[0], steps_per_second=None, name=None, step=None, memory_bytes=None
    )
    text = [each.plain for each in render(replace(status, devices=(device,)), 80, 24, UNICODE)]

    assert text[4].split() == ["cuda:0", "--", "--", "4000", "train", "--", "--"]
    assert text[5].split() == ["total", "--"]


def test_idle_node_says_why() -> None:
    text = "\n".join(each.plain for each in render(starting_status(), 80, 24, UNICODE))

    assert "no peers: no peer answered yet" in text
    assert "! check the bootstrap address in config.toml" in text


def test_validator_screen_shows_the_vote() -> None:
    text = [each.plain for each in render(validator_status(), 80, 24, UNICODE)]

    assert text[3] == (
        " seat 2 of 4   height 48,214   view 1   prepare      prepares 2/3   commits 0/3 "
    )


@pytest.mark.parametrize(
    "text", ["\x1b[2Jgone", "two\nlines", "bell\a", "終わり" * 60, "\u200b" * 9]
)
def test_log_text_cannot_break_the_screen(text: str) -> None:
    status = miner_status()
    status = replace(status, log=(LogLine(status.time, "miner", text),))

    lines = render(status, 80, 24, UNICODE)

    assert len(lines) == 24
    assert all(each.plain.isprintable() for each in lines)
    assert {cell_len(each.plain) for each in lines} == {80}


@pytest.mark.parametrize("size", [(79, 24), (80, 23), (20, 5), (1, 1)], ids=str)
def test_small_terminal_gets_a_short_word(size: tuple[int, int]) -> None:
    width, height = size

    lines = render(miner_status(), width, height, UNICODE)

    assert len(lines) == height
    assert {cell_len(each.plain) for each in lines} == {width}


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_help_fills_the_terminal_exactly(size: tuple[int, int]) -> None:
    lines = help_page(*size, UNICODE)

    assert len(lines) == size[1]
    assert {cell_len(each.plain) for each in lines} == {size[0]}


def test_screen_says_why_a_miner_was_slashed_and_until_when_it_is_out() -> None:
    status = miner_status()
    assert status.miner is not None
    fault = OutcomeLine("7f" * 32, 4, 5, "slashed", "slashed 15 POT and banned: why", 512)
    paid = OutcomeLine("7f" * 32, 5, 5, "paid", "paid 1 POT at height 530", 530)
    miner = replace(
        status.miner,
        bond=5 * POT,
        bond_wanted=20 * POT,
        banned_until=50_000,
        outcomes=(fault, paid),
    )
    for shown, words in (
        (miner, ("banned until 50,000", "bond 5.000 of 20.000 POT", "4:5 slashed 15 POT")),
        (
            replace(miner, banned_until=None, suspended=True, outcomes=(paid,)),
            ("suspended", "5:5 paid 1 POT at height 530"),
        ),
    ):
        lines = render(replace(status, miner=shown), 80, 24, UNICODE)
        text = "\n".join(each.plain for each in lines)
        assert all(word in text for word in words), text
        assert {cell_len(each.plain) for each in lines} == {80}
