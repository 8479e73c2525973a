"""The tasks on the chain."""

from rich.text import Text

from potp2p.observability.status import TaskLine
from potp2p.ui import format as show
from potp2p.ui.cells import Glyphs, line


def render(tasks: tuple[TaskLine, ...], width: int, rows_max: int, glyphs: Glyphs) -> list[Text]:
    """Draw one line per task, the newest last; older ones are left out first."""
    if not tasks:
        return [line(width, glyphs, (" no task on the chain", "dim"))]
    heading = _row(width, glyphs, "task", "status", "model", "mode", "round", "loss", "escrow POT")
    lines = [Text.assemble((heading.plain, "dim"), no_wrap=True, end="")]
    lines += [_task(task, width, glyphs) for task in tasks[-max(1, rows_max - 1) :]]
    return lines[: max(rows_max, 1)]


def _task(task: TaskLine, width: int, glyphs: Glyphs) -> Text:
    return _row(
        width,
        glyphs,
        show.digest(task.task),
        task.status,
        task.architecture,
        task.mode,
        f"{show.count(task.round)}/{show.count(task.rounds)}",
        show.loss(task.loss),
        show.amount(task.escrow),
    )


def _row(width: int, glyphs: Glyphs, *cells: str) -> Text:
    task, status, model, mode, rounds, loss, escrow = cells
    wide = max(0, width - 80) // 3
    model_cells = 12 + wide
    return line(
        width,
        glyphs,
        f" {task:<8}  {status[:10]:<10}  {model[:model_cells]:<{model_cells}}  {mode[:8]:<8}  "
        f"{rounds:>9}  {loss:>7}  {escrow:>12}",
    )
