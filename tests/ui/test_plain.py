"""Log lines without a screen."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
import trio
import trio.testing

from potp2p.observability.status import LogLine
from potp2p.ui.plain import lines_after, log_line, run_plain
from potp2p.ui.summary import summary_lines
from tests.doubles.status import miner_status

LINES = tuple(LogLine(float(n), "miner", f"line {n}") for n in range(5))


def test_only_lines_after_the_last_one_are_new() -> None:
    assert lines_after(LINES, LINES[2]) == LINES[3:]
    assert lines_after(LINES, LINES[4]) == ()
    assert lines_after(LINES, None) == LINES


def test_nothing_is_hidden_when_the_last_line_has_left_the_log() -> None:
    assert lines_after(LINES, LogLine(-1.0, "miner", "gone")) == LINES


def test_line_has_time_tag_and_text_in_fixed_columns() -> None:
    text = log_line(LogLine(0.204, "miner", "accepted (214/1)"))

    assert re.fullmatch(
        r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.204\] miner    accepted \(214/1\)", text
    )


def test_line_cannot_carry_control_characters() -> None:
    assert "\x1b" not in log_line(LogLine(0.0, "miner", "\x1b[2J"))


def writer(written: list[str]) -> Callable[[str], Awaitable[None]]:
    async def write(text: str) -> None:
        await trio.lowlevel.checkpoint()
        written.append(text)

    return write


async def test_each_line_is_written_once(autojump_clock: trio.testing.MockClock) -> None:
    written: list[str] = []
    log: list[LogLine] = [LINES[0]]
    with trio.move_on_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                run_plain, lambda: replace(miner_status(), log=tuple(log)), writer(written)
            )
            await trio.sleep(2)
            log += [LINES[1], LINES[2]]

    assert [each.rsplit("line ", 1)[1] for each in written] == ["0", "1", "2"]


async def test_last_words_are_written_when_the_node_stops(
    autojump_clock: trio.testing.MockClock,
) -> None:
    written: list[str] = []
    log: list[LogLine] = []
    with trio.move_on_after(0.7):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                run_plain, lambda: replace(miner_status(), log=tuple(log)), writer(written)
            )
            await trio.sleep(0.6)
            log.append(LINES[0])

    assert len(written) == 1


async def test_health_is_said_once_a_minute(autojump_clock: trio.testing.MockClock) -> None:
    written: list[str] = []
    with trio.move_on_after(185):
        await run_plain(lambda: replace(miner_status(), log=()), writer(written))

    assert len(written) == 3
    assert written[0].endswith("mining  height 48,213  peers 34  accepted (214/1)  8.24 step/s")


def test_summary_is_five_lines() -> None:
    assert summary_lines(miner_status(), "potp2p start") == [
        "ran      2d 04:11 as rig-lab",
        "work     accepted 214, rejected 1, missed 0",
        "money    balance 128.402 POT, earned 41.300 POT in all",
        "chain    height 48,213, mining",
        "again    potp2p start",
    ]


@pytest.mark.parametrize("name", ["potp2p.ui.screen", "potp2p.ui.dashboard"])
def test_screen_never_reaches_the_machinery(name: str) -> None:
    import subprocess  # noqa: PLC0415
    import sys  # noqa: PLC0415

    program = f"import {name}, sys; print(sorted(set(sys.modules) & {{'torch','libp2p','lmdb'}}))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )

    assert done.stdout == "[]\n"
