"""
`python -m tests.fuzz --seconds 600 [--seed N] [--only TEXT] [--json]`: exit 1 if a promise broke.

A run is fixed by its seed up to where the time ends it; a failure is shown with its input, which
belongs into `corpus.json` once it is fixed.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.engine import HEX_MAX, Tally, all_targets, run_seconds


def report(tallies: dict[str, Tally], seed: int, seconds: float) -> dict[str, object]:
    """Return what a run found as a JSON document."""
    failures = [failure for tally in tallies.values() for failure in tally.failures]
    return {
        "schema": "potp2p.fuzz/1",
        "seed": seed,
        "seconds": round(seconds, 1),
        "load": [round(each, 2) for each in os.getloadavg()],
        "decoders": len(tallies),
        "executions": sum(tally.executions for tally in tallies.values()),
        "executions_fewest": min(tally.executions for tally in tallies.values()),
        "accepted": sum(tally.accepted for tally in tallies.values()),
        "memory_traced": sum(tally.weighed for tally in tallies.values()),
        "memory_per_byte_worst": round(max(tally.memory_worst for tally in tallies.values()), 2),
        "failures": sum(tally.failed for tally in tallies.values()),
        "failures_shown": [
            {
                "decoder": failure.target,
                "promise": failure.promise,
                "bytes": len(failure.input),
                "hex": failure.input.hex()[:HEX_MAX],
            }
            for failure in failures
        ],
        "per_decoder": {
            name: {
                "executions": tally.executions,
                "accepted": tally.accepted,
                "memory_per_byte_worst": round(tally.memory_worst, 2),
                "failures": tally.failed,
            }
            for name, tally in tallies.items()
        },
    }


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="decoders whose name holds this text")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="potp2p-fuzz-") as folder:
        targets = [each for each in all_targets(Path(folder)) if chosen.only in each.name]
        if not targets:
            parser.error(f"no decoder is called {chosen.only!r}")
        tallies = run_seconds(targets, chosen.seed, chosen.seconds)
    document = report(tallies, chosen.seed, time.monotonic() - started)
    if chosen.json:
        sys.stdout.write(json.dumps(document) + "\n")
    else:
        for name, tally in tallies.items():
            sys.stdout.write(
                f"{tally.executions:9d} {tally.accepted:9d} {tally.failed:6d}  {name}\n"
            )
        for failure in (each for tally in tallies.values() for each in tally.failures):
            shown = failure.input.hex()[:HEX_MAX]
            sys.stdout.write(f"{failure.target}: {failure.promise}\n  {shown}\n")
        sys.stdout.write(
            f"{document['decoders']} decoders, {document['executions']} executions, "
            f"{document['accepted']} accepted, {document['failures']} failures, "
            f"worst memory {document['memory_per_byte_worst']} bytes per byte, "
            f"seed {chosen.seed}, {document['seconds']} s\n"
        )
    return 1 if document["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
