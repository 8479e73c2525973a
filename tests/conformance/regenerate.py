"""
Approves the present formats: `python -m tests.conformance.regenerate` rewrites `vectors.json`.

Regeneration is a decision, never a way to make a failing test pass: nodes with the old bytes and
nodes with the new ones do not understand each other. It prints what changed, for the commit's body.
"""

import json
import sys

from tests.conformance.vectors import FILE, stored, vectors


def main() -> None:
    """Write the vectors and say which are new, changed or gone."""
    before, after = stored() if FILE.exists() else {}, vectors()
    FILE.write_text(json.dumps(after, indent=1, sort_keys=True) + "\n")
    for name in sorted(before.keys() | after.keys()):
        if name not in before:
            sys.stdout.write(f"new: {name}\n")
        elif name not in after:
            sys.stdout.write(f"gone: {name}\n")
        elif before[name] != after[name]:
            sys.stdout.write(f"changed: {name}\n")


if __name__ == "__main__":
    main()
