"""The figures of a replay campaign for a person."""

from typing import cast

from potp2p.observability.outcomes import ADVICE
from potp2p.processes.documents import Document


def replay_lines(document: Document) -> list[str]:
    """Return a table of honest distances, one of cheats, and what follows for this machine."""
    tasks = cast("list[Document]", document["tasks"])
    honest = cast("Document", document["honest"])
    lines = [
        "honest replays, worst measure of each in tolerances of the task's class",
        f"{'task':<18} {'class':<7} {'mode':<9} {'replays':>7} {'rejected':>8} "
        f"{'p99':>8} {'max':>8} {'headroom':>8} {'own':>8}",
        *(_honest_line(task) for task in tasks),
        f"rejected {honest['rejected']} of {honest['audited']} honest contributions, rigs: "
        + ", ".join(cast("list[str]", document["rigs"])),
    ]
    if any(task["cheats"] for task in tasks):
        lines += ["", *_cheat_lines(tasks)]
    lines += ["", *_unstable_lines(tasks)]
    for kind in sorted({cast("str", task["class"]) for task in tasks}):
        is_safe = all(task["is_safe"] is True for task in tasks if task["class"] == kind)
        verdict = "can be mined safely" if is_safe else "is NOT SAFE to mine"
        lines.append(f"class {kind:<7} {verdict} on this machine")
    return lines


def _honest_line(task: Document) -> str:
    found = cast("Document", task["honest"])
    replays, passed = cast("int", found["replays"]), cast("int", found["passed"])
    share = cast("float", found["share_max"])
    headroom = f"{1 / share:>7.0f}x" if share else f"{'-':>8}"
    return (
        f"{task['name']:<18} {task['class']:<7} {task['mode']:<9} {replays:>7} "
        f"{replays - passed:>8} {found['share_p99']:>8.4f} {share:>8.4f} {headroom} "
        f"{_own(found):>8.4f}"
    )


def _own(found: Document) -> float:
    """Return how far an auditor's own two replays lie apart at most, in tolerances."""
    return cast("float", cast("Document", found["instability"])["max"])


def _unstable_lines(tasks: list[Document]) -> list[str]:
    """Say which task should not be ordered at all, on any machine."""
    lines: list[str] = []
    for task in tasks:
        found = cast("Document", task["honest"])
        limit = cast("float", cast("Document", task["tolerance"])["unstable"])
        if _own(found) > limit:
            lines.append(
                f"{task['name']}: UNSTABLE, an auditor's own replays lie up to {_own(found):.3g} "
                f"tolerances apart ({limit:g} allowed): {found['excused']} honest contributions "
                f"excused, {found['failed']} failed; {ADVICE}"
            )
    return lines


def _cheat_lines(tasks: list[Document]) -> list[str]:
    kinds = dict.fromkeys(
        cast("str", cheat["kind"])
        for task in tasks
        for cheat in cast("list[Document]", task["cheats"])
    )
    lines = [
        "cheats with the auditor's own trace: least measure in tolerances (below 1 passes, to 3 is "
        "void) and share that fails",
        f"{'':<20}" + "".join(f"{str(task['name'])[:15]:>17}" for task in tasks),
    ]
    for kind in kinds:
        cells = [_cheat_cell(task, kind) for task in tasks]
        lines.append(f"{kind:<20}" + "".join(f"{cell:>17}" for cell in cells))
    return lines


def _cheat_cell(task: Document, kind: str) -> str:
    for cheat in cast("list[Document]", task["cheats"]):
        if cheat["kind"] == kind:
            share, rate = cast("float", cheat["share_min"]), cast("float", cheat["catch_rate"])
            return f"{share:.1f} {100 * rate:.0f} %"
    return "-"
