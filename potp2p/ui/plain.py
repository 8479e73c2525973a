"""Log lines for a terminal without a screen, a pipe or a service: one line per happening."""

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from potp2p.observability.status import LogLine, NodeStatus
from potp2p.ui import format as show

_REFRESH_SECONDS: Final = 0.5
_HEALTH_SECONDS: Final = 60.0
_LAST_WORDS_SECONDS: Final = 1.0


async def run_plain(
    snapshot: Callable[[], NodeStatus], write: Callable[[str], Awaitable[None]]
) -> None:
    """Write each new line of the node's log, and a line about its health every minute."""
    last: LogLine | None = None
    health_due = trio.current_time() + _HEALTH_SECONDS
    try:
        while True:
            status = snapshot()
            last = await _write_new(status, last, write)
            if trio.current_time() >= health_due:
                health_due += _HEALTH_SECONDS
                await write(log_line(health_line(status)))
            await trio.sleep(_REFRESH_SECONDS)
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _LAST_WORDS_SECONDS):
            await _write_new(snapshot(), last, write)


async def _write_new(
    status: NodeStatus, last: LogLine | None, write: Callable[[str], Awaitable[None]]
) -> LogLine | None:
    for each in lines_after(status.log, last):
        await write(log_line(each))
        last = each
    return last


def lines_after(lines: tuple[LogLine, ...], last: LogLine | None) -> tuple[LogLine, ...]:
    """Return the lines that follow `last`; all of them when it has already left the log."""
    if last is None:
        return lines
    for index in range(len(lines) - 1, -1, -1):
        if lines[index] == last:
            return lines[index + 1 :]
    return lines


def log_line(each: LogLine) -> str:
    """`[2026-11-21 13:58:55.204] miner    accepted (214/1)`."""
    text = each.text if each.text.isprintable() else ascii(each.text)
    return f"[{show.moment(each.time)}] {each.tag:<8} {text}"


def health_line(status: NodeStatus) -> LogLine:
    """State, height, peers and, of a miner, rate and counts."""
    chain, miner = status.chain, status.miner
    text = f"{status.state}  height {show.count(chain.height)}  peers {status.network.peers}"
    if status.reasons:
        text += f"  ({status.reasons[0].detail})"
    if miner is not None:
        rates = [device.steps_per_second for device in status.devices]
        known = [rate for rate in rates if rate is not None]
        total = show.rate(sum(known) if known else None)
        text += f"  accepted ({miner.accepted}/{miner.rejected})  {total} step/s"
    return LogLine(status.time, "node", text)
