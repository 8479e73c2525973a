"""The leases in work on this node."""

from rich.text import Text

from potp2p.observability.status import LeaseStatusLine, NodeStatus, TaskLine
from potp2p.ui import format as show
from potp2p.ui.cells import Glyphs, bar, line


def render(status: NodeStatus, width: int, rows_max: int, glyphs: Glyphs) -> list[Text]:
    """Draw the first lease in full and the others in one line each."""
    leases = () if status.miner is None else status.miner.leases
    if not leases:
        return _idle(status, width, rows_max, glyphs)
    first = leases[0]
    lines = [
        _title(first, status.tasks, width, glyphs),
        _progress(first, width, glyphs),
        line(
            width,
            glyphs,
            f" loss {show.loss(first.loss)}   {first.stage}",
            right=f"leases here {len(leases)} ",
        ),
    ]
    lines += [_title(lease, status.tasks, width, glyphs) for lease in leases[1:]]
    return lines[:rows_max]


def _title(lease: LeaseStatusLine, tasks: tuple[TaskLine, ...], width: int, glyphs: Glyphs) -> Text:
    task = next((each for each in tasks if each.task == lease.task), None)
    model = show.UNKNOWN if task is None else f"{task.architecture} / {task.mode}"
    rounds = show.UNKNOWN if task is None else show.count(task.rounds)
    return line(
        width,
        glyphs,
        f" task {show.digest(lease.task)}   {model}   round {lease.round + 1}/{rounds}   "
        f"shard {lease.shard}",
        right=f"due at height {show.count(lease.deadline_height)} ",
    )


def _progress(lease: LeaseStatusLine, width: int, glyphs: Glyphs) -> Text:
    if lease.step is None or not lease.steps:
        share = f" {show.UNKNOWN:>4}  {show.UNKNOWN}"
    else:
        share = f" {100 * lease.step // lease.steps:>3}%  "
        share += f"{show.count(lease.step)}/{show.count(lease.steps)}"
    cells = max(10, width - 34)
    return line(width, glyphs, " ", (bar(cells, glyphs, lease.step, lease.steps), "green"), share)


def _idle(status: NodeStatus, width: int, rows_max: int, glyphs: Glyphs) -> list[Text]:
    lines = [line(width, glyphs, " no lease in work")]
    lines += [
        line(width, glyphs, f" {reason.code.replace('_', ' ')}: {reason.detail}")
        for reason in status.reasons
    ]
    return lines[:rows_max]
