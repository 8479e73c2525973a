"""Explains a validator's log and record of signatures, and mends them when its owner agrees."""

import sys
from pathlib import Path

from cli.exits import Declined, UsageError
from cli.output import is_person_there, print_document, print_lines
from potp2p.node.repair import Examination, examine, mend
from potp2p.settings.paths import node_paths

Document = dict[str, object]


def repair_records(datadir: Path | None, *, yes: bool, anyway: bool, json_output: bool) -> None:
    """Say what was found; put aside what is damaged, or whatever is there if asked to."""
    folder = node_paths(datadir).data
    found = examine(folder)
    is_due = bool(found.faults) or anyway
    if is_due and not yes:
        _ask(found, json_output=json_output)
    kept = str(mend(folder).kept) if is_due else None
    if json_output:
        print_document(repair_document(found, kept))
        return
    if not is_due or yes:
        print_lines(*finding_lines(found))
    if kept is None:
        print_lines("Nothing to repair. Of a restored backup or a copied disk, say --anyway.")
    else:
        print_lines(
            f"mended     the old files are kept in {kept}",
            "           the node may start: it follows the chain, and votes again from the epoch",
            "           after the one in which it meets the other validators",
        )


def repair_document(found: Examination, kept: str | None) -> Document:
    """Return what was found and done as JSON values."""
    return {
        "schema": "potp2p.repair/1",
        "chain": found.chain,
        "journal": found.journal,
        "record": found.record,
        "faults": list(found.faults),
        "is_mended": kept is not None,
        "kept_in": kept,
    }


def finding_lines(found: Examination) -> list[str]:
    """Return what was found, for a person."""
    lines = [
        f"chain      {found.chain}",
        f"log        {found.journal}",
        f"record     {found.record}",
    ]
    return [*lines, *(f"fault      {each}" for each in found.faults)]


def _ask(found: Examination, *, json_output: bool) -> None:
    if json_output or not is_person_there():
        reason = found.faults[0] if found.faults else "nobody is here to ask"
        raise UsageError(f"{reason}; give --yes to put log and record aside")
    lines = [
        *finding_lines(found),
        "What this key signed last is not known. The files can be put aside, nothing is deleted;",
        "the node then follows the chain without a vote until the next epoch.",
    ]
    sys.stderr.write("\n".join(lines) + "\nPut them aside? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise Declined("not confirmed; nothing was changed")
