"""`python -m tests.mutants [--json] [NAME ...]`: plant every bug, show who catches it."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from tests.mutants.catalogue import MUTANTS
from tests.mutants.planting import Mutant, Verdict, copied, examine, runs_clean


def main(arguments: Sequence[str]) -> int:
    """Return 1 if a bug survives, 2 if a layer fails without any."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("names", nargs="*", help="only these")
    options = parser.parse_args(arguments)
    chosen = [each for each in MUTANTS if not options.names or each.name in options.names]
    with copied() as root:
        dirty = [
            target for target, each in _by_target(chosen).items() if not runs_clean(root, each)
        ]
        if dirty:
            print(f"fails without any bug: {', '.join(dirty)}", file=sys.stderr)
            return 2
        verdicts: list[Verdict] = []
        for mutant in chosen:
            verdicts.append(examine(root, mutant))
            if not options.json:
                print(_line(verdicts[-1]), flush=True)
    survivors = [each.mutant for each in verdicts if not each.killed]
    if options.json:
        rows = [asdict(each) for each in verdicts]
        print(json.dumps({"mutants": rows, "survivors": survivors}, indent=2))
    else:
        print(f"{len(verdicts) - len(survivors)} of {len(verdicts)} caught")
    return 1 if survivors else 0


def _by_target(mutants: Sequence[Mutant]) -> dict[str, Mutant]:
    """Return one bug for each set of test files; that campaigns pass is a test of its own."""
    return {each.target: each for each in mutants if each.layer not in ("campaign", "twins")}


def _line(verdict: Verdict) -> str:
    what = verdict.caught_by or "SURVIVES"
    return f"{verdict.mutant:<44} {verdict.layer:<14} {verdict.seconds:6.1f} s  {what}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
